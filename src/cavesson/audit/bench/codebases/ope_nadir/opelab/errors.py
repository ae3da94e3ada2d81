"""Exceptions of the package."""


class OpelabError(Exception):
    """Base class of everything that this package raises on purpose."""


class ShapeError(OpelabError, ValueError):
    """Arrays do not fit together."""


class NotFittedError(OpelabError, RuntimeError):
    """A model was asked for predictions before it was fitted."""
