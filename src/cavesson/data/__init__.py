"""Data sets: where conversations come from and how they are mixed."""
