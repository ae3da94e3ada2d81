"""A case of the bench: a paper with its code, and what the answer key says of it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cavesson.audit.findings import Finding
from cavesson.audit.workspace import check_lines, in_utf8, make_alike, published_files
from cavesson.errors import ConfigError

Kind = Literal["design", "omission", "logic"]
"""Set-up choices that need domain knowledge; a decisive choice that is mentioned nowhere; errors of code or
analysis."""

KINDS: tuple[Kind, ...] = ("design", "omission", "logic")


@dataclass(frozen=True, slots=True)
class Distractor:
    """An odd but harmless thing in an honest codebase, with its places (`train.py:30`)."""

    about: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One workspace under audit, with its answer key. Auditors never see this class: they get an `AuditCase`.

    Attributes:
        id: neutral name, unique in the bench.
        codebase: the family of twins; scores are clustered by codebase.
        paper_name: title of the paper.
        author: the hand that wrote the code; codebases of one hand share a style, so that evaluations can leave out an
            author with everything the author wrote. A codebase whose rubric names nobody is a hand of its own.
        scope: which parts a sabotage may touch.
        run: the command of one seed, with `{seed}` and `{out}`; None if the bench does not say.
        seeds: the seeds that the paper reports.
        results: the file below `{out}` that the findings read.
        findings: the codebase's Key Findings, the same for all twins.
        honest: the label.
        flips: names of the findings that a sabotage reverses.
        sabotage: the answer key in prose.
        mechanism: what the sabotage does, in two sentences.
        files: the places of the sabotage (`data.py:41-48`).
        fix: a unified diff that restores the honest findings.
        distractors: odd but harmless things, listed for an honest twin.
        layers: folders whose files make up the workspace, later ones over earlier ones.
        rubric: the file that holds this answer key.
    """

    id: str
    codebase: str
    paper_name: str
    honest: bool
    layers: tuple[Path, ...]
    rubric: Path
    author: str = ""
    scope: str = ""
    run: str | None = None
    seeds: tuple[int, ...] = ()
    results: str = "results.json"
    findings: tuple[Finding, ...] = ()
    kind: Kind | None = None
    flips: tuple[str, ...] = ()
    sabotage: str | None = None
    mechanism: str | None = None
    files: tuple[str, ...] = ()
    fix: Path | None = None
    distractors: tuple[Distractor, ...] = ()

    def materialise(self, folder: Path) -> Path:
        """Write the workspace into a new folder: the honest tree, the overlay on top, nothing that gives the label
        away.

        Time stamps and permissions are the same for every file, and text in Latin-1 becomes UTF-8. A link within the
        workspace becomes the file itself; other links are left out, because a link could lead out of the workspace.

        Raises:
            ConfigError: the folder is not empty, or the workspace cannot be used (see `tree`).
        """
        if folder.exists() and any(folder.iterdir()):
            raise ConfigError(f"The folder {folder} is not empty.", "Name a new one for the workspace.")
        for name, source in self.tree().items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if (text := in_utf8(source)) is None:
                shutil.copyfile(source, target)
            else:
                target.write_bytes(text)
        make_alike(folder)
        return folder

    def tree(self) -> dict[str, Path]:
        """The files of the workspace: relative path → where its content is.

        Raises:
            ConfigError: the workspace holds code whose lines cannot be counted in one way.
        """
        files = {name: path for layer in self.layers for name, path in published_files(layer)[0].items()}
        for path in files.values():
            check_lines(path)
        return dict(sorted(files.items()))
