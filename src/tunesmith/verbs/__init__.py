"""The verbs: what a person asks for. Each has the same name and options on the command line."""
