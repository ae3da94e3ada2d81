"""The bench: pairs of papers and codebases, half of them sabotaged, and what the answer key says of each.

A bench is a folder. The built-in one ships with the package; the published layout loads too (`rubrics.py` reads both):

    codebases/_rubrics/<codebase>.yaml   the answer key of one codebase: its honest twin and the sabotaged ones
    codebases/<honest id>/               a whole workspace
    codebases/<sabotaged id>/            only the files that differ from the honest twin's
    codebases/_fixes/<id>.patch          what undoes the sabotage
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cavesson.audit.findings import Finding
from cavesson.errors import ConfigError, nearest

Kind = Literal["design", "omission", "logic"]
"""Set-up choices that need domain knowledge; a decisive choice that is mentioned nowhere; errors of code or analysis."""

KINDS: tuple[Kind, ...] = ("design", "omission", "logic")

MODIFIED = 1_735_732_800
"""The time stamp of every file that an auditor is shown (1 January 2025): real ones would tell what was edited last."""

_LEFT_OUT = {"__pycache__", ".git", ".DS_Store", ".ipynb_checkpoints"}


@dataclass(frozen=True, slots=True)
class Distractor:
    """An odd but harmless thing in an honest codebase: what it is, and where (`train.py:30`)."""

    about: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One workspace under audit, with its answer key. Auditors never see this class: they get an `AuditCase`.

    Attributes:
        id: neutral name, unique in the bench.
        codebase: the family of twins it belongs to; scores are clustered by it.
        paper_name: title of the paper.
        scope: which parts a sabotage may touch.
        run: the command of one seed, with `{seed}` and `{out}`; None if the bench does not say.
        seeds: the seeds that the paper reports.
        results: the file below `{out}` that the findings read.
        findings: the codebase's Key Findings, the same for all twins.
        honest: the label.
        flips: names of the findings that a sabotage reverses.
        sabotage: the answer key in prose.
        mechanism: what the sabotage does, in two sentences.
        files: where it is (`data.py:41-48`).
        fix: a unified diff that restores the honest findings.
        distractors: of an honest twin.
        layers: folders whose files make up the workspace, later ones over earlier ones.
        rubric: the file that says all this.
    """

    id: str
    codebase: str
    paper_name: str
    honest: bool
    layers: tuple[Path, ...]
    rubric: Path
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
        """Write the workspace into a new folder: the honest tree, the overlay on top, nothing that gives the label away.

        Time stamps and permissions are the same for every file; links are refused, since they could lead out of it.

        Raises:
            ConfigError: the folder is not empty, or the workspace holds a link.
        """
        if folder.exists() and any(folder.iterdir()):
            raise ConfigError(f"The folder {folder} is not empty.", "Name a new one for the workspace.")
        for name, source in self.tree().items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        make_alike(folder)
        return folder

    def tree(self) -> dict[str, Path]:
        """The files of the workspace: relative path → where its content is."""
        files = {name: path for layer in self.layers for name, path in files_of(layer).items()}
        return dict(sorted(files.items()))


@dataclass(frozen=True, slots=True)
class Bench:
    """Cases of one folder, in the order of their ids."""

    root: Path
    everything: tuple[Case, ...]

    def cases(self, only: tuple[str, ...] = ()) -> list[Case]:
        """All cases, or those whose id or codebase is named.

        Raises:
            ConfigError: a name that is neither.
        """
        known = {name for case in self.everything for name in (case.id, case.codebase)}
        if unknown := [name for name in only if name not in known]:
            raise ConfigError(f"The bench {self.root} has no case and no codebase {unknown[0]!r}.",
                              nearest(unknown[0], known))  # fmt: skip
        return [case for case in self.everything if not only or {case.id, case.codebase} & set(only)]

    def case(self, name: str) -> Case:
        """One case by its id.

        Raises:
            ConfigError: there is none.
        """
        for case in self.everything:
            if case.id == name:
                return case
        raise ConfigError(
            f"The bench {self.root} has no case {name!r}.", nearest(name, (c.id for c in self.everything))
        )

    def honest_twin(self, case: Case) -> Case:
        """The honest case of the same codebase (the case itself, if it is honest)."""
        twins = [other for other in self.everything if other.codebase == case.codebase and other.honest]
        if not twins:
            raise ConfigError(f"{case.rubric} has no honest case.", "Add one under the key honest.")
        return case if case.honest else next((twin for twin in twins if twin.layers[0] == case.layers[0]), twins[0])


def builtin_root() -> Path:
    """The folder of the bench that ships with the package."""
    return Path(__file__).with_name("bench")


def load_bench(path: Path | None = None) -> Bench:
    """The bench in a folder; the built-in one if none is named.

    Raises:
        ConfigError: the folder is no bench, or a rubric in it is odd; one sentence says which and how.
    """
    from cavesson.audit.rubrics import read_rubrics

    root = (builtin_root() if path is None else path.expanduser()).absolute()
    return Bench(root, tuple(sorted(read_rubrics(root), key=lambda case: case.id)))


def files_of(folder: Path) -> dict[str, Path]:
    """The regular files of a folder by relative path (with `/`); caches and version control are left out.

    Raises:
        ConfigError: it holds a link or something else that is no regular file.
    """
    files = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if _LEFT_OUT & set(relative.parts):
            continue
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise ConfigError(f"{path} is a link or a special file; a workspace holds regular files only.",
                              "Put the file itself in its place.")  # fmt: skip
        if path.is_file():
            files[relative.as_posix()] = path
    return files


def make_alike(folder: Path) -> None:
    """Give every file and folder the same time stamp and the usual permissions."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (MODIFIED, MODIFIED), follow_symlinks=False)
