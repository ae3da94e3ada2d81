"""The mark that makes a key inside a section of a config an option of the command line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Option:
    """Marks a key inside a section as an option: `Annotated[..., Option("--bench", "-b")]`."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)
