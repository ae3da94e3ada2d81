"""Reading the answer keys of a bench: this project's rubrics and published rubrics, which have fewer keys.

A published rubric has `paper_name` and, under `honest` and `sabotaged`, a list of entries (or one entry, or a mapping
from ids to entries) with `id`, `workspace` and, if sabotaged, `sabotage` (a text, a list of texts, or a mapping with
`location`). Everything else is optional here;
`verify` says which key is missing. An entry that cannot be used is left out with one sentence, which names the file,
the entry and the key; the other entries load.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cavesson.audit.cases import KINDS, Case, Distractor
from cavesson.audit.findings import Finding
from cavesson.audit.workspace import PAPER, in_utf8, inside, published_files, read_text
from cavesson.errors import ConfigError, guess, quoted
from cavesson.lab.documents import read_yaml
from cavesson.lines import one_line

RUBRICS = ("codebases/_rubrics", "red_teaming/codebases/_rubrics")
"""The second folder of the published bench holds sabotages that models wrote."""

MOST_SEEDS = 100

_KEYS = {True: "honest", False: "sabotaged"}

_REMEDY = "See docs/audit.md for the layout of a bench."


@dataclass(slots=True)
class Read:
    """The entries of a bench's rubrics: cases, and sentences on what was left out and on what was made of odd entries."""

    cases: list[Case] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_rubrics(root: Path) -> Read:
    """All cases of the bench at `root` (or, for a folder that holds `_rubrics` itself, its parent).

    An entry that cannot be used is left out. A file of rubrics whose name starts with `_` is no rubric.

    Raises:
        ConfigError: there is no rubric, or no entry of any rubric can be used.
    """
    if (root / "_rubrics").is_dir():
        root = root.parent
    folders = [root / folder for folder in RUBRICS if (root / folder).is_dir()]
    files = [path for folder in folders for path in sorted(folder.iterdir()) if path.suffix in (".yaml", ".yml")]
    if not files:
        raise ConfigError(f"{root} is no bench: it has no {RUBRICS[0]}/*.yaml.", _REMEDY)
    read = Read()
    seen: dict[str, Case] = {}
    for path in files:
        if path.name.startswith("_"):
            read.notes.append(f"{path}: is no rubric, since its name starts with '_'.")
            continue
        for case in _cases(path, root, read):
            if case.id in seen:
                read.left_out.append(
                    f"{path}: The id {case.id!r} stands in {seen[case.id].rubric} and again in {case.rubric}."
                )
                continue
            seen[case.id] = case
            read.cases.append(case)
    if not read.cases:
        first = read.left_out[0] if read.left_out else f"{root} has no rubric but files whose names start with '_'."
        raise ConfigError(first, _REMEDY)
    return read


def _cases(path: Path, root: Path, read: Read) -> Iterator[Case]:
    """The cases of one rubric that can be used; the reasons for the others go to `read.left_out`."""
    try:
        rubric = _Rubric(path, root, read.notes)
        entries = rubric.named(read.left_out)
        findings = tuple(rubric.findings())
    except ConfigError as error:
        read.left_out.append(error.problem)
        return
    for name, (honest, entry) in entries.items():
        try:
            case = rubric.case(entry, name, honest, {one: other for one, (_, other) in entries.items()}, findings)
            names = case.tree()
        except ConfigError as error:
            told = repr(name) in error.problem
            read.left_out.append(error.problem if told else f"{path}: the entry {name!r}: {error.problem}")
            continue
        odd = [link for layer in case.layers for link in published_files(layer)[1]]
        if odd:
            rubric.note(name, f"has links or special files, which are left out: {', '.join(odd[:5])}")
        if PAPER not in names:
            rubric.note(name, f"has no {PAPER}; auditors get an empty paper")
        if latin := [file for file, place in names.items() if in_utf8(place) is not None]:
            rubric.note(name, f"has text in Latin-1, which is read as such: {', '.join(latin[:5])}")
        yield case


class _Rubric:
    """One rubric; its methods raise a ConfigError that names the file."""

    def __init__(self, path: Path, root: Path, notes: list[str]) -> None:
        self.path, self.root, self.notes = path, root, notes
        self.content: Mapping[str, Any] = read_yaml(path, "rubric", "`paper_name`, and an entry under `honest`", "")

    def named(self, left_out: list[str]) -> dict[str, tuple[bool, Mapping[str, Any]]]:
        """The entries of the file by id, each with whether it is honest; honest ones first.

        Args:
            left_out: gets a sentence for each entry without a usable id.
        """
        entries = [(honest, entry) for honest in (True, False) for entry in self.entries(honest)]
        if not entries:
            raise self.error("has neither honest nor sabotaged entries")
        named: dict[str, tuple[bool, Mapping[str, Any]]] = {}
        for honest, given in entries:
            try:
                entry = self.mapping(given, f"an entry under {_KEYS[honest]}")
                name = self.name(entry)
                if name in named:
                    raise self.error(f"has two entries {name!r}")
                named[name] = honest, entry
            except ConfigError as error:
                left_out.append(error.problem)
        return named

    def case(
        self,
        entry: Mapping[str, Any],
        name: str,
        honest: bool,
        siblings: Mapping[str, Mapping[str, Any]],
        findings: tuple[Finding, ...],
    ) -> Case:
        """One entry.

        Args:
            siblings: the entries of the file by id; `overlay_of` names an entry of the file.
        """
        if not honest and "sabotage" not in entry:
            raise self.error(f"the sabotaged entry {name!r} has no key sabotage")
        kind = self.optional(entry, "kind", name)
        if kind is not None and kind not in KINDS:
            raise self.error(f"the entry {name!r} has the kind {kind!r}; {guess(kind, KINDS)}")
        flips = tuple(self.strings(entry, "flips", name))
        if unknown := [flip for flip in flips if flip not in {finding.id for finding in findings}]:
            known = guess(unknown[0], (finding.id for finding in findings)) if findings else "the file lists none"
            raise self.error(f"the entry {name!r} flips the unknown finding {unknown[0]!r}; {known}")
        layers = tuple(self.layers(entry, name, siblings))
        key, places = (None, ()) if honest else self.answer(entry, name)
        return Case(
            id=name,
            codebase=self.path.stem,
            paper_name=self.optional(self.content, "paper_name", "the file") or _title(layers) or self.path.stem,
            honest=honest,
            layers=layers,
            rubric=self.path,
            author=self.optional(self.content, "author", "the file") or self.path.stem,
            scope=self.optional(self.content, "scope", "the file") or "",
            run=self.command(),
            seeds=tuple(self.seeds()),
            results=self.results(),
            findings=findings,
            kind=kind,
            flips=flips,
            sabotage=key,
            mechanism=self.optional(entry, "mechanism", name),
            files=tuple(self.strings(entry, "files", name)) or places,
            fix=self.inside(fix, name, "fix") if (fix := self.optional(entry, "fix", name)) else None,
            distractors=tuple(self.distractors(entry, name)),
        )

    def answer(self, entry: Mapping[str, Any], name: str) -> tuple[str, tuple[str, ...]]:
        """The answer key in prose, and the places that the key names: a text or texts, or a mapping with `location` and
        others."""
        given = entry["sabotage"]
        if isinstance(given, list) and given:
            return "\n".join(self.strings(entry, "sabotage", f"the entry {name!r}")), ()
        if not isinstance(given, dict):
            return self.text(entry, "sabotage", f"the entry {name!r}"), ()
        if not given:
            raise self.error(f"the entry {name!r} has under sabotage an empty mapping")
        where = given.get("location", given.get("locations", []))
        places = where if isinstance(where, list) else [where]
        prose = "\n".join(f"{key}: {value}" for key, value in given.items() if value is not None)
        return prose, tuple(place for place in places if isinstance(place, str) and place.strip())

    def entries(self, honest: bool) -> list[Any]:
        """The entries under `honest` or `sabotaged`: a list, a single entry, or entries by their ids."""
        given = self.content.get(_KEYS[honest]) or []
        if isinstance(given, dict) and not given.keys() & {"id", "workspace"} and all(isinstance(one, dict) for one in given.values()):  # fmt: skip
            return [{"id": name, **entry} for name, entry in given.items()]
        return given if isinstance(given, list) else [given]

    def layers(self, entry: Mapping[str, Any], name: str, siblings: Mapping[str, Mapping[str, Any]]) -> Iterator[Path]:
        """The folders of a workspace, from the ground up."""
        workspace, below = (
            self.text(entry, "workspace", f"the entry {name!r}"),
            self.optional(entry, "overlay_of", name),
        )
        if below is not None:
            if below not in siblings or below == name:
                raise self.error(f"the entry {name!r} is an overlay of the unknown entry {below!r}; "
                                 f"{guess(below, set(siblings) - {name})}")  # fmt: skip
            if siblings[below].get("overlay_of") is not None:
                raise self.error(f"the entry {name!r} is an overlay of {below!r}, which is an overlay itself")
            yield self.inside(self.text(siblings[below], "workspace", f"the entry {below!r}"), below, "workspace")
        elif (ground := self.ground(name, workspace, siblings)) is not None:
            self.note(
                name, f"has no overlay_of and lacks files of {ground.name}: it is taken as an overlay of {ground.name}"
            )
            yield ground
        yield self.inside(workspace, name, "workspace")

    def ground(self, name: str, workspace: str, siblings: Mapping[str, Mapping[str, Any]]) -> Path | None:
        """The folder below an overlay that does not say what it lies over; None for a workspace of its own.

        `x_persuasion` lies over `x`. A folder that has some of the honest entry's files, no other files, and lacks code
        of the honest entry, lies over the honest entry.
        """
        if (below := name.removesuffix("_persuasion")) != name:
            if below not in siblings:
                raise self.error(f"the entry {name!r} is an overlay (text meant to persuade), and there is no entry "
                                 f"{below!r} that it could lie over; say with overlay_of what it lies over")  # fmt: skip
            return self.inside(self.text(siblings[below], "workspace", f"the entry {below!r}"), below, "workspace")
        honest = [entry for entry in self.entries(True) if isinstance(entry, dict)]
        if len(honest) != 1 or honest[0].get("id") == name:
            return None
        other = self.text(honest[0], "workspace", "the honest entry")
        below_it, mine = (
            self.inside(other, str(honest[0].get("id")), "workspace"),
            self.inside(workspace, name, "workspace"),
        )
        under, over = set(published_files(below_it)[0]), set(published_files(mine)[0])
        lacks_code = any(file.endswith(".py") for file in under - over)
        return below_it if over and over < under and lacks_code else None

    def note(self, name: str, what: str) -> None:
        """Keep a sentence on an odd entry."""
        self.notes.append(f"{self.path}: the entry {name!r} {what}.")

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


def _title(layers: tuple[Path, ...]) -> str:
    """The first heading of a workspace's paper."""
    papers = [read_text(layer / PAPER) for layer in reversed(layers) if (layer / PAPER).is_file()]
    return next((line.lstrip("# ").strip() for text in papers for line in text.split("\n") if line.startswith("#")), "")


def _shape(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", str: "a text", type(None): "nothing", bool: "yes or no"}
    kind = names.get(type(value), "a number")
    return f"{kind} ({str(value)[:40]!r})" if value not in (None, "", [], {}) else kind if value is None else "nothing"
