"""Cavesson: a laboratory for training-based control of language models.

In Python, `import cavesson as cv`: `cv.organism`, `cv.play`, `cv.stress`, `cv.study`, `cv.evaluate` and `cv.audit_model` do what the command
line does, on the same store. `cavesson.front` documents these functions, `cavesson.frames` what they give; nothing is loaded before
the first of them is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cavesson.version import VERSION as __version__

if TYPE_CHECKING:
    from cavesson.frames import Claims, Frontier, Runs
    from cavesson.front import Plant, audit_model, evaluate, organism, play, stress, study
    from cavesson.lab.lab import Lab
    from cavesson.lab.store import Store

_ELSEWHERE = {
    "Claims": "cavesson.frames",
    "Frontier": "cavesson.frames",
    "Lab": "cavesson.lab.lab",
    "Runs": "cavesson.frames",
    "Store": "cavesson.lab.store",
}
"""Where a name lives that does not live in `cavesson.front`."""

__all__ = [
    "Claims",
    "Frontier",
    "Lab",
    "Plant",
    "Runs",
    "Store",
    "__version__",
    "audit_model",
    "evaluate",
    "organism",
    "play",
    "stress",
    "study",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'cavesson' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_ELSEWHERE.get(name, "cavesson.front")), name)


def __dir__() -> list[str]:
    return __all__
