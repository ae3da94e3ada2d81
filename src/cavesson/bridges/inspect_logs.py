"""Scores of the store as logs of Inspect's (`.eval`), which `inspect view` opens (extra `inspect`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cavesson.bridges.identity import identity_of
from cavesson.errors import ConfigError, optional
from cavesson.evals.conducted import Conducted
from cavesson.evals.items import Eval
from cavesson.evals.recipes import Probed, Scored
from cavesson.evals.scores import Score
from cavesson.lab.manifest import Manifest
from cavesson.lab.recipe import Recipe
from cavesson.lab.store import Store
from cavesson.models.recipes import ModelRecipe
from cavesson.version import VERSION

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample
    from inspect_ai.scorer import Score as InspectScore


def write_logs(store: Store, fingerprints: Sequence[str], folder: Path) -> list[Path]:
    """Write one log for each evaluation of each artifact of scores, and for each step of a training that was scored.

    Args:
        fingerprints: of artifacts; those that are no scores are left out.
        folder: for the logs; made if missing.

    Returns:
        The logs, in the order of the artifacts.

    Raises:
        MissingExtra: Inspect is not installed.
        ConfigError: none of the artifacts is a table of scores.
    """
    with optional("inspect-ai", "inspect"):
        from inspect_ai.log import write_eval_log
    written = []
    for fingerprint in fingerprints:
        manifest = store.manifest(fingerprint)
        if manifest.kind not in (Scored.kind, Probed.kind):
            continue
        folder.mkdir(parents=True, exist_ok=True)
        for name, log in _logs(store, manifest):
            place = folder / f"{name}.eval"
            write_eval_log(log, str(place))
            written.append(place)
    if not written:
        raise ConfigError(
            "There are no scores of models to write logs of.", "Name scores or a run: cavesson store ls --kind scored"
        )
    return written


def _logs(store: Store, manifest: Manifest) -> Iterator[tuple[str, EvalLog]]:
    """The logs of one artifact, each with a name for its file."""
    recipe = Recipe.parse(manifest.recipe)
    assert isinstance(recipe, (Scored, Probed)), "checked by its kind"
    scores = recipe.scores(store.path)
    suite = {one.label: one for one in recipe.suite}
    steps: list[int | None] = [*scores.steps] or [None]
    for step in steps:
        who = _who(store, recipe, step)
        for label in scores.evals_at(step):
            at = "" if step is None else f"_step-{step}"
            name = re.sub(r"[^\w.-]+", "-", f"{manifest.fingerprint[:12]}_{label}")[:150] + at
            yield name, _log(manifest, suite[label], scores.cell(label, step), who, step)


def _who(store: Store, recipe: Scored | Probed, step: int | None) -> dict[str, Any]:
    """The model that was scored. The weights of a training that was only probed were never kept."""
    if isinstance(recipe, Scored):
        return identity_of(recipe.model, store)
    if step == 0:
        return identity_of(recipe.run.base, store)
    run: ModelRecipe = recipe.run
    adapter = None if recipe.run.adapter is None else str(recipe.run.adapter)
    facts = {"cavesson": VERSION, "model": run.describe(), "fingerprint": run.fingerprint, "step": step}
    return {**facts, "weights": {}, "adapter": adapter, "base": identity_of(recipe.run.base, store)}


def _log(manifest: Manifest, one: Eval, rows: Sequence[Score], who: dict[str, Any], step: int | None) -> EvalLog:
    from inspect_ai.log import (
        EvalConfig,
        EvalDataset,
        EvalLog,
        EvalMetric,
        EvalPlan,
        EvalResults,
        EvalScore,
        EvalSpec,
        EvalStats,
    )

    from cavesson.stats import wilson

    model = f"cavesson/{who['fingerprint'][:12]}" + (f"@{step}" if who.get("step") else "")
    samples = [_sample(row, model, isinstance(one, Conducted)) for row in rows]
    read = [row for row, sample in zip(rows, samples, strict=True) if _is_scored(sample)]
    rate = wilson(sum(row.score for row in read), len(read)) if read else None
    figures = {} if rate is None else {"accuracy": rate.value, "low": rate.low, "high": rate.high}
    figures["unreadable"] = float(sum(row.unreadable for row in rows))
    score = EvalScore(
        name="judge",
        scorer="cavesson/judge",
        scored_samples=len(read),
        unscored_samples=len(rows) - len(read),
        metrics={name: EvalMetric(name=name, value=value) for name, value in figures.items()},
    )
    spec = EvalSpec(
        created=manifest.created,
        task=f"cavesson/{one.name}",
        task_id=f"{manifest.fingerprint}/{one.label}",
        task_args=one.model_dump(mode="json", exclude_defaults=True),
        dataset=EvalDataset(name=one.label, samples=len(rows), sample_ids=[row.item for row in rows]),
        model=model,
        config=EvalConfig(epochs=1),
        packages=dict(manifest.versions),
        metadata={
            "score": one.about,
            "scores": manifest.fingerprint,
            "label": one.label,
            "step": step,
            "unreadable": int(figures["unreadable"]),
            "unscored": len(rows) - len(read),
            "model": who,
        },
    )
    results = EvalResults(total_samples=len(rows), completed_samples=len(rows), scores=[score])
    stats = EvalStats(started_at=manifest.created, completed_at=manifest.created)
    return EvalLog(status="success", eval=spec, plan=EvalPlan(), results=results, stats=stats, samples=samples)


def _sample(row: Score, model: str, conducted: bool) -> EvalSample:
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ChatCompletionChoice, ChatMessageAssistant, ModelOutput

    from cavesson.bridges.inspect_tasks import messages_of
    from cavesson.chat import Conversation

    asked = messages_of(Conversation.parse(row.prompt))
    said = ChatMessageAssistant(content=row.completion, source="generate", model=model)
    choice = ChatCompletionChoice(message=said, stop_reason="stop" if row.finished else "max_tokens")
    return EvalSample(
        id=row.item,
        epoch=1,
        input=asked,
        target="",
        messages=[*asked, said],
        output=ModelOutput(model=model, choices=[choice]),
        scores={"judge": _score(row, conducted)},
        metadata={} if row.level is None else {"level": row.level},
    )


def _score(row: Score, conducted: bool) -> InspectScore:
    """A score in Inspect's words. Our judges count an unreadable answer as wrong; another package's scorer left it unscored."""
    from inspect_ai.scorer import Score as InspectScore

    from cavesson.bridges.inspect_tasks import score_of

    if not conducted:
        return score_of(row.completion, bool(row.score), row.extra)
    told = {key: value for key, value in row.extra.items() if key not in ("unreadable", "reason")}
    reason = row.extra.get("reason")
    if row.unreadable:
        return InspectScore.unscored(reason=reason, answer=row.completion, metadata=told or None)
    return InspectScore(value="C" if row.score else "I", answer=row.completion, reason=reason, metadata=told or None)


def _is_scored(sample: EvalSample) -> bool:
    value = (sample.scores or {})["judge"].value
    return value == value  # NaN is Inspect's sign for unscored
