"""A person edits a file in the page; the patch is computed, because nobody writes unified diffs by hand."""

from __future__ import annotations

import tempfile
from pathlib import Path

from cavesson.audit.cases import Case
from cavesson.audit.patches import MAX_BYTES, apply_patch, diff
from cavesson.audit.workspace import files_of, inside
from cavesson.errors import ConfigError


def patched_text(case: Case, patch: str, name: str) -> str:
    """A file of the workspace as a patch leaves it.

    Raises:
        ConfigError: the patch does not apply, or there is no such text file.
    """
    with tempfile.TemporaryDirectory(prefix="cavesson-edit-") as place:
        return _text(_patched(case, patch, Path(place) / "workspace"), name)


def patch_with(case: Case, patch: str, name: str, text: str) -> str:
    """The patch that leaves one more file as a person wrote the file; empty if no file differs any more.

    Args:
        patch: the changes so far.
        name: the file.
        text: new content of the file.

    Raises:
        ConfigError: as `patched_text`, or the text is too large.
    """
    if len(text) > MAX_BYTES:
        raise ConfigError("The file is too large to be edited here.", "Write the patch by hand.")
    with tempfile.TemporaryDirectory(prefix="cavesson-edit-") as place:
        before = case.materialise(Path(place) / "before")
        after = _patched(case, patch, Path(place) / "after")
        if "\r\n" in _text(after, name):
            text = text.replace("\n", "\r\n")  # a browser's text fields know only the other line end
        (after / name).write_text(text, encoding="utf-8", newline="")
        names = sorted(files_of(before).keys() | files_of(after).keys())
        return "".join(_difference(before, after, name) for name in names)


def _patched(case: Case, patch: str, folder: Path) -> Path:
    case.materialise(folder)
    if patch.strip():
        apply_patch(patch, folder)
    return folder


def _text(folder: Path, name: str) -> str:
    path = folder / inside(name)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name} is no text file of this workspace.", "Choose one of the files listed.") from error


def _difference(before: Path, after: Path, name: str) -> str:
    """The unified diff of one file; empty if the file is as before."""
    old, new = before / name, after / name
    if old.exists() and new.exists() and old.read_bytes() == new.read_bytes():
        return ""
    versions = ({name: _text(folder, name)} if (folder / name).exists() else {} for folder in (before, after))
    return diff(*versions)
