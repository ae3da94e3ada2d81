"""The command line: thin calls of public functions."""
