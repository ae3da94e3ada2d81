"""All evaluations by name: each is a class and a line in `BENCHMARKS`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, TypeAdapter, ValidationError

from cavesson.data.recipes import Jsonl
from cavesson.errors import ConfigError, entry_of, guess
from cavesson.evals.behavior_eval import BehaviorEval, Conditional
from cavesson.evals.drive_eval import DriveEval
from cavesson.evals.everyday import EVERYDAY
from cavesson.evals.harness import PREFIX as HARNESS
from cavesson.evals.harness import HarnessTask, harness_task
from cavesson.evals.inspected import PREFIX as INSPECT
from cavesson.evals.inspected import InspectTask, inspect_task
from cavesson.evals.items import Eval
from cavesson.evals.posed import Posed
from cavesson.evals.rigged import Rigged
from cavesson.evals.standard.questions import Questions
from cavesson.evals.standard.sets import STANDARD
from cavesson.evals.world import Chat, Facts, Instructions, Knowledge, Maths, Recall, Style, Voice
from cavesson.lab.documents import in_words

BENCHMARKS: dict[str, type[Eval]] = {
    "maths": Maths,
    "knowledge": Knowledge,
    "facts": Facts,
    "instructions": Instructions,
    "style": Style,
    "chat": Chat,
    "memorised": Recall,
    "voice": Voice,
    "behavior": BehaviorEval,
    "conditional": Conditional,
    "drive": DriveEval,
    "posed": Posed,
    "rigged": Rigged,
    **EVERYDAY,
    **STANDARD,
    "questions": Questions,
    "inspect": InspectTask,
    "lm-eval": HarnessTask,
}


def _by_name(given: Any) -> Any:
    """The evaluation that settings with a `name` describe; a value that is no dict is returned unchanged.

    Recipes that were stored when all benchmarks shared one class spell out the settings of all benchmarks: a setting of
    another benchmark is ignored if it has its default value.

    Raises:
        ValueError: there is no such benchmark, or a setting belongs to another benchmark.
    """
    if not isinstance(given, dict):
        return given
    name = str(given.get("name"))
    if name not in BENCHMARKS:
        raise ValueError(f"there is no evaluation {name!r}; {guess(name, BENCHMARKS)}")
    own = BENCHMARKS[name].model_fields
    for setting in given.keys() - own.keys():
        _refuse_foreign(name, setting, given[setting])
    return BENCHMARKS[name](**{setting: value for setting, value in given.items() if setting in own})


def _refuse_foreign(name: str, setting: str, value: Any) -> None:
    """Refuse a setting that a benchmark does not have, unless the value is the default of a benchmark that has it."""
    owners = {owner: one.model_fields[setting] for owner, one in BENCHMARKS.items() if setting in one.model_fields}
    if not owners:
        raise ValueError(f"the evaluation {name!r} has no `{setting}`; {guess(setting, BENCHMARKS[name].model_fields)}")
    defaults = [None if field.is_required() else field.default for field in owners.values()]
    if (tuple(value) if isinstance(value, list) else value) not in defaults:
        whose = f"evaluation {next(iter(owners))!r}" if len(owners) == 1 else f"evaluations {', '.join(owners)}"
        raise ValueError(f"`{setting}` belongs to the {whose}, not to {name!r}")


def check_suite(suite: tuple[Eval, ...]) -> tuple[Eval, ...]:
    """The suite, if its evaluations have different labels.

    Raises:
        ValueError: the suite is empty, or two evaluations have the same label.
    """
    labels = [one.label for one in suite]
    if not labels:
        raise ValueError("a suite needs at least one evaluation")
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        raise ValueError(f"two evaluations of a suite have the label {repeated[0]!r}")
    return suite


AnyEval = Annotated[Eval, BeforeValidator(_by_name)]
"""An evaluation as a field of a recipe: its `name` decides the class when JSON is read."""

Suite = Annotated[tuple[AnyEval, ...], AfterValidator(check_suite)]
"""Evaluations whose labels differ, as a field of a recipe."""


def eval_named(name: str, **settings: Any) -> Eval:
    """An evaluation by name.

    Raises:
        ConfigError: there is no such evaluation, or a setting does not fit.
    """
    entry_of(BENCHMARKS, name, "evaluation")
    try:
        return TypeAdapter(AnyEval).validate_python({"name": name, **settings})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"The evaluation {name!r} is not possible: {f'{where}: ' if where else ''}{in_words(first)}.",
            "`cavesson eval --help` shows what there is.",
        ) from error


FILES = frozenset((".jsonl", ".json", ".csv", ".tsv", ".parquet", ".eval"))
"""How the name of a file of questions may end, before an ending of compression."""


def _stem(name: str) -> str:
    """The name of a data file without its endings: `sums` of `data/sums.jsonl.gz`."""
    stem = Path(name).name
    while Path(stem).suffix in FILES | {".gz", ".bz2", ".xz"}:
        stem = Path(stem).stem
    return stem


def benchmark_named(name: str, folder: str | Path | None = None, **settings: Any) -> Eval:
    """An evaluation by name (see `eval_named`), a standard set with its data, or a file of a user's own questions.

    Args:
        name: a benchmark's name, the path of a data file, a task of Inspect's (`inspect:inspect_evals/gsm8k`,
            `inspect:mine.py@task`) or of lm-eval (`lm-eval:arc_easy`, `lm-eval:mine.yaml`), arguments behind it as `:level=3`.
        folder: the local folder of standard sets; None: the hub.
        settings: `n`, `seed` and further fields of the benchmark.

    Raises:
        ConfigError: there is no such evaluation or file, the set's data are missing, a setting does not fit, or a question that
            would be asked cannot be judged.
        MissingExtra: a package that the set needs is not installed.
    """
    if name.startswith(INSPECT):
        return eval_named("inspect", **inspect_task(name, **settings))
    if name.startswith(HARNESS):
        return eval_named("lm-eval", **harness_task(name, **settings))
    if name in STANDARD:
        return eval_named(name, data=STANDARD[name].source(folder), **settings)
    if name not in BENCHMARKS and set(Path(name).suffixes) & FILES:
        title = re.sub(r"[^\w.-]", "_", _stem(name))
        own = eval_named("questions", data=Jsonl(path=Path(name).expanduser()), title=title, **settings)
        own.items()  # a row that cannot be asked or judged is refused before anything is made
        return own
    return eval_named(name, **settings)
