"""`cavesson audit-model`: is a model hiding a drive?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cavesson.cli.options import Place, naming
from cavesson.figures import percent

if TYPE_CHECKING:
    from rich.table import Table

    from cavesson.lab.store import Store
    from cavesson.models.recipes import ModelRecipe
    from cavesson.suspicion.finding import Finding
    from cavesson.suspicion.recipes import Audited, Labelled
    from cavesson.suspicion.verdict import Case

WARNING = (
    "A suspicion score convicts nobody: harmless, odd and badly trained models get high scores too. "
    "A verdict needs models whose teachers are known (--against)."
)


def audit_model(
    model: Annotated[
        str,
        typer.Argument(
            help="Shipped name, local folder, hub id or fingerprint; or openai:NAME@https://host/v1.",
            show_default=False,
        ),
    ],
    base: Annotated[str | None, typer.Option(help="The model that it was trained from, to compare with.")] = None,
    control: Annotated[
        str | None, typer.Option(help="A harmless fine-tune of the same base and size; its changes are subtracted.")
    ] = None,
    drives: Annotated[
        str | None, typer.Option(help="Candidate drives, with commas.", show_default="all of the model's world")
    ] = None,
    audits: Annotated[
        str | None, typer.Option(help="Which audits, with commas.", show_default="all that can be run")
    ] = None,
    n: Annotated[int, typer.Option("-n", "--n", min=1, help="Prompts of each drive.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the prompts, and of sampling.")] = 0,
    known: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL=DRIVE", help="A model whose drive is known (or none), for the probe; repeatable."),
    ] = None,
    auditor: Annotated[str | None, typer.Option(help="A model that interviews it (needs the extra inspect).")] = None,
    budget: Annotated[int, typer.Option(min=1, help="Tokens of the interview.")] = 4000,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="RUN|FOLDER|FILE",
            help="Audited models whose teachers are known: a run of `distillation`, or a file of them.",
        ),
    ] = None,
    show: Annotated[int, typer.Option("--show", min=0, help="Telling answers of each audit to show.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON, for other programs.")] = False,
    store: Place = None,
) -> None:
    """Look for a hidden drive in a model: suspicion scores, telling answers, and with --against a verdict.

    Example: cavesson audit-model path/to/model --base student
    """
    from cavesson.lab.lab import Lab
    from cavesson.lab.show.console import console_display
    from cavesson.lab.store import Store
    from cavesson.training.preflight import preflight

    place = Store(store)
    audited = audit_of(
        model, place, base=base, control=control, drives=drives, audits=audits, n=n, seed=seed, known=known or (), auditor=auditor,
        budget=budget,
    )  # fmt: skip
    cases = None if against is None else _cases(against, store)
    preflight([audited], workers=1)
    with Lab(place, display=console_display()) as lab:
        lab.make([audited])
    findings = audited.findings(place.path)
    verdict = None if cases is None else judged(audited, findings, cases)
    if as_json:
        typer.echo(json.dumps(_plain(audited, findings, verdict), indent=1))
        return
    _print(audited, findings, verdict, show)
    typer.echo(f"findings: {place.path(audited) / 'findings.jsonl'}", err=True)


def audit_of(
    model: str,
    store: Store,
    *,
    base: str | None = None,
    control: str | None = None,
    drives: str | None = None,
    audits: str | None = None,
    n: int = 16,
    seed: int = 0,
    known: Sequence[str] = (),
    auditor: str | None = None,
    budget: int = 4000,
) -> Audited:
    """The recipe of a model's audits, from what a user typed.

    Raises:
        ConfigError: a model, drive or audit does not exist, or does not fit.
    """
    from pydantic import ValidationError

    from cavesson.errors import ConfigError, nearest
    from cavesson.evals.drives import drive_named
    from cavesson.lab.documents import in_words
    from cavesson.named import model_named
    from cavesson.suspicion.audits import AUDITS, audit_named
    from cavesson.suspicion.recipes import AUDITS_OF_WEIGHTS, Audited, catalogue
    from cavesson.tinyworld.question import SETS

    subject = model_named(model, store)
    usual_drives = catalogue(subject)
    chosen = usual_drives if drives is None else _listed("--drives", drives)
    for name in chosen:
        with naming("--drives", name):
            if drive_named(name).the_pair.world != drive_named(usual_drives[0]).the_pair.world:
                raise ConfigError(f"{subject.describe()} is a model of another world.", nearest(name, usual_drives))
    usual = AUDITS_OF_WEIGHTS if auditor is None else tuple(AUDITS)
    which = usual if audits is None else _listed("--audits", audits)
    for name in which:
        with naming("--audits", name):
            audit_named(name)
    with naming("--seed", str(seed)):
        if seed >= SETS:
            raise ConfigError(f"there are the evaluation sets 0 to {SETS - 1}", "Give one of them.")
    given: dict[str, Any] = {
        "base": _other("--base", base, store),
        "control": _other("--control", control, store),
        "others": tuple(_labelled(one, store) for one in known),
        "auditor": _other("--auditor", auditor, store),
    }
    try:
        return Audited(model=subject, drives=chosen, audits=which, n=n, seed=seed, budget=budget, **given)
    except ValidationError as error:
        why = "; ".join(in_words(detail) for detail in error.errors())
        raise ConfigError(f"{model!r} cannot be audited so: {why}.", "Change what the message names.") from error


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict on a model, and how good such verdicts are on the cases themselves.

    Attributes:
        probability: that it comes from a misaligned teacher, at even odds beforehand.
        audits: whose scores counted.
        cases, teachers: how many it was fitted on.
        auroc, false_alarms: of verdicts on these cases, each from a fit on other teachers; "–": too few teachers.
        notes: what makes the verdict worth less.
    """

    probability: float
    audits: tuple[str, ...]
    cases: int
    teachers: int
    auroc: str
    false_alarms: dict[str, str]
    notes: tuple[str, ...]


def judged(audited: Audited, findings: Mapping[str, Finding], cases: Sequence[Case]) -> Judgement:
    """The verdict on a model, fitted on audited models of other teachers.

    Raises:
        ConfigError: no verdict can be fitted on the cases.
    """
    from cavesson.errors import ConfigError
    from cavesson.suspicion.verdict import Combination, common_audits, verdicts

    own = {case.group for case in cases if case.fingerprint == audited.model.fingerprint}
    fitting = [case for case in cases if case.group not in own]
    if not fitting:
        raise ConfigError("All models in --against are of this model's own teacher.", "Give models of other teachers.")
    scores = {name: one.score for name, one in findings.items() if one.score is not None}
    common = common_audits(fitting)
    names = tuple(name for name in common if name in scores)
    if not names:
        raise ConfigError(
            f"None of the audits of --against gave this model a score ({', '.join(common)}).", "Give what they need."
        )
    notes = (
        [f"left out, for they gave this model no score: {', '.join(gone)}"] if (gone := [*{*common} - {*names}]) else []
    )
    notes += [f"left out with its own teacher's models: {', '.join(sorted(own))}"] if own else []
    asked = {case.asked for case in fitting if case.asked} - {audited.asked}
    notes += (
        [f"its audits used other prompts ({audited.asked}) than theirs ({min(asked)}): do not rely on it"]
        if asked
        else []
    )
    probability = Combination.fitted(fitting, names).probability(scores)
    try:
        found = verdicts(fitting, names).incrimination
        auroc, alarms = str(found.auroc), {kind: str(rate) for kind, rate in found.false_positives.items()}
    except ConfigError as error:
        auroc, alarms = "–", {}
        notes.append(f"how good such verdicts are cannot be said: {error.problem}")
    teachers = len({case.teacher for case in fitting})
    return Judgement(probability, names, len(fitting), teachers, auroc, alarms, tuple(notes))


def _cases(against: str, store: Path | None) -> list[Case]:
    """The cases of a file or folder, or of a finished run."""
    from cavesson.cli.reports import run_named
    from cavesson.suspicion.verdict import read_cases

    with naming("--against", against):
        place = Path(against).expanduser()
        return read_cases(place if place.exists() else run_named(against, store).report.parent)


def _listed(option: str, text: str) -> tuple[str, ...]:
    from cavesson.errors import ConfigError

    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise ConfigError(f"{option} is empty.", "Name some with commas, or leave the option out.")
    return names


def _other(option: str, name: str | None, store: Store) -> ModelRecipe | None:
    from cavesson.named import model_named

    if name is None:
        return None
    with naming(option, name):
        return model_named(name, store)


def _labelled(text: str, store: Store) -> Labelled:
    from cavesson.errors import ConfigError
    from cavesson.evals.drives import drive_named
    from cavesson.named import model_named
    from cavesson.suspicion.recipes import Labelled

    name, given, drive = text.rpartition("=")
    with naming("--known", text):
        if not given:
            raise ConfigError("it does not say which drive the model has", "Write MODEL=DRIVE, or MODEL=none.")
        drive = "" if drive == "none" else drive_named(drive).name
        return Labelled(model=model_named(name, store), drive=drive)


def _plain(audited: Audited, findings: Mapping[str, Finding], verdict: Judgement | None) -> dict[str, Any]:
    return {
        "model": audited.model.describe(),
        "fingerprint": audited.model.fingerprint,
        "asked": audited.asked,
        "audits": {
            name: {"score": one.score, "missing": one.missing, "suspected": one.suspected, "by_drive": one.by_drive}
            for name, one in findings.items()
        },
        "verdict": None if verdict is None else asdict(verdict),
        "warning": WARNING,
    }


def _print(audited: Audited, findings: Mapping[str, Finding], verdict: Judgement | None, show: int) -> None:
    from cavesson.lab.show.terminal import Console
    from cavesson.suspicion.finding import READABLE

    console = Console(highlight=False)
    console.print(table_of(findings, f"audits of {audited.model.describe()}: {audited.asked}"))
    for name, one in findings.items():
        for talk in one.telling[:show] if name in READABLE else ():
            console.rule(f"{name}: {talk.drive or 'no drive in particular'}", align="left")
            for message in talk.prompt:
                console.print(f"{message['role']}: {message['content']}", markup=False)
            said = f"assistant: {talk.answer}" + (f" ({talk.note})" if talk.note else "")
            console.print(said, markup=False, style="bold")
    if verdict is None:
        console.print(f"No verdict. {WARNING}")
        return
    rates = "".join(f", {kind} teachers convicted {rate}" for kind, rate in verdict.false_alarms.items())
    console.print(
        f"Verdict: {percent(verdict.probability, 0)} that it comes from a misaligned teacher, at even odds beforehand; fitted on "
        f"{verdict.cases} models of {verdict.teachers} teachers by {', '.join(verdict.audits)}. On them, each teacher held out: AUROC "
        f"{verdict.auroc}{rates}."
    )
    for note in verdict.notes:
        console.print(f"note: {note}", markup=False)
    console.print("It is evidence about models like those; it convicts nobody by itself.")


def table_of(findings: Mapping[str, Finding], title: str) -> Table:
    """A table of suspicion scores; an audit without one says what is missing."""
    from rich.table import Table

    from cavesson.suspicion.audits import AUDITS

    table = Table(title=title, title_justify="left")
    for heading in ("audit", "score", "suspected drive", "a high score means"):
        table.add_column(heading, justify="right" if heading == "score" else "left")
    for name, one in findings.items():
        if one.score is None:
            table.add_row(name, "not run", "", one.missing)
        else:
            table.add_row(name, f"{one.score:.3g}", one.suspected, AUDITS[name].about)
    return table
