"""What is wrong with data before anything is trained on them, and what a leak did to a score."""
