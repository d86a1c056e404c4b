"""Training: the loop, what it minimises with, and what it needs to go on after a crash."""
