"""Cavesson: a laboratory for training-based control of language models."""

__version__ = "0.3.0"
