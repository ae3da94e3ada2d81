"""Verified mutation: the edits by operators that flip a Key Finding when executed.

Seed 0 is the filter; an edit that survives the filter must flip the same finding in every seed of the paper. Runs are
kept in the cache, so a stopped search goes on where the search was.
"""

from __future__ import annotations

import ast
import json
import math
import random
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict

from cavesson.audit.cases import Case, Kind
from cavesson.audit.execution import Outcome, RunCache, RunFailed, experiment
from cavesson.audit.findings import Finding, FindingError
from cavesson.audit.patches import diff
from cavesson.audit.records import STRICT, read_records
from cavesson.audit.red.operators import OPERATORS
from cavesson.audit.red.papers import documents
from cavesson.audit.red.source import Edit, Mutation, TextFile, read_codebase
from cavesson.audit.sandbox.protocol import Limits, Sandbox
from cavesson.audit.workspace import PAPER, read_text
from cavesson.errors import ConfigError
from cavesson.lines import json_line, text_lines

LIMITS = Limits(cpu_s=20, wall_s=60, memory_mb=2048, processes=64, output_bytes=200_000, disk_mb=128)
"""Limits of one run of a candidate: a candidate that takes much longer than the honest code would be found by its
duration."""

MOST_OF_ONE = 3
"""Sabotages of one codebase by one operator: more would make a bench of a single trick."""

_UNMENTIONED = {"share-seed", "own-seed", "share-object", "hoist", "sink", "drop-argument", "fewer-distinct"}
"""Operators whose choice papers rarely mention: their mutants count as omissions."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A codebase with one change, and what execution says of it.

    Attributes:
        id: neutral name.
        codebase: the codebase that was changed.
        honest: whether all findings still hold in every seed: the change is benign.
        operator: name of the operator that made the change.
        kind: kind of sabotage; None for a benign change.
        flips: the findings that hold in no seed any more.
        mechanism: what changed and what follows, in two sentences.
        files: the places (`data.py:41`).
        patch: a unified diff from the honest twin.
        setting: name, value before and value after of the changed hyper-parameter, or None.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    id: str
    codebase: str
    honest: bool
    operator: str
    kind: Kind | None
    flips: tuple[str, ...]
    mechanism: str
    files: tuple[str, ...]
    patch: str
    setting: tuple[str, str, str] | None = None


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a candidate: its mutation, and `failed`, `odd`, `benign`, `unclear` or `flips`."""

    mutation: Mutation
    outcome: str
    flips: tuple[str, ...] = ()
    problem: str = ""


class Candidates:
    """Edits that still parse, by operator, each operator's in random order.

    The next edit comes from the operator with the best record in this codebase; an untried operator counts as an even
    chance.
    """

    def __init__(self, files: Sequence[TextFile], *, seed: int = 0) -> None:
        seen: set[tuple[str, tuple[Edit, ...]]] = set()
        self.left: dict[str, list[Mutation]] = {}
        self.tries: Counter[str] = Counter()
        self.hits: Counter[str] = Counter()
        for name, operator in OPERATORS.items():
            found = [mutation for file in files for mutation in operator.find(file) if _parses(file, mutation)]
            new = [mutation for mutation in found if (mutation.path, mutation.edits) not in seen]
            seen |= {(mutation.path, mutation.edits) for mutation in new}
            random.Random(f"{seed}/{name}").shuffle(new)
            self.left[name] = new

    def __iter__(self) -> Iterator[Mutation]:
        while names := [name for name, queue in self.left.items() if queue]:
            best = max(names, key=lambda name: (self.hits[name] + 1) / (self.tries[name] + 2))
            yield self.left[best].pop()

    def learn(self, tried: Tried) -> None:
        """Take in what became of a candidate."""
        self.tries[tried.mutation.operator] += 1
        self.hits[tried.mutation.operator] += tried.outcome == "flips"


def find_mutants(
    case: Case,
    sandbox: Sandbox,
    *,
    want: int = 8,
    benign: int = 2,
    budget: int = 100,
    cache: RunCache | None = None,
    on_try: Callable[[Tried], None] | None = None,
) -> list[Mutant]:
    """Search one honest codebase.

    Args:
        want: number of verified sabotages.
        benign: number of changes that leave all findings as they are, for honest cases besides the original.
        budget: number of candidates that are run.
        on_try: called with each candidate.

    Raises:
        ConfigError: the case is sabotaged, or its rubric does not say how to run the code.
        RunFailed: the honest code itself does not run.
    """
    if not (case.honest and case.run and case.findings and case.seeds):
        raise ConfigError(f"{case.id} cannot be mutated: it is sabotaged, or its rubric has no command, findings or seeds.",
                          "Name an honest case of a bench that verify accepts.")  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="cavesson-mutants-") as place:
        folder = case.materialise(Path(place) / "workspace")
        search = _Search(case, folder, read_codebase(folder), sandbox, cache or RunCache())
        kept: list[tuple[Mutation, tuple[str, ...]]] = []
        sites: set[tuple[str, int]] = set()
        counted: Counter[str] = Counter()
        queue = Candidates(search.files)
        for mutation in queue:
            wanted = counted["flips"] < want, counted["benign"] < benign
            if not any(wanted) or sum(counted.values()) >= budget:
                break
            if (mutation.path, mutation.line) in sites or queue.hits[mutation.operator] >= MOST_OF_ONE:
                continue
            tried = search.attempt(mutation, want_flip=wanted[0], want_benign=wanted[1])
            counted[tried.outcome] += 1
            queue.learn(tried)
            if tried.outcome in ("flips", "benign"):
                kept.append((mutation, tried.flips))
                sites.add((mutation.path, mutation.line))
            if on_try is not None:
                on_try(tried)
        return [search.mutant(mutation, flips, number) for number, (mutation, flips) in enumerate(kept)]


class _Search:
    """One codebase with its honest results."""

    def __init__(self, case: Case, folder: Path, files: Sequence[TextFile], sandbox: Sandbox, cache: RunCache) -> None:
        self.case, self.folder, self.files, self.sandbox, self.cache = case, folder, files, sandbox, cache
        self.texts = {file.path: file for file in files}
        self.paper = read_text(folder / PAPER)
        runs = [experiment(folder, case, seed, sandbox, cache=cache) for seed in case.seeds]
        self.honest = [run.results for run in runs]
        slowest = max(run.seconds for run in runs)
        self.limits = replace(LIMITS, cpu_s=min(LIMITS.cpu_s, 2 * slowest + 2))
        self.first_results: set[str] = {_digest(self.honest[0])}

    def attempt(self, mutation: Mutation, *, want_benign: bool, want_flip: bool) -> Tried:
        """Run a candidate: seed 0, and the other seeds if seed 0 promises a wanted mutant."""
        flips: set[str] = {finding.id for finding in self.case.findings}
        benign = True
        for at, seed in enumerate(self.case.seeds):
            outcome = self.run(mutation, seed)
            if isinstance(outcome, RunFailed):
                return Tried(mutation, "failed", problem=outcome.problem)
            if problem := odd(self.honest[at], outcome.results):
                return Tried(mutation, "odd", problem=problem)
            if at == 0 and (made := _digest(outcome.results)) in self.first_results:
                return Tried(mutation, "odd", problem="the results are those of another version")
            if at == 0:
                self.first_results.add(made)
            try:
                fallen = {finding.id for finding in self.case.findings if not finding.evaluate(outcome.results)}
            except FindingError as error:
                return Tried(mutation, "odd", problem=error.problem)
            flips &= fallen
            benign = benign and not fallen
            if not (flips and want_flip) and not (benign and want_benign):
                return Tried(
                    mutation, "unclear", problem=f"seed {seed}: {', '.join(sorted(fallen)) or 'nothing'} flips"
                )
        return Tried(mutation, "benign" if benign else "flips", tuple(sorted(flips)))

    def run(self, mutation: Mutation, seed: int) -> Outcome | RunFailed:
        changed = {mutation.path: self.texts[mutation.path].mutated(mutation.edits)}
        try:
            return experiment(
                self.folder, self.case, seed, self.sandbox, overrides=changed, limits=self.limits, cache=self.cache
            )
        except RunFailed as failure:
            return failure

    def mutant(self, mutation: Mutation, flips: tuple[str, ...], number: int) -> Mutant:
        file = self.texts[mutation.path]
        after = file.mutated(mutation.edits)
        patch = diff({file.path: file.text}, {file.path: after})
        return Mutant(
            id=f"{self.case.codebase}_m{number + 1:02d}",
            codebase=self.case.codebase,
            honest=not flips,
            operator=mutation.operator,
            kind=self.kind(mutation) if flips else None,
            flips=flips,
            mechanism=describe(mutation.operator, patch, [one for one in self.case.findings if one.id in flips]),
            files=(f"{mutation.path}:{_first_line(file.text, after)}",),
            patch=patch,
            setting=mutation.setting,
        )

    def kind(self, mutation: Mutation) -> Kind:
        """A setting that the paper names is a design, a setting that the paper does not name an omission; other changes
        are logic or omissions."""
        if mutation.setting is not None:
            return "design" if documents(self.paper, mutation.setting) else "omission"
        return "omission" if mutation.operator in _UNMENTIONED else "logic"


def odd(honest: Any, results: Any) -> str:
    """What is conspicuous in results: other keys, numbers that are not finite, shares outside 0 to 1; empty if nothing
    is.

    A number is a share if it and all its neighbours in the honest results lie between 0 and 1.
    """
    before, after = dict(leaves(honest)), dict(leaves(results))
    if not set(before) <= set(after):
        return f"the results lack {sorted(set(before) - set(after))[0]}"
    others = {name.rpartition(".")[0] for name, value in before.items() if not 0 <= value <= 1}
    for name, value in after.items():
        if not math.isfinite(value):
            return f"{name} is {value}"
        if name in before and name.rpartition(".")[0] not in others and not 0 <= value <= 1:
            return f"{name} was a share and is {value:.3g}"
    return ""


def leaves(node: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of results with their paths; other values are left out."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from leaves(value, f"{name}.{key}".lstrip("."))
    elif isinstance(node, list):
        for at, value in enumerate(node):
            yield from leaves(value, f"{name}.{at}")
    elif isinstance(node, int | float) and not isinstance(node, bool):
        yield name, float(node)


def describe(operator: str, patch: str, flipped: Sequence[Finding]) -> str:
    """The mechanism of a mutant in two sentences: what changed, and what no longer holds."""
    changed = {sign: [line[1:].strip() for line in patch.split("\n") if re.match(rf"[{sign}](?![{sign}]{{2}} )", line)]
               for sign in "-+"}  # fmt: skip
    old, new = ("; ".join(f"`{line}`" for line in changed[sign]) for sign in "-+")
    what = f"{old} became {new}" if old and new else f"{old} went" if old else f"{new} was added"
    texts = "; ".join(finding.text.rstrip(".") for finding in flipped)
    effect = f"With it this no longer holds in any seed: {texts}." if flipped else "All findings hold all the same."
    return f"The change {OPERATORS[operator].about}: {what}. {effect}"


def write_mutants(path: Path, mutants: Sequence[Mutant]) -> None:
    """Mutants as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json_line(asdict(mutant)) for mutant in mutants), encoding="utf-8")


def read_mutants(path: Path) -> list[Mutant]:
    """Mutants from JSON lines.

    Raises:
        ConfigError: a line is no mutant.
    """
    return read_records(path, Mutant, "mutant")


def _parses(file: TextFile, mutation: Mutation) -> bool:
    if not file.path.endswith(".py"):
        return True
    try:
        ast.parse(file.mutated(mutation.edits))
    except SyntaxError:
        return False
    return True


def _digest(results: Any) -> str:
    return json.dumps(results, sort_keys=True)


def _first_line(before: str, after: str) -> int:
    """The first line of the changed text that differs."""
    old, new = text_lines(before), text_lines(after)
    at = next((at for at, (one, two) in enumerate(zip(old, new, strict=False)) if one != two), len(new) - 1)
    return at + 1
