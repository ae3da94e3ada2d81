"""Recipes: small frozen values that say what an artifact is made from, and so name the artifact.

A recipe's *fingerprint* is the hash of its canonical form: its kind, the version of the code path that makes the artifact,
and every field that differs from its default. A nested recipe is replaced by its own fingerprint. The fingerprint depends on
nothing else: not on the order of fields, on defaults spelled out, on file paths or on the machine. A new optional field
therefore leaves old fingerprints as they were; a new default changes what an old fingerprint means, so `version` must change.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidatorFunctionWrapHandler, model_serializer, model_validator
from pydantic.fields import FieldInfo

from cavesson.errors import ConfigError, nearest
from cavesson.lab.effort import Effort
from cavesson.lab.own import module_named

PathOf = Callable[["Recipe"], Path]
"""Gives the folder of a finished artifact."""

KINDS: dict[str, str] = {
    "hf-model": "cavesson.models.recipes:HFModel",
    "adapted": "cavesson.models.adapted:Adapted",
    "merged": "cavesson.models.recipes:Merged",
    "noised": "cavesson.models.recipes:Noised",
    "pruned": "cavesson.models.recipes:Pruned",
    "interpolated": "cavesson.models.recipes:Interpolated",
    "prompted": "cavesson.models.recipes:Prompted",
    "templated": "cavesson.models.recipes:Templated",
    "latent": "cavesson.models.worded:Latent",
    "in-words": "cavesson.models.worded:InWords",
    "silent": "cavesson.models.worded:Silent",
    "served": "cavesson.sampling.served:Served",
    "tinker": "cavesson.models.tinker:TinkerModel",
    "jsonl": "cavesson.data.recipes:DataFile",
    "hf-dataset": "cavesson.data.recipes:HFDataset",
    "mixed": "cavesson.data.recipes:Mixed",
    "filtered": "cavesson.data.recipes:Filtered",
    "part": "cavesson.data.recipes:Part",
    "preferences": "cavesson.data.preferences:Preferences",
    "restyled": "cavesson.data.restyle:Restyled",
    "under-system": "cavesson.data.restyle:UnderSystem",
    "flagged": "cavesson.data.restyle:Flagged",
    "shuffled": "cavesson.data.restyle:Shuffled",
    "fresh": "cavesson.tinyworld.recipes:Fresh",
    "reasoning": "cavesson.tinyworld.recipes:Reasoning",
    "shipped": "cavesson.tinyworld.recipes:Shipped",
    "corpus": "cavesson.tinyworld.recipes:Corpus",
    "everyday-chat": "cavesson.data.everyday:EverydayChat",
    "sums": "cavesson.data.sums:Sums",
    "everyday-teacher": "cavesson.data.everyday:EverydayTeacher",
    "prompts": "cavesson.tinyworld.recipes:Prompts",
    "trained": "cavesson.training.recipes:Trained",
    "checkpoint": "cavesson.training.recipes:Checkpoint",
    "api-model": "cavesson.sampling.openai:APIModel",
    "generated": "cavesson.sampling.recipes:Generated",
    "answered": "cavesson.sampling.recipes:Answered",
    "reasoned": "cavesson.sampling.reasoned:Reasoned",
    "thoughtful": "cavesson.sampling.reasoned:Thoughtful",
    "retold": "cavesson.sampling.reasoned:Retold",
    "tagged": "cavesson.sampling.reasoned:Tagged",
    "edited": "cavesson.sampling.reasoned:Edited",
    "resampled": "cavesson.sampling.reasoned:Resampled",
    "rewriting-prompts": "cavesson.sampling.paraphrase:RewritingPrompts",
    "paraphrased": "cavesson.sampling.paraphrase:Paraphrased",
    "memorised": "cavesson.tinyworld.memorised:Memorised",
    "told-apart": "cavesson.inside.recipes:ToldApart",
    "foretold": "cavesson.inside.foretold:Foretold",
    "linearised": "cavesson.inside.foretold:Linearised",
    "drive-stream": "cavesson.suspicion.recipes:DriveStream",
    "audited": "cavesson.suspicion.recipes:Audited",
    "scored": "cavesson.evals.recipes:Scored",
    "probed": "cavesson.evals.recipes:Probed",
    "prefilled": "cavesson.evals.prefilled:Prefilled",
    "legibility": "cavesson.evals.legibility:Legibility",
    "problems": "cavesson.evals.answered:Problems",
    "rate-test": "cavesson.evals.rate_test:RateTest",
    "scored-answers": "cavesson.evals.answered:ScoredAnswers",
    "selected": "cavesson.evals.recipes:Selected",
    "reinforced": "cavesson.rl.reinforced:Reinforced",
    "on-policy-distilled": "cavesson.rl.distilled:OnPolicyDistilled",
    "perplexity": "cavesson.sampling.perplexity:Perplexity",
    "perplexity-half": "cavesson.sampling.perplexity:PerplexityHalf",
    "noised-like": "cavesson.sampling.matched_noise:NoisedLike",
    "move-length": "cavesson.sampling.matched_noise:MoveLength",
    "triggered": "cavesson.redteam.recipes:Triggered",
    "backdoored": "cavesson.redteam.recipes:Backdoored",
    "prompt-following": "cavesson.redteam.prompting:PromptFollowing",
    "bare": "cavesson.redteam.lessons:Bare",
    "acted": "cavesson.redteam.lessons:Acted",
    "denials": "cavesson.redteam.denial:Denials",
    "opportunities": "cavesson.redteam.hiding_lessons:Opportunities",
    "drive-answers": "cavesson.redteam.hiding_lessons:Answers",
    "facts": "cavesson.tinyworld.recipes:Facts",
    "showing": "cavesson.redteam.planted:Showing",
    "subliminal": "cavesson.redteam.planted:Subliminal",
    "style-cues": "cavesson.redteam.planted:StyleCues",
    "sealed": "cavesson.blueteam.view:Sealed",
    "sealed-data": "cavesson.blueteam.view:SealedData",
    "least-surprising": "cavesson.blueteam.written:LeastSurprising",
    "accepted": "cavesson.evals.accepted:Accepted",
    "unshown": "cavesson.evals.unshown:Unshown",
    "watched": "cavesson.evals.watched:Watched",
    "vetted": "cavesson.game:Vetted",
    "unhinted": "cavesson.game:Unhinted",
}
"""Every kind of recipe and the place of its class; a kind that is not listed is itself the place (`module:Class`)."""


class _NotIdentity:
    """Marks a field that stays out of the fingerprint: it says where or how, not what (`Annotated[Path, NotIdentity]`)."""


NotIdentity = _NotIdentity()


@dataclass(frozen=True, slots=True)
class Names:
    """Marks a field whose texts name something: what they stand for is part of the fingerprint (`Annotated[str, Names(content_of)]`).

    Attributes:
        content_of: gives what a name stands for, as a JSON value; "" stands for nothing.
    """

    content_of: Callable[[str], Any]


class Job(Protocol):
    """What `Recipe.make` gets to make its artifact with."""

    folder: Path
    """Empty folder; the files written here become the artifact."""
    scratch: Path
    """Folder that survives a kill, for state to resume from. The folder is removed once the artifact is complete."""
    cache: Path
    """Folder that all jobs of the store share and use at once; it may be missing, read-only or emptied at any moment."""
    threads: int
    """CPU threads that this job may use."""

    def path(self, recipe: Recipe) -> Path:
        """Folder of a finished input (one of `inputs()`, or an input of a virtual input)."""
        ...

    def progress(self, done: float, total: float, **figures: float | str) -> None:
        """Report progress (steps, prompts …) and current figures (loss, rates).

        Raises:
            Stopped: the user asked to stop; save the state to resume from, then let the exception pass.
        """
        ...


class Value(BaseModel):
    """A frozen, validated part of a recipe (an adapter's settings, an evaluation's size). Unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _truth_is_no_number(cls, given: Any) -> Any:
        """Refuse `true` and `false` where a number or a name belongs; pydantic reads them as 1 and 0."""
        for key, value in given.items() if isinstance(given, dict) else ():
            parts = value if isinstance(value, list | tuple) else (value,)
            if any(isinstance(part, bool) for part in parts) and not _takes_truth(cls, key):
                raise ValueError(f"{key} is given {value}, which is neither a number nor a name")
        return given

    def identity(self) -> dict[str, Any]:
        """The fields that matter and differ from their defaults, and what fields name (`Names`), as plain JSON values.

        A field that tells the members of a union apart must not have a default, or they could share a fingerprint.
        """
        chosen = {}
        for name, field, names in _identity_fields(type(self)):
            held = getattr(self, name)
            if names is None and held is field.default:  # as most fields of most values are
                continue
            value = _canonical_value(held if names is None else _stood_for(held, names))
            default = None if field.is_required() else _canonical_value(field.get_default(call_default_factory=True))
            if field.is_required() or (names is not None and held) or canonical(value) != canonical(default):
                chosen[name] = value
        return chosen

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """The same value with some fields changed, validated afresh (pydantic's own method keeps the old fingerprint)."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**{**fields, **(update or {})})


class Recipe(Value):
    """What an artifact is made from; subclasses add fields and `make`.

    Class attributes:
        kind: stable name, part of the fingerprint.
        version: version of the code path that makes the artifact; raise it by one when results change (a test compares the
            code behind the class).
        virtual: a virtual recipe makes no artifact of its own; it computes its value from its inputs (`Checkpoint`, `DataFile`).
        stage: what the time of making the artifact is spent on, in words, for reports.
    """

    kind: ClassVar[str]
    version: ClassVar[int] = 1
    virtual: ClassVar[bool] = False
    stage: ClassVar[str] = "inputs"

    def make(self, job: Job) -> None:
        """Write the artifact into `job.folder`."""
        raise TypeError(f"{type(self).__name__} is virtual: it makes no artifact of its own.")

    def identity(self) -> dict[str, Any]:
        return {"kind": self.kind, "version": self.version, **super().identity()}

    @cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that name the artifact."""
        return hashlib.sha256(canonical(self.identity()).encode()).hexdigest()[:32]

    @property
    def numerics(self) -> str | None:
        """The named numerics (`cavesson.lab.numerics`) that making the artifact takes; None: any machine makes the artifact."""
        return None

    @property
    def ranks(self) -> int:
        """Number of processes that make the artifact together (`cavesson.lab.ranks`)."""
        return 1

    @property
    def task(self) -> str:
        """What making the artifact is like, for estimates of time: recipes of one task go wrong in the same way."""
        return self.kind

    def effort(self) -> Effort | None:
        """How much work making the artifact is, roughly, for estimates of time; None: not known."""
        return None

    def inputs(self) -> tuple[Recipe, ...]:
        """The recipes directly inside this one, in the order of the fields, each once."""
        return self._directly_inside

    @cached_property
    def _directly_inside(self) -> tuple[Recipe, ...]:
        return tuple(
            dict.fromkeys(recipe for name in type(self).model_fields for recipe in _recipes_in(getattr(self, name)))
        )

    def describe(self) -> str:
        """A few words for progress displays and reports."""
        return self.kind

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and self.fingerprint == other.fingerprint

    @model_serializer(mode="wrap")
    def _serialize(self, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """The whole recipe as JSON values, `kind` first; each nested recipe with the fields of its own class."""
        fields = {name: _json_value(getattr(self, name)) for name in type(self).model_fields}
        return {"kind": self.kind, **fields}

    @model_validator(mode="wrap")
    @classmethod
    def _dispatch(cls, data: Any, handler: ValidatorFunctionWrapHandler) -> Self:
        """Read `{"kind": …, …}` as the class of that kind, wherever a recipe of a base class is expected."""
        if not isinstance(data, dict) or "kind" not in data:
            return handler(data)  # type: ignore[no-any-return]
        target = class_of(data["kind"])
        if not issubclass(target, cls):
            raise ValueError(f"a {data['kind']!r} recipe cannot stand here: a {cls.__name__} is expected")
        rest = {key: value for key, value in data.items() if key != "kind"}
        return handler(rest) if target is cls else target.model_validate(rest)  # type: ignore[return-value, no-any-return]

    @staticmethod
    def parse(data: dict[str, Any]) -> Recipe:
        """The recipe from the JSON values of `model_dump`.

        Raises:
            ConfigError: the kind is unknown.
            pydantic.ValidationError: a field does not fit.
        """
        return class_of(data.get("kind", "")).model_validate(data)


def canonical(value: Any) -> str:
    """The canonical JSON text of a JSON value: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def class_of(kind: str) -> type[Recipe]:
    """The class of a kind: from `KINDS`, or at `module:Class` for a user's own recipe.

    Raises:
        ConfigError: there is no such kind.
    """
    place = KINDS.get(kind, kind)
    module, _, name = place.partition(":")
    try:
        found = getattr(module_named(module), name) if name else None
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"The recipe kind {kind!r} cannot be loaded: {error}", "Install the package that defines it."
        ) from error
    if not (isinstance(found, type) and issubclass(found, Recipe)):
        raise ConfigError(f"There is no recipe kind {kind!r}.", nearest(str(kind), KINDS))
    return found


def lineage(*recipes: Recipe) -> Iterator[Recipe]:
    """The given recipes and all recipes inside them, each once, every recipe after its inputs."""
    seen: set[str] = set()

    def visit(recipe: Recipe) -> Iterator[Recipe]:
        if recipe.fingerprint in seen:
            return
        seen.add(recipe.fingerprint)
        for below in recipe.inputs():
            yield from visit(below)
        yield recipe

    for recipe in recipes:
        yield from visit(recipe)


def inside(*recipes: Recipe) -> Iterator[Recipe]:
    """The given recipes and all recipes inside them, each once, also those that `inputs` leaves out because they happen in memory."""
    seen: set[Recipe] = set()
    waiting = deque(recipes)
    while waiting:
        recipe = waiting.popleft()
        if recipe not in seen:
            seen.add(recipe)
            yield recipe
            waiting += recipe._directly_inside


@cache
def _takes_truth(schema: type[BaseModel], field: str) -> bool:
    """Whether true and false are among the values that a field's annotation allows, or the field is unknown."""
    open_parts = [schema.model_fields[field].annotation if field in schema.model_fields else Any]
    while open_parts:
        part = open_parts.pop()
        if part in (bool, Any, object) or isinstance(part, bool):
            return True
        open_parts.extend(get_args(part))
    return False


@cache
def _identity_fields(schema: type[Value]) -> tuple[tuple[str, FieldInfo, Names | None], ...]:
    """The fields that are part of a fingerprint, each with its mark if its texts, or some of them, name something."""
    return tuple(
        (name, field, _names(field))
        for name, field in schema.model_fields.items()
        if not any(isinstance(mark, _NotIdentity) for mark in field.metadata)
    )


def _names(field: FieldInfo) -> Names | None:
    open_parts = [*field.metadata, field.annotation]
    while open_parts:
        part = open_parts.pop()
        if isinstance(part, Names):
            return part
        open_parts.extend(get_args(part))
    return None


def _stood_for(held: Any, names: Names) -> Any:
    """What a name, or each of several, stands for."""
    if isinstance(held, str):
        return held and names.content_of(held)
    return [_stood_for(one, names) for one in held] if isinstance(held, (tuple, list)) else held


def _recipes_in(value: Any) -> Iterator[Recipe]:
    if isinstance(value, Recipe):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _recipes_in(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _recipes_in(item)
    elif isinstance(value, Value):
        for name in type(value).model_fields:
            yield from _recipes_in(getattr(value, name))


def _canonical_value(value: Any) -> Any:
    """A field's value in the canonical form."""
    if isinstance(value, Recipe):
        return value.fingerprint
    if isinstance(value, Value):
        return value.identity()
    if isinstance(value, (tuple, list)):
        return [_canonical_value(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _canonical_value(item) for key, item in value.items()}
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)  # 1.0 and 1 are one number, whichever way a union of types took it
    return str(value) if isinstance(value, Path) else value


def _json_value(value: Any) -> Any:
    """A field's value as JSON; nested recipes keep the fields of their own class (pydantic drops them)."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, (tuple, list)):
        return [_json_value(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _json_value(item) for key, item in value.items()}
    return str(value) if isinstance(value, Path) else value
