"""Two results side by side: the settings that differ, the headline, and the statements that either measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cavesson.findings.result import StudyResult


def side_by_side(one: StudyResult, two: StudyResult) -> Iterator[tuple[str, str, str]]:
    """What differs between two results, and what both say: (what, of the first, of the second)."""

    def row(what: str, of: Callable[[StudyResult], str]) -> tuple[str, str, str]:
        return what, of(one), of(two)

    yield row("seeds", lambda made: ", ".join(map(str, made.environment.seeds)))
    settings = [{setting.key: setting.value for setting in made.config.settings} for made in (one, two)]
    every = dict.fromkeys([*settings[0], *settings[1]])
    for key in every if one.study == two.study else [key for key in settings[0] if key in settings[1]]:
        if key != "seeds" and settings[0].get(key) != settings[1].get(key):
            yield key, settings[0].get(key, "–"), settings[1].get(key, "–")
    yield row("headline", lambda made: "\n".join(made.headline))
    for name, statement in {claim.id: claim.statement for claim in (*one.claims, *two.claims)}.items():
        said = [{claim.id: claim for claim in made.claims}.get(name) for made in (one, two)]
        if any(claim is not None and claim.ours is not None for claim in said):
            first, second = ("–" if claim is None else f"{claim.words}: {claim.ours or '–'}" for claim in said)
            yield statement, first, second
