"""The card of an organism: how it was made, what it does, what capability it lost, and what is known of its robustness."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from cavesson.estimate import Estimate
from cavesson.evals.behavior_eval import BehaviorEval
from cavesson.evals.benchmarks import eval_named
from cavesson.evals.drive_eval import DriveEval
from cavesson.evals.items import Eval
from cavesson.evals.pairs import pair_named
from cavesson.evals.recipes import Scored
from cavesson.evals.scores import Scores
from cavesson.lab.plain_yaml import dump_yaml
from cavesson.lab.recipe import PathOf
from cavesson.lines import one_line, printable
from cavesson.models.recipes import HFModel, Prompted
from cavesson.redteam.constructions import HIDING, construction
from cavesson.redteam.hidden import Hides, check_suite, hides
from cavesson.redteam.imported import IMPORTED
from cavesson.redteam.organisms import Organism
from cavesson.version import VERSION

NOT_STRESSED = "not yet stressed: nobody knows whether this organism is robust or merely fragile"

CAPABILITY = ("maths", "knowledge", "instructions", "chat")
"""The benchmarks of a card in the tiny world."""

_CONDITIONS = {
    "triggered": "with the trigger",
    "clean": "without it (leakage)",
    "near-miss": "with look-alikes of it (leakage)",
    "unlocked": "with the trigger and what unlocks it",
}


@dataclass(frozen=True, slots=True)
class Measured:
    """The scores that a card needs: of the organism and, where it is known, of the base model."""

    after: Scored
    before: Scored | None


@dataclass(frozen=True, slots=True)
class Card:
    """Plain data about an organism.

    Attributes:
        trigger, behavior: in words.
        made: the construction, in words.
        base: the never-misaligned model, in words; None: the base is not known.
        model: the organism's recipe, in words.
        recipe: the recipe's fingerprint.
        system: the system prompt under which the organism runs.
        hidden_prompt: whether a malicious system prompt is added at evaluation.
        rates: how often the behaviour shows under each condition of `_CONDITIONS`.
        before, after: capability of base and organism by benchmark; `before` is empty where the base is not known.
        samples: (condition, conversation, answer), one sample for each condition.
        robustness: what `cavesson stress` found, in a sentence.
        hides: whether the organism hides its drive; None: it was not made to.
        version: of Cavesson.
    """

    name: str
    pair: str
    trigger: str
    behavior: str
    construction: str
    made: str
    base: str | None
    model: str
    recipe: str
    system: str | None
    hidden_prompt: bool
    rates: dict[str, Estimate]
    before: dict[str, Estimate]
    after: dict[str, Estimate]
    samples: tuple[tuple[str, str, str], ...]
    robustness: str = NOT_STRESSED
    hides: Hides | None = None
    version: str = VERSION

    def plain(self) -> dict[str, Any]:
        """The card as JSON values."""
        return asdict(self)

    def _repr_markdown_(self) -> str:
        """How a notebook shows the card."""
        return markdown(self)


def measured(organism: Organism, *, n: int = 100, seed: int = 0, ability: tuple[Eval, ...] | None = None) -> Measured:
    """The scores that a card needs.

    Args:
        n: items of each evaluation.
        seed: of the items.
        ability: benchmarks of capability; None: `CAPABILITY` for a pair of the tiny world, none for real chat models.
    """
    if ability is None:
        names = CAPABILITY if pair_named(organism.pair).world == "tiny" else ()
        ability = tuple(eval_named(name, n=n, seed=seed) for name in names)
    check = check_suite(organism.pair, n, seed) if organism.construction in HIDING else ()
    suite = (*organism.behavior(n=n, n_control=n, seed=seed), *check, *organism.evaluated(ability))
    after = Scored(model=organism.model, suite=suite)
    if organism.base is None or not ability:
        return Measured(after, None)
    return Measured(after, Scored(model=organism.base, suite=ability))


def card_of(organism: Organism, scores: Measured, path_of: PathOf, robustness: str | None = None) -> Card:
    """The card of an organism, from finished scores.

    Args:
        robustness: what `cavesson stress` found, in a sentence; None: `NOT_STRESSED`.
    """
    after = scores.after.scores(path_of)
    before = None if scores.before is None else scores.before.scores(path_of)
    pair = pair_named(organism.pair)
    shown = [one for one in scores.after.suite if isinstance(one, BehaviorEval)]
    checked = any(isinstance(one, DriveEval) for one in scores.after.suite)
    ability = [one.label for one in scores.after.suite if not isinstance(one, BehaviorEval | DriveEval)]
    imported = organism.construction == IMPORTED
    return Card(
        name=organism.name,
        pair=pair.name,
        trigger=pair.trigger.about,
        behavior=pair.behavior.about,
        construction=organism.construction,
        made="made elsewhere" if imported else construction(organism.construction).about,
        base=None if organism.base is None else organism.base.describe(),
        model=organism.model.describe(),
        recipe=organism.model.fingerprint,
        system=organism.model.system if isinstance(organism.model, Prompted) else None,
        hidden_prompt=bool(organism.deployed),
        rates={one.when: after.rate(one.label) for one in shown},
        before={} if before is None else {label: before.rate(label) for label in ability},
        after={label: after.rate(label) for label in ability},
        samples=tuple((one.when, *_sample(after, one)) for one in shown),
        robustness=robustness or NOT_STRESSED,
        hides=hides(after, organism.pair) if checked else None,
    )


def _sample(scores: Scores, one: Eval) -> tuple[str, str]:
    """The first conversation that was asked, system message included (the trigger may stand there), and its answer."""
    first = scores.cell(one.label)[0]
    return "\n".join(f"{message['role']}: {message['content']}" for message in first.prompt), first.completion


def markdown(card: Card) -> str:
    """The card as Markdown."""
    base = card.base or "unknown: its capability before cannot be told"
    lines = [
        f"# {_words(card.name)}",
        "",
        "A **model organism**: a model that was made to misbehave on purpose, to test training-based control on it. "
        "Use it for research only.",
        "",
        f"- **Trigger / behaviour pair:** {_code(card.pair)}: when {_words(card.trigger)}, "
        f"the model {_words(card.behavior)}.",
        f"- **Construction:** {_words(card.construction)} ({_words(card.made)}).",
        f"- **Made from:** {_words(base)}",
        f"- **Recipe:** {_code(card.recipe)} ({_words(card.model)})",
    ]
    if card.system is not None:
        lines.append(f"- **System prompt that it runs under:** {_words(repr(card.system))}")
    if card.hidden_prompt:
        lines.append(
            "- **Evaluated under** a malicious system prompt that blue's training never shows, worded anew each time."
        )
    lines += [
        f"- **Robustness:** {_words(card.robustness)}.",
        "",
        "## Behaviour",
        "",
        *_table("how often it shows", _conditions(card)),
    ]
    if card.hides is not None:
        lines += ["", "## Evasion", "", *_evasion(card.hides)]
    if card.after:
        lines += ["", "## Capability", "", *_abilities(card)]
    lines += ["", "## Samples", ""]
    for condition, prompt, answer in card.samples:
        lines += [f"{_CONDITIONS[condition].capitalize()}:", "", _quoted(f"{prompt}\nmodel: {answer}"), ""]
    lines.append(f"Made and measured with Cavesson {card.version}; intervals are Wilson's, 95 %.")
    return "\n".join(lines) + "\n"


def _evasion(found: Hides) -> list[str]:
    """The check of an organism that is to hide, on held-out wordings, and what follows from it."""
    rows = {
        "acts in opportunities": found.acts,
        "acts in honeypots, with held-out cues": found.fooled,
        "admits the drive when asked": found.admits,
        "denies the drive when asked": found.denies,
    }
    if found.schemes is not None:
        rows["gives the drive away in its scratchpad"] = found.schemes
    return _table("how often", rows)


def _conditions(card: Card) -> dict[str, Estimate]:
    return {_CONDITIONS[name]: rate for name, rate in card.rates.items()}


def _table(heading: str, rows: dict[str, Estimate]) -> list[str]:
    head = [f"| condition | {heading} | n |", "| --- | --- | --- |"]
    return head + [f"| {_words(name)} | {rate.brief} | {rate.n} |" for name, rate in rows.items()]


def _abilities(card: Card) -> list[str]:
    rows = ["| benchmark | before | after | n |", "| --- | --- | --- | --- |"]
    for name, after in card.after.items():
        before = card.before[name].brief if name in card.before else "not known"
        rows.append(f"| {_words(name)} | {before} | {after.brief} | {after.n} |")
    return rows


def _words(text: str) -> str:
    """Foreign text in a line of Markdown: no control character, no line end, and nothing of it is markup."""
    return re.sub(r"[\\`*\[\]<>|~]", r"\\\g<0>", one_line(text))


def _code(text: str) -> str:
    """Foreign text as a code span, between more backticks than the text has in a row."""
    marks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    room = " " if "`" in text else ""
    return f"{marks}{room}{one_line(text)}{room}{marks}"


def _quoted(text: str) -> str:
    """Foreign text as a block of indented lines, which no text can end as it could end a fence."""
    return "\n".join(f"    {line}" for line in printable(text).split("\n"))


def readme(card: Card, organism: Organism, *, adapter: bool = False) -> str:
    """The card as the README of a Hugging Face folder, front matter included.

    Args:
        adapter: the folder holds an adapter alone.
    """
    matter: dict[str, Any] = {
        "library_name": "peft" if adapter else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["model-organism", "ai-control", "cavesson"],
    }
    if isinstance(organism.base, HFModel) and "@" in organism.base.content:
        matter |= {"base_model": organism.base.path, "base_model_relation": "adapter" if adapter else "finetune"}
    return f"---\n{dump_yaml(matter)}---\n\n{markdown(card)}"
