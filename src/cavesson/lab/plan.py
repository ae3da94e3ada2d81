"""Plans: which artifacts are in the store, which have to be made, and in what order."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cavesson.figures import clock_time
from cavesson.lab.manifest import artifacts_below
from cavesson.lab.recipe import Recipe
from cavesson.lab.store import Store

UNKNOWN_SECONDS = 10.0
"""Guess for the time of a stage of which nothing is known; the guess only decides what starts first."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One artifact of a plan.

    Attributes:
        recipe: what the artifact is made from.
        needs: fingerprints of the direct inputs.
        there: the artifact is in the store, and whole.
        seconds: estimated time of making the artifact (`times.Times`); None if nothing is known about it.
        called: what a study calls the artifact; "": the study has no name for it.
    """

    recipe: Recipe
    needs: tuple[str, ...]
    there: bool
    seconds: float | None = None
    called: str = ""

    @property
    def title(self) -> str:
        """What a study calls the artifact, or else its recipe in a few words."""
        return self.called or self.recipe.describe()

    @property
    def fingerprint(self) -> str:
        """The recipe's fingerprint."""
        return self.recipe.fingerprint


@dataclass(frozen=True)
class Plan:
    """Stages, each after its inputs. Inputs that only finished artifacts need are left out.

    Attributes:
        stages: of the plan.
        later: stages of which it is known that they follow in another plan; displays count them in the time left.
    """

    stages: tuple[Stage, ...]
    later: tuple[Stage, ...] = ()

    @property
    def to_make(self) -> tuple[Stage, ...]:
        """The stages that have to run."""
        return tuple(stage for stage in self.stages if not stage.there)

    @property
    def there(self) -> tuple[Stage, ...]:
        """The stages whose artifacts are in the store already."""
        return tuple(stage for stage in self.stages if stage.there)

    def followed_by(self, other: Plan) -> Plan:
        """This plan, known to be followed by what another plan has to make."""
        here = {stage.fingerprint for stage in self.stages}
        return Plan(self.stages, tuple(stage for stage in other.to_make if stage.fingerprint not in here))

    def text(self) -> str:
        """The plan as a tree of text lines, each stage below the last of its inputs, for `--dry-run`."""
        lines = [
            f"{'there' if stage.there else 'make ':5}  {stage.fingerprint[:12]}  {'  ' * depth}{stage.title}"
            + (f"  (about {clock_time(stage.seconds)})" if stage.seconds is not None and not stage.there else "")
            for stage, depth in tree(self.stages)
        ]
        known = [stage.seconds for stage in self.to_make if stage.seconds is not None]
        total = f", about {clock_time(sum(known))} of work" if known and len(known) == len(self.to_make) else ""
        return "\n".join([*lines, f"{len(self.to_make)} to make, {len(self.there)} there{total}"])


def plan(store: Store, recipes: Sequence[Recipe], called: Mapping[str, str] | None = None) -> Plan:
    """The plan that makes all the recipes; a virtual recipe is replaced by its own inputs.

    Args:
        called: what a study calls its artifacts, by fingerprint.
    """
    times = store.times()
    stages: dict[str, Stage] = {}

    def visit(recipe: Recipe) -> None:
        if recipe.fingerprint in stages:
            return
        below = artifacts_below(recipe)
        there = not recipe.virtual and store.has(recipe)
        if not there:
            for needed in below:
                visit(needed)
        if not recipe.virtual:
            needs = tuple(needed.fingerprint for needed in below)
            name = (called or {}).get(recipe.fingerprint, "")
            seconds = None if there else times.foretold(recipe.task, recipe.effort())
            stages[recipe.fingerprint] = Stage(recipe, needs, there, seconds, name)

    for recipe in recipes:
        visit(recipe)
    return Plan(tuple(stages.values()))


class Schedule:
    """The remaining stages of a plan.

    Gives out stages whose inputs are finished; the stage with the longest chain of stages behind it comes first. Each call takes
    about the same time, however many stages are left.
    """

    def __init__(self, plan: Plan) -> None:
        self._waiting: dict[str, Stage] = {}
        self._running: dict[str, Stage] = {}
        self._needs: dict[str, set[str]] = {}
        """The unfinished inputs of each unfinished stage."""
        self._after: dict[str, list[str]] = {}
        """The unfinished stages that need each unfinished stage."""
        self._priority: dict[str, float] = {}
        self._ready: list[tuple[float, int, str]] = []
        """A heap of waiting stages without unfinished inputs; equal priorities: in the order of the plan."""
        self._place: dict[str, int] = {}
        """The place of each stage in the plans."""
        self.add(plan)

    def __len__(self) -> int:
        """Number of stages that are not finished."""
        return len(self._waiting) + len(self._running)

    def add(self, plan: Plan) -> list[Stage]:
        """Add the stages of a further plan; returns the stages that are new."""
        known = {*self._waiting, *self._running}
        new = [stage for stage in plan.to_make if stage.fingerprint not in known]
        for stage in new:
            self._await(stage)
        left = {*self._waiting, *self._running}
        for stage in new:
            self._hold(stage.fingerprint, left.intersection(stage.needs))
        self._rank()
        return new

    def take(self, elsewhere: Callable[[str], bool] = lambda name: False) -> Stage | None:
        """A stage that can run now, or None if there is none.

        Args:
            elsewhere: whether another process makes the artifact of this fingerprint now. Such a stage comes after all others: this
                process would have to wait for the other one.
        """
        passed = []
        while self._ready and elsewhere(self._ready[0][2]):
            passed.append(heapq.heappop(self._ready))
        if not (left := self._ready or passed):
            return None
        _, _, name = heapq.heappop(left)
        for one in passed:
            heapq.heappush(self._ready, one)
        self._running[name] = self._waiting.pop(name)
        return self._running[name]

    def finish(self, stage: Stage) -> None:
        """Note that the stage's artifact is finished."""
        name = stage.fingerprint
        del self._running[name], self._needs[name]
        for later in self._after.pop(name, ()):
            self._needs[later].discard(name)
            if later in self._waiting and not self._needs[later]:
                self._offer(later)

    def put_back(self, stage: Stage, needs: Sequence[str] = ()) -> None:
        """Note that the stage has to run again, after the stages named in `needs`."""
        del self._running[stage.fingerprint]
        self._await(stage)
        self._hold(stage.fingerprint, {*self._waiting, *self._running}.intersection(needs))
        self._rank()

    def _await(self, stage: Stage) -> None:
        self._waiting[stage.fingerprint] = stage
        self._place.setdefault(stage.fingerprint, len(self._place))

    def _hold(self, name: str, needs: set[str]) -> None:
        """Let a stage wait for some others, beside those that it waits for already."""
        held = self._needs.setdefault(name, set())
        for needed in needs - held:
            self._after.setdefault(needed, []).append(name)
        held |= needs

    def _offer(self, name: str) -> None:
        heapq.heappush(self._ready, (-self._priority[name], self._place[name], name))

    def _rank(self) -> None:
        """Priority of a stage: seconds of the longest chain of waiting stages that begins with the stage."""
        self._priority = {}

        def rank(name: str) -> float:
            if name not in self._priority:
                own = self._waiting[name].seconds
                longest = max((rank(later) for later in self._after.get(name, ())), default=0.0)
                self._priority[name] = (UNKNOWN_SECONDS if own is None else own) + longest
            return self._priority[name]

        self._ready = []
        for name in self._waiting:
            rank(name)
            if not self._needs[name]:
                self._offer(name)


def tree(stages: Sequence[Stage]) -> list[tuple[Stage, int]]:
    """The stages with their depths in a tree: a stage stands below the last of its inputs among `stages`."""
    place = {stage.fingerprint: position for position, stage in enumerate(stages)}
    children: dict[str | None, list[Stage]] = {}
    for stage in stages:
        inputs = [name for name in stage.needs if name in place]
        children.setdefault(max(inputs, key=place.__getitem__) if inputs else None, []).append(stage)

    def below(parent: str | None, depth: int) -> list[tuple[Stage, int]]:
        return [
            line
            for stage in children.get(parent, ())
            for line in ((stage, depth), *below(stage.fingerprint, depth + 1))
        ]

    return below(None, 0)
