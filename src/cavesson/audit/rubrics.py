"""Reading the answer keys of a bench: this project's rubrics and published rubrics, which have fewer keys.

A published rubric has `paper_name` and, under `honest` and `sabotaged`, a list of entries (or one entry) with `id`,
`workspace` and, if sabotaged, `sabotage`. Everything else is optional here; `verify` says which key is missing. An
entry that cannot be used gives one error, which names the file, the entry and the key.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cavesson.audit.cases import KINDS, Case, Distractor
from cavesson.audit.findings import Finding
from cavesson.audit.workspace import inside
from cavesson.errors import ConfigError, nearest, quoted
from cavesson.lab.documents import read_yaml
from cavesson.lines import one_line

RUBRICS = ("codebases/_rubrics", "red_teaming/codebases/_rubrics")
"""The second folder of the published bench holds sabotages that models wrote."""

MOST_SEEDS = 100

_REMEDY = "See docs/audit.md for the layout of a bench."


def read_rubrics(root: Path) -> list[Case]:
    """All cases of the bench at `root` (or, for a folder that holds `_rubrics` itself, its parent).

    Raises:
        ConfigError: there is no rubric, or a rubric cannot be used.
    """
    if (root / "_rubrics").is_dir():
        root = root.parent
    folders = [root / folder for folder in RUBRICS if (root / folder).is_dir()]
    files = [path for folder in folders for path in sorted(folder.iterdir()) if path.suffix in (".yaml", ".yml")]
    if not files:
        raise ConfigError(f"{root} is no bench: it has no {RUBRICS[0]}/*.yaml.", _REMEDY)
    cases = [case for path in files for case in _Rubric(path, root).cases()]
    seen: dict[str, Case] = {}
    for case in cases:
        if case.id in seen:
            raise ConfigError(f"The id {case.id!r} stands in {seen[case.id].rubric} and again in {case.rubric}.",
                              "Give every case an id of its own.")  # fmt: skip
        seen[case.id] = case
    return cases


class _Rubric:
    """One rubric; its methods raise a ConfigError that names the file."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path, self.root = path, root
        self.content: Mapping[str, Any] = read_yaml(path, "rubric", "`paper_name`, and an entry under `honest`", "")

    def cases(self) -> Iterator[Case]:
        """The cases of the file, honest ones first."""
        entries = [(honest, entry) for honest in (True, False) for entry in self.entries(honest)]
        if not entries:
            raise self.error("has neither honest nor sabotaged entries")
        workspaces: dict[str, Mapping[str, Any]] = {}
        for _, entry in entries:
            name = self.name(entry)
            if name in workspaces:
                raise self.error(f"has two entries {name!r}")
            workspaces[name] = entry
        findings = tuple(self.findings())
        for honest, entry in entries:
            yield self.case(entry, honest, workspaces, findings)

    def case(
        self,
        entry: Mapping[str, Any],
        honest: bool,
        siblings: Mapping[str, Mapping[str, Any]],
        findings: tuple[Finding, ...],
    ) -> Case:
        """One entry.

        Args:
            siblings: the entries of the file by id; `overlay_of` names an entry of the file.
        """
        name = self.name(entry)
        if not honest and "sabotage" not in entry:
            raise self.error(f"the sabotaged entry {name!r} has no key sabotage")
        kind = self.optional(entry, "kind", name)
        if kind is not None and kind not in KINDS:
            raise self.error(f"the entry {name!r} has the kind {kind!r}; {nearest(kind, KINDS)}")
        flips = tuple(self.strings(entry, "flips", name))
        if unknown := [flip for flip in flips if flip not in {finding.id for finding in findings}]:
            known = nearest(unknown[0], (finding.id for finding in findings)) if findings else "the file lists none"
            raise self.error(f"the entry {name!r} flips the unknown finding {unknown[0]!r}; {known}")
        return Case(
            id=name,
            codebase=self.path.stem,
            paper_name=self.text(self.content, "paper_name", "the file"),
            honest=honest,
            layers=tuple(self.layers(entry, name, siblings)),
            rubric=self.path,
            author=self.optional(self.content, "author", "the file") or self.path.stem,
            scope=self.optional(self.content, "scope", "the file") or "",
            run=self.command(),
            seeds=tuple(self.seeds()),
            results=self.results(),
            findings=findings,
            kind=kind,
            flips=flips,
            sabotage=None if honest else self.text(entry, "sabotage", f"the entry {name!r}"),
            mechanism=self.optional(entry, "mechanism", name),
            files=tuple(self.strings(entry, "files", name)),
            fix=self.inside(fix, name, "fix") if (fix := self.optional(entry, "fix", name)) else None,
            distractors=tuple(self.distractors(entry, name)),
        )

    def entries(self, honest: bool) -> list[Mapping[str, Any]]:
        """The entries under `honest` or `sabotaged`: a list, or a single entry."""
        key = "honest" if honest else "sabotaged"
        given = self.content.get(key) or []
        entries = given if isinstance(given, list) else [given]
        return [self.mapping(entry, f"an entry under {key}") for entry in entries]

    def layers(self, entry: Mapping[str, Any], name: str, siblings: Mapping[str, Mapping[str, Any]]) -> Iterator[Path]:
        """The folders of a workspace, from the ground up."""
        workspace, below = (
            self.text(entry, "workspace", f"the entry {name!r}"),
            self.optional(entry, "overlay_of", name),
        )
        if below is not None:
            if below not in siblings or below == name:
                raise self.error(f"the entry {name!r} is an overlay of the unknown entry {below!r}; "
                                 f"{nearest(below, set(siblings) - {name})}")  # fmt: skip
            if siblings[below].get("overlay_of") is not None:
                raise self.error(f"the entry {name!r} is an overlay of {below!r}, which is an overlay itself")
            yield self.inside(self.text(siblings[below], "workspace", f"the entry {below!r}"), below, "workspace")
        elif name.endswith("_persuasion") or workspace.rstrip("/").endswith("_persuasion"):
            raise self.error(f"the entry {name!r} is an overlay (text meant to persuade), not a workspace of its own; "
                             "say with overlay_of what it lies over")  # fmt: skip
        yield self.inside(workspace, name, "workspace")

    def inside(self, relative: str, name: str, key: str) -> Path:
        """The file or folder that an entry names, relative to the bench or to the folder that holds the rubrics."""
        for base in (self.path.parents[1], self.root, self.root / "codebases"):
            path = (base / relative).resolve()
            if not path.is_relative_to(self.root.resolve()):
                raise self.error(f"the {key} {relative!r} of the entry {name!r} leads out of the bench")
            if self.path.is_relative_to(path):
                raise self.error(f"the {key} {relative!r} of the entry {name!r} holds the answer key")
            if path.is_dir() if key == "workspace" else path.is_file():
                return path
        what = "folder" if key == "workspace" else "file"
        raise self.error(f"the {key} {relative!r} of the entry {name!r} is a {what} that does not exist")

    def findings(self) -> Iterator[Finding]:
        """The Key Findings."""
        seen: set[str] = set()
        for entry in self.mappings(self.content, "findings", "the file"):
            name, text, holds = (self.text(entry, key, "a finding") for key in ("id", "text", "holds"))
            if name in seen:
                raise self.error(f"has two findings {name!r}")
            seen.add(name)
            yield Finding(name, text, holds, rubric=str(self.path))

    def distractors(self, entry: Mapping[str, Any], name: str) -> Iterator[Distractor]:
        """The distractors of an entry."""
        for given in self.mappings(entry, "distractors", f"the entry {name!r}"):
            where = f"a distractor of {name!r}"
            yield Distractor(self.text(given, "about", where), tuple(self.strings(given, "files", where)))

    def command(self) -> str | None:
        """The command of one seed."""
        run = self.optional(self.content, "run", "the file")
        if run is not None and not ("{seed}" in run and "{out}" in run):
            raise self.error(f"has the command {run!r}, which must hold {{seed}} and {{out}}")
        try:
            shlex.split(run or "")
        except ValueError as error:
            raise self.error(f"has the command {run!r}, which is no command ({error})") from error
        return run

    def results(self) -> str:
        """The file below `{out}` that the findings read."""
        try:
            return inside(self.optional(self.content, "results", "the file") or "results.json")
        except ConfigError as error:
            raise self.error(f"the file has under results a path that cannot be used: {error.problem}") from error

    def seeds(self) -> list[int]:
        """The seeds that the paper reports."""
        seeds = self.content.get("seeds", [])
        if not isinstance(seeds, list) or not all(type(seed) is int and 0 <= seed < 2**32 for seed in seeds):
            raise self.error(f"has seeds {quoted(seeds)}, which must be a list of whole numbers from 0 to 2^32")
        if len(seeds) > MOST_SEEDS or len(set(seeds)) < len(seeds):
            raise self.error(f"has {len(seeds)} seeds; at most {MOST_SEEDS} different ones can be run")
        return seeds

    # --- shapes

    def mapping(self, value: Any, where: str) -> Mapping[str, Any]:
        """A value that must be a mapping."""
        if not isinstance(value, dict):
            raise self.error(f"{where} is {_shape(value)}, not a mapping of keys to values")
        return value

    def mappings(self, entry: Mapping[str, Any], key: str, where: str) -> list[Mapping[str, Any]]:
        """A key whose value, if there, must be a list of mappings."""
        values = entry.get(key) or []
        if not isinstance(values, list):
            raise self.error(f"{where} has under {key} {_shape(values)}, not a list")
        return [self.mapping(value, f"an entry under {key}") for value in values]

    def strings(self, entry: Mapping[str, Any], key: str, where: str) -> list[str]:
        """A key whose value, if there, must be a list of texts."""
        values = entry.get(key) or []
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise self.error(f"{where} has under {key} {_shape(values)}, not a list of texts")
        return values

    def text(self, entry: Mapping[str, Any], key: str, where: str) -> str:
        """A key that must be there and be a text."""
        if key not in entry:
            raise self.error(f"{where} has no key {key}" + (f" (it has {', '.join(map(str, entry))})" if entry else ""))
        value = entry[key]
        if not isinstance(value, str) or not value.strip():
            raise self.error(f"{where} has under {key} {_shape(value)}, not a text")
        return value.strip()

    def name(self, entry: Mapping[str, Any]) -> str:
        """The id of an entry, which becomes the name of a folder."""
        name = self.text(entry, "id", "an entry")
        if one_line(name) != name or "/" in name or name in (".", "..") or len(name.encode()) > 200:
            raise self.error(f"an entry has the id {quoted(name)}, which cannot be the name of a folder")
        return name

    def optional(self, entry: Mapping[str, Any], key: str, where: str) -> str | None:
        """A key that may be missing."""
        return None if entry.get(key) is None else self.text(entry, key, where)

    def error(self, problem: str) -> ConfigError:
        """One sentence that starts with the file."""
        return ConfigError(f"{self.path}: {problem}.", _REMEDY)


def _shape(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", str: "a text", type(None): "nothing", bool: "yes or no"}
    kind = names.get(type(value), "a number")
    return f"{kind} ({str(value)[:40]!r})" if value not in (None, "", [], {}) else kind if value is None else "nothing"
