"""The shipped mutants as a bench: every patch applied, every run made here, every flip seen again.

Shipped are patches (a few kilobytes). Predictions, tables and figures would be megabytes, and a result from another
machine proves nothing on this machine; so `make_bench` runs each mutant (a run in the cache is not made again) and
keeps the output:

    codebases/_rubrics/<codebase>.yaml, codebases/<id>/, codebases/_fixes/<id>.patch    as in any bench
    made/<id>                                                                           what a mutant was made from
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cavesson.audit.bench import Bench, builtin_root, load_bench
from cavesson.audit.cases import Case
from cavesson.audit.execution import Outcome, RunFailed, digest, experiment
from cavesson.audit.findings import FindingError
from cavesson.audit.patches import apply_patch, diff
from cavesson.audit.red.papers import rewrite
from cavesson.audit.red.search import LIMITS, Mutant, read_mutants
from cavesson.audit.red.source import editable
from cavesson.audit.sandbox.protocol import Sandbox
from cavesson.audit.workspace import PAPER, make_alike, read_text
from cavesson.errors import CavessonError, ConfigError
from cavesson.lab.place import default_root

VERSION = 1
"""Version of the files that `make_bench` writes; a change makes everything anew."""

_NUMBERS = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:e-?\d+)?")
_PLAIN_COMMAND = re.compile(r"^\s*(python [\w./-]+\.py)\s*(?:#.*)?$", re.MULTILINE)


class NotVerified(CavessonError):
    """A mutant that does not flip its findings on this machine."""


@dataclass(frozen=True, slots=True)
class Made:
    """What became of one mutant: made now, made earlier, or the problem."""

    mutant: Mutant
    problem: str = ""
    fresh: bool = True


def shipped(folder: Path | None = None) -> list[Mutant]:
    """The mutants that come with the package (or lie in a folder), by codebase."""
    folder = folder or builtin_root() / "mutants"
    return [mutant for path in sorted(folder.glob("*.jsonl")) for mutant in read_mutants(path)]


def mutants_root() -> Path:
    """Where the bench of mutants is made: `audit/mutants` below the store."""
    return default_root() / "audit" / "mutants"


def mutant_bench(root: Path | None = None) -> Bench:
    """The bench of mutants that `cavesson audit mutants make` wrote.

    Raises:
        ConfigError: the bench has not been made.
    """
    root = root or mutants_root()
    if not (root / "codebases" / "_rubrics").is_dir():
        raise ConfigError(f"There is no bench of mutants in {root}.", "Make it: cavesson audit mutants make")
    return load_bench(root)


def make_bench(
    root: Path,
    mutants: Sequence[Mutant],
    bench: Bench,
    sandbox: Sandbox,
    *,
    on_made: Callable[[Made], None] | None = None,
) -> list[Made]:
    """Write a bench of mutants; mutants that were made from the same code and patch are kept.

    Args:
        root: folder of the new bench.
        mutants: mutants of honest cases of `bench`.
        on_made: called with each mutant.

    Returns:
        What became of each mutant. A mutant that fails, or flips nothing on this machine, is left out of the rubric.
    """
    by_codebase: dict[str, list[Made]] = {}
    for mutant in mutants:
        made = _one(root, mutant, _parent(bench, mutant), sandbox)
        by_codebase.setdefault(mutant.codebase, []).append(made)
        if on_made is not None:
            on_made(made)
    for codebase, group in by_codebase.items():
        parent = _parent(bench, group[0].mutant)
        _write_honest(root, parent)
        good = [made.mutant for made in group if not made.problem]
        path = root / "codebases" / "_rubrics" / f"{codebase}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(_rubric(parent, good), sort_keys=False, allow_unicode=True), encoding="utf-8")
    return [made for group in by_codebase.values() for made in group]


def stored_results(folder: Path, case: Case) -> list[dict[str, Any]]:
    """The results that a workspace stores, one for each of the paper's seeds.

    Raises:
        ConfigError: the results are missing.
    """
    found = []
    for seed in case.seeds:
        path = folder / "results" / f"seed_{seed}" / case.results
        try:
            found.append(dict(json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{case.id} stores no results of seed {seed}: {error}", "Run its command.") from error
    return found


def _parent(bench: Bench, mutant: Mutant) -> Case:
    honest = [case for case in bench.cases((mutant.codebase,)) if case.honest]
    if not honest:
        raise ConfigError(f"The codebase {mutant.codebase} has no honest case to mutate.", "Name another bench.")
    return honest[0]


def _one(root: Path, mutant: Mutant, parent: Case, sandbox: Sandbox) -> Made:
    """Make one mutant, unless the mutant exists."""
    with tempfile.TemporaryDirectory(prefix="cavesson-mutant-") as place:
        honest = parent.materialise(Path(place) / "honest")
        key = hashlib.sha256(f"{VERSION}{digest(honest)}{parent.run}{mutant}".encode()).hexdigest()
        target, mark = root / "codebases" / mutant.id, root / "made" / mutant.id
        if target.is_dir() and mark.is_file() and mark.read_text(encoding="utf-8") == key:
            return Made(mutant, fresh=False)
        try:
            work = mutate(mutant, parent, honest, Path(place) / "workspace", sandbox)
        except (NotVerified, ConfigError) as error:
            return Made(mutant, problem=error.problem)
        shutil.rmtree(target, ignore_errors=True)
        _copy_changed(honest, work, target)
        if not mutant.honest:
            fix = root / "codebases" / "_fixes" / f"{mutant.id}.patch"
            fix.parent.mkdir(parents=True, exist_ok=True)
            fix.write_text(diff(_texts(work, mutant), _texts(honest, mutant)), encoding="utf-8")
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.write_text(key, encoding="utf-8")
        return Made(mutant)


def mutate(mutant: Mutant, parent: Case, honest: Path, folder: Path, sandbox: Sandbox) -> Path:
    """Write a mutant's workspace: its code, its results from runs in the sandbox, and its paper by rule.

    Args:
        honest: the workspace of the parent.
        folder: the workspace of the mutant.

    Raises:
        NotVerified: a run fails, or the findings do not come out as the mutant says.
        ConfigError: the patch does not fit the code.
    """
    work = parent.materialise(folder)
    chosen = _numbers_chosen(work)
    apply_patch(mutant.patch, work)
    fill_results(work, mutant, parent, honest, sandbox)
    runs = stored_results(work, parent)
    for finding in parent.findings:
        for seed, results in zip(parent.seeds, runs, strict=True):
            try:
                holds = finding.evaluate(results)
            except FindingError as error:
                raise NotVerified(f"{mutant.id}, seed {seed}: {error.problem}") from error
            if (finding.id in mutant.flips and holds) or (mutant.honest and not holds):
                raise NotVerified(
                    f"{mutant.id}: {finding.id} {'holds' if holds else 'does not hold'} with seed {seed}."
                )
    paper = work / PAPER
    paper.write_text(
        rewrite(read_text(paper), runs, parent.findings, chosen, mutant.setting),
        encoding="utf-8",
    )
    make_alike(work)
    return work


def fill_results(work: Path, mutant: Mutant, parent: Case, honest: Path, sandbox: Sandbox) -> None:
    """Make results/ anew from runs of the mutant, then by the README's other commands (averages); figures are left out.

    Raises:
        NotVerified: a run or a command fails.
    """
    shutil.rmtree(work / "results")
    changed = _texts(work, mutant)
    for seed in parent.seeds:
        try:
            outcome = experiment(honest, parent, seed, sandbox, overrides=changed, limits=LIMITS)
        except RunFailed as failure:
            raise NotVerified(f"{mutant.id}: {failure.problem}") from failure
        _store(work / "results" / f"seed_{seed}", parent, outcome)
    for command in _PLAIN_COMMAND.findall(read_text(work / "README.md")):
        ran = sandbox.run(shlex.split(command), work, LIMITS, writable=("results",))
        if not ran.ok:
            raise NotVerified(f"{mutant.id}: `{command}` failed: {ran.why()}")
    _drop_figures(work)


def _store(folder: Path, case: Case, outcome: Outcome) -> None:
    texts = {case.results: json.dumps(outcome.results, indent=1) + "\n", **outcome.files}
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def _drop_figures(work: Path) -> None:
    for path in (work / "results").rglob("*"):
        if path.suffix in (".svg", ".png"):
            path.unlink()


def _numbers_chosen(folder: Path) -> set[str]:
    """Every number in the code and configuration of a workspace."""
    texts = [read_text(path) for path in folder.rglob("*") if path.is_file() and editable(path.name)]
    return {number for text in texts for number in _NUMBERS.findall(text)}


def _write_honest(root: Path, parent: Case) -> None:
    """The honest twin, with a paper by the same rule."""
    target = root / "codebases" / parent.id
    shutil.rmtree(target, ignore_errors=True)
    parent.materialise(target)
    _same_shape(target, parent)
    paper = target / PAPER
    text = rewrite(read_text(paper), stored_results(target, parent), parent.findings, _numbers_chosen(target))
    paper.write_text(text, encoding="utf-8")
    make_alike(target)


def _same_shape(target: Path, parent: Case) -> None:
    """Write the stored results of the honest twin as those of mutants are written: no figures, one kind of JSON."""
    for seed, results in zip(parent.seeds, stored_results(target, parent), strict=True):
        path = target / "results" / f"seed_{seed}" / parent.results
        path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    _drop_figures(target)


def _copy_changed(honest: Path, work: Path, target: Path) -> None:
    for path in sorted(work.rglob("*")):
        name = path.relative_to(work)
        if path.is_file() and not ((honest / name).is_file() and (honest / name).read_bytes() == path.read_bytes()):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / name)


def _texts(folder: Path, mutant: Mutant) -> dict[str, str]:
    names = [place.partition(":")[0] for place in mutant.files]
    return {name: read_text(folder / name) for name in names}


def _rubric(parent: Case, mutants: Sequence[Mutant]) -> dict[str, Any]:
    return {
        "paper_name": parent.paper_name,
        "scope": parent.scope,
        "run": parent.run,
        "seeds": list(parent.seeds),
        "results": parent.results,
        "findings": [{"id": one.id, "text": one.text, "holds": one.holds} for one in parent.findings],
        "honest": [
            {"id": parent.id, "workspace": parent.id,
             "distractors": [{"about": one.about, "files": list(one.files)} for one in parent.distractors]},
            *({"id": one.id, "workspace": one.id, "overlay_of": parent.id,
               "distractors": [{"about": one.mechanism, "files": list(one.files)}]} for one in mutants if one.honest),
        ],
        "sabotaged": [
            {"id": one.id, "workspace": one.id, "overlay_of": parent.id, "kind": one.kind, "flips": list(one.flips),
             "mechanism": one.mechanism, "sabotage": f"{one.operator}: {one.mechanism}", "files": list(one.files),
             "fix": f"_fixes/{one.id}.patch"}
            for one in mutants if not one.honest
        ],
    }  # fmt: skip
