"""The packages that a page needs, which the core install does not bring."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

from cavesson.errors import MissingExtra

EXTRA = "audit"
"""The extra that brings the packages of every page."""
SERVER = {"starlette": "starlette", "uvicorn": "uvicorn"}
"""The modules that every page imports, and the packages that hold them."""


def require(packages: Mapping[str, str] = SERVER) -> None:
    """Refuse to go on if a package is missing.

    Args:
        packages: modules, and the packages that hold them.

    Raises:
        MissingExtra: a module cannot be found; the message says what to install.
    """
    for module, package in packages.items():
        if importlib.util.find_spec(module) is None:
            raise MissingExtra(package, EXTRA)
