"""Changes that leave a sound finding alone, or show what the finding depends on: more training, more data, less noise,
arms exchanged.

A perturbation is no suspicion by itself; perturbations run after the repairs of suspicions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from cavesson.audit.auditors.evidence import Suspicion
from cavesson.audit.auditors.rules_settings import DATA, DECAY, NOISE, STEPS
from cavesson.audit.auditors.sources import Setting, Workspace

WEIGHTS = {"more_training": 1.0, "more_data": 0.8, "less_noise": 0.4, "less_decay": 0.4, "exchanged": 0.5}


def perturbations(workspace: Workspace) -> Iterator[Suspicion]:
    """What to try on any codebase."""
    configured = [one for one in workspace.settings if one.configured]
    settings = configured or [
        one for one in workspace.settings if one.path[-1].isupper() or one.path[-1].startswith("-")
    ]
    plain = [one for one in settings if one.path and not one.path[-1].isdigit() and one.value > 0]
    steps = [one for one in plain if STEPS.search(one.name) and "warm" not in one.name]
    data = [
        one
        for one in plain
        if DATA.search(one.name) and one.value >= 50 and one not in steps and isinstance(one.value, int)
    ]
    noise = [one for one in plain if NOISE.search(one.name)]
    decay = [one for one in plain if DECAY.search(one.name)]
    yield from _all(workspace, "more_training", steps, 3.0, "three times as many training steps")
    yield from _all(workspace, "more_data", data, 2.0, "twice as much data")
    yield from _all(workspace, "less_noise", noise, 0.25, "a quarter of the noise")
    yield from _all(workspace, "less_decay", decay, 0.1, "a tenth of the regularisation")
    yield from _exchanged(workspace, configured)


def _all(workspace: Workspace, rule: str, settings: list[Setting], factor: float, title: str) -> Iterator[Suspicion]:
    if settings:
        names = ", ".join(dict.fromkeys(one.name for one in settings))
        yield Suspicion(rule, 0.6, f"the finding with {title} ({names})",
                        f"The Conclusion does not survive {title}: it is a property of these values and not of what "
                        "the paper compares.",
                        tuple(one.place for one in settings), workspace.set({one: one.value * factor for one in settings}))  # fmt: skip


def _exchanged(workspace: Workspace, settings: list[Setting]) -> Iterator[Suspicion]:
    """Two sections with the same keys get each other's values: is it the arm that matters, or its settings?"""
    sections: dict[tuple[str, tuple[str, ...]], dict[str, Setting]] = defaultdict(dict)
    for one in settings:
        if len(one.path) >= 2 and not one.path[-1].isdigit():
            sections[(one.file, one.path[:-1])][one.path[-1]] = one
    places = list(sections.items())
    for at, ((file, place), mine) in enumerate(places):
        for (other_file, other), theirs in places[at + 1 :]:
            differing = [key for key in mine if key in theirs and mine[key].value != theirs[key].value]
            if file == other_file and place[:-1] == other[:-1] and mine.keys() == theirs.keys() and differing:
                changes = {mine[key]: theirs[key].value for key in differing} | {
                    theirs[key]: mine[key].value for key in differing
                }
                yield Suspicion("exchanged", 0.6, f"the settings of {place[-1]} and {other[-1]} exchanged",
                                f"What {place[-1]} and {other[-1]} are compared on changes with their settings "
                                f"({', '.join(differing)}).",
                                tuple(mine[key].place for key in differing), workspace.set(changes))  # fmt: skip
