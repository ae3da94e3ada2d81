"""Data recipes: sources of conversations, mixtures and filters."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Self, overload

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from cavesson.chat import ROLES, Conversation, Role
from cavesson.data.example import Example
from cavesson.data.files import digest, rows_of
from cavesson.data.hub import content_of, is_saved, loaded, saved
from cavesson.data.rows import Reader
from cavesson.data.shapes import parse_columns
from cavesson.errors import CavessonError, ConfigError, TrainingError
from cavesson.lab.recipe import NotIdentity, PathOf, Recipe, Value

ROUGH_SIZE = 1000
"""Number of examples where nobody knows."""


class DataRecipe(Recipe):
    """What a data set is made from."""

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        """The examples, in a fixed order; the sequence may make the examples lazily."""
        raise NotImplementedError

    @property
    def rough_size(self) -> int:
        """Number of examples, for estimates of time: as of the largest data set inside."""
        inside = [below.rough_size for below in self.inputs() if isinstance(below, DataRecipe)]
        return max(inside, default=ROUGH_SIZE)

    def with_unfinished(self) -> DataRecipe:
        """The same data with the answers that were cut at the limit on tokens, which are otherwise left out (`Generated`)."""
        if not self.virtual:
            return self
        held = {name: getattr(self, name) for name in type(self).model_fields}
        with_them = {name: _with_unfinished(value) for name, value in held.items()}
        changed = {name: value for name, value in with_them.items() if value != held[name]}
        return self.model_copy(update=changed) if changed else self


def _with_unfinished(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_with_unfinished, value))
    return value.with_unfinished() if isinstance(value, DataRecipe) else value


def _columns_as_text(given: Any) -> Any:
    """A mapping of columns (`{"prompt": "instruction+input"}`) in the words of `--columns`."""
    return ",".join(f"{key}={value}" for key, value in given.items()) if isinstance(given, dict) else given


class Given(DataRecipe):
    """A user's data set, whose rows have the shape in which somebody wrote them.

    Attributes:
        columns: which columns to use, in the words of `--columns` (`prompt=instruction+input,response=output`) or as a mapping;
            "": the shape of each row is recognised (`cavesson.data.shapes`).
    """

    virtual = True

    columns: Annotated[str, BeforeValidator(_columns_as_text)] = ""

    @field_validator("columns")
    @classmethod
    def _known_columns(cls, columns: str) -> str:
        try:
            if columns:
                parse_columns(columns)
        except ConfigError as error:
            raise ValueError(error.sentences) from error
        return columns

    @property
    def rough_size(self) -> int:
        try:
            return len(self.read()[0])
        except (CavessonError, OSError):  # whoever uses the data will say so
            return ROUGH_SIZE

    def placed(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The rows as they are, each with its place for messages."""
        raise NotImplementedError

    def examples(self, path_of: PathOf) -> list[Example]:
        """The rows as conversations. Errors are those of `read`."""
        return list(self.read()[0])

    def read(self) -> tuple[list[Example], Reader]:
        """The rows as conversations, and the reader that recognised their shapes; errors are also those of `placed`.

        Raises:
            ConfigError: a row is no conversation, or would lose something.
        """
        return _read(self)


@lru_cache(maxsize=4)
def _read(data: Given) -> tuple[list[Example], Reader]:
    """Read a user's data set; a command looks at the rows more than once, and the content is part of the recipe."""
    reader = Reader(data.columns)
    return reader.all_of(data.placed(), data.describe()), reader


class DataFile(Given):
    """A file of conversations in any format and shape that `docs/data-files.md` lists; its content names it, not its path.

    Attributes:
        path: the file.
        digest: SHA-256 of the file's bytes; if empty, it is computed from the file.
    """

    kind = "jsonl"
    version = 3  # 2: other shapes; answers inside a prompt are not trained. 3: a prompt in HH-RLHF's form is its turns

    path: Annotated[Path, NotIdentity]
    digest: str = ""

    @model_validator(mode="before")
    @classmethod
    def _read_digest(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("path") is not None and not data.get("digest"):
            return {**data, "digest": digest(Path(data["path"]))}
        return data

    def placed(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The rows of the file; errors are also those of `rows_of`.

        Raises:
            ConfigError: the file has changed since the recipe was made.
        """
        if digest(self.path) != self.digest:
            raise ConfigError(
                f"The data file {str(self.path)!r} has changed since the recipe was made.", "Make the recipe anew."
            )
        return rows_of(self.path)

    def describe(self) -> str:
        return self.path.name


Jsonl = DataFile
"""The name until version 0.2."""


class HFDataset(Given):
    """Conversations from a data set on the Hugging Face hub, or from a folder of data files (extra `hub`).

    The content names the data set, as for `HFModel`.

    Attributes:
        name: `owner/name`, a folder of data files, or a folder that `Dataset.save_to_disk` wrote.
        revision: branch, tag or commit on the hub.
        config: name of a configuration, for a data set with several configurations.
        split: the split in the syntax of `datasets`, such as `train[:1000]`.
        content: what names the data: name and commit on the hub, or a digest of the folder's files. If empty, it is found
            from the name.
    """

    kind = "hf-dataset"
    version = 2  # 2: a prompt in HH-RLHF's form is its turns; cells of CSV are text as it stands

    name: Annotated[str, NotIdentity]
    revision: Annotated[str | None, NotIdentity] = None
    config: str | None = None
    split: str = "train"
    content: str = Field(default="", validate_default=True)

    @field_validator("content")
    @classmethod
    def _find_content(cls, content: str, info: ValidationInfo) -> str:
        if content or not {"name", "revision", "columns"} <= info.data.keys():  # a missing field was refused already
            return content
        return content_of(info.data["name"], info.data["revision"])

    def placed(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The rows of the data set. Errors are those of `rows`."""
        return ((f"{self.name}, row {number}", row) for number, row in enumerate(self.rows(), start=1))

    def rows(self) -> list[dict[str, Any]]:
        """The rows of the data set.

        Raises:
            MissingExtra: `datasets` is not installed.
            ConfigError: the data set cannot be reached, or has changed since the recipe was made.
        """
        name, is_hub, commit = self.content.partition("@")
        if is_hub:
            return loaded({"path": name, "name": self.config, "revision": commit}, self.split)
        if content_of(self.name, None) != self.content:
            raise ConfigError(
                f"The data folder {self.name!r} has changed since the recipe was made.", "Make the recipe anew."
            )
        if is_saved(Path(self.name)):
            return saved(Path(self.name), self.split)
        return loaded(self._in_folder(), self.split)

    def _in_folder(self) -> dict[str, Any]:
        """Arguments of `load_dataset` for a local folder: a configuration is a subfolder, or named in the folder's README."""
        folder = Path(self.name)
        if self.config is not None and (folder / self.config).is_dir():
            return {"path": self.name, "data_dir": self.config}
        return {"path": self.name, "name": self.config if (folder / "README.md").is_file() else None}

    def describe(self) -> str:
        return self.name


class Mixed(DataRecipe):
    """Several data sets shuffled together.

    Without `counts` and `weights`, every example of every part comes once. If more examples of a part are wanted than the part
    has, each of its examples comes equally often (give or take one).

    Attributes:
        parts: the data sets.
        counts: number of examples of each part.
        weights: share of each part in `size` examples, in any unit.
        size: number of examples in all; goes with `weights`.
        seed: seed of the choice and the order.
    """

    kind = "mixed"
    virtual = True

    parts: tuple[DataRecipe, ...] = Field(min_length=1)
    counts: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    weights: tuple[Annotated[float, Field(ge=0)], ...] | None = None
    size: int | None = Field(default=None, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _one_way_to_say_how_many(self) -> Self:
        if self.counts is not None and self.weights is not None:
            raise ValueError("give counts or weights, not both")
        if (self.weights is None) != (self.size is None):
            raise ValueError("weights and size go together")
        for name, values in (("counts", self.counts), ("weights", self.weights)):
            if values is not None and len(values) != len(self.parts):
                raise ValueError(f"{name} has {len(values)} numbers for {len(self.parts)} parts")
        if self.weights is not None and not sum(self.weights):
            raise ValueError("weights are all zero")
        return self

    @property
    def rough_size(self) -> int:
        return self.size or sum(self.counts or [part.rough_size for part in self.parts])

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        """The mixture; examples of lazy parts stay lazy.

        Raises:
            ConfigError: examples of a part are wanted, and the part is empty.
        """
        parts = [part.examples(path_of) for part in self.parts]
        picks: list[tuple[int, int]] = []
        for number, (part, count) in enumerate(zip(parts, self._counts(parts), strict=True)):
            if count and not len(part):
                raise ConfigError(f"A data set to be mixed is empty: {self.parts[number].describe()}.", "Leave it out.")
            chance = random.Random(f"mixed/{self.seed}/{number}")
            picks += [(number, index) for index in _draw(len(part), count, chance)]
        random.Random(f"mixed/{self.seed}").shuffle(picks)
        return _Picked(parts, picks)

    def _counts(self, parts: Sequence[Sequence[Example]]) -> Sequence[int]:
        if self.counts is not None:
            return self.counts
        if self.weights is None or self.size is None:
            return [len(part) for part in parts]
        # Largest remainders: whole numbers that add up to the size.
        shares = [self.size * weight / sum(self.weights) for weight in self.weights]
        counts = [int(share) for share in shares]
        by_remainder = sorted(range(len(shares)), key=lambda i: (counts[i] - shares[i], i))
        for i in by_remainder[: self.size - sum(counts)]:
            counts[i] += 1
        return counts

    def describe(self) -> str:
        return "mix of " + ", ".join(part.describe() for part in self.parts)


class Rule(Value):
    """Conditions for keeping an example; all given conditions must hold.

    Attributes:
        meta: values that `Example.meta` must have.
        without: texts that no message may contain.
        roles: roles of the messages that are searched for the texts of `without`.
    """

    meta: dict[str, str | int | float | bool | None] = {}
    without: tuple[str, ...] = ()
    roles: tuple[Role, ...] = ROLES

    def keeps(self, example: Example) -> bool:
        """Whether the example is kept."""
        if any(key not in example.meta or example.meta[key] != value for key, value in self.meta.items()):
            return False
        messages = [message for conversation in example.conversations for message in conversation.messages]
        texts = [message.content for message in messages if message.role in self.roles]
        return not any(unwanted in text for unwanted in self.without for text in texts)


class Filtered(DataRecipe):
    """The examples of a data set that a rule keeps, in their order.

    Attributes:
        remedy: if given, it is an error to keep no example, and this is the error's remedy; None: an empty result is allowed.
    """

    kind = "filtered"
    virtual = True

    base: DataRecipe
    rule: Rule
    remedy: Annotated[str | None, NotIdentity] = None

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        """The examples that the rule keeps.

        Raises:
            TrainingError: the rule keeps no example, and `remedy` is given.
        """
        given = self.base.examples(path_of)
        kept = [example for example in given if self.rule.keeps(example)]
        if not kept and self.remedy is not None:
            raise TrainingError(f"The filter keeps none of {len(given)} examples: {self.base.describe()}.", self.remedy)
        return kept

    def describe(self) -> str:
        return f"part of {self.base.describe()}"


class Part(DataRecipe):
    """One of two parts of a data set: a held-out part for evaluation, or the rest, for training.

    The part of a conversation depends on the text of its prompt alone: copies of a prompt stay together, and new data do not
    move old conversations.

    Attributes:
        kept_back: take the held-out part.
        share: share of the prompts that is held out.
    """

    kind = "part"
    virtual = True

    base: DataRecipe
    kept_back: bool = False
    share: float = Field(default=0.2, gt=0, lt=1)

    @property
    def rough_size(self) -> int:
        return round(self.base.rough_size * (self.share if self.kept_back else 1 - self.share))

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        return [
            example
            for example in self.base.examples(path_of)
            if (_chance(example.conversation.prompt) < self.share) == self.kept_back
        ]

    def describe(self) -> str:
        return f"{self.base.describe()} ({'kept back' if self.kept_back else 'not kept back'})"


def _chance(prompt: Conversation) -> float:
    """A number from 0 to 1 that depends on a prompt's text alone."""
    text = json.dumps(prompt.dump(), ensure_ascii=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


class _Picked(Sequence[Example]):
    """Examples of several sequences in a given order, fetched at access."""

    def __init__(self, parts: Sequence[Sequence[Example]], picks: Sequence[tuple[int, int]]) -> None:
        self._parts, self._picks = parts, picks

    def __len__(self) -> int:
        return len(self._picks)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        if isinstance(index, slice):
            return _Picked(self._parts, self._picks[index])
        part, row = self._picks[index]
        return self._parts[part][row]


def _draw(length: int, count: int, chance: random.Random) -> list[int]:
    """`count` indices below `length`; each index comes equally often, give or take one."""
    rounds, rest = divmod(count, length) if length else (0, 0)
    return list(range(length)) * rounds + chance.sample(range(length), rest)
