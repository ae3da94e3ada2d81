"""The standard sets: where each lies on the hub, and how a row of it becomes an item.

A set is read from the hub, or from a local folder in the hub's own format: what `hf download --repo-type dataset` writes,
or files of rows (Parquet, JSON lines) with the same columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from cavesson.chat import Conversation, visible
from cavesson.data.recipes import HFDataset
from cavesson.errors import ConfigError, MissingExtra
from cavesson.evals.items import Item
from cavesson.evals.standard import ifeval, judges

if TYPE_CHECKING:
    from cavesson.evals.items import Eval

Row = Mapping[str, Any]
EXTRAS = {
    "hub": ("datasets", "datasets"),
    "maths": ("math_verify", "math-verify"),
    "ifeval": ("lm_eval", "lm-eval"),
}
"""Extra → the module that it brings, and that module's package."""

LETTERS = "ABCDEFGHIJ"
THINK = "Think step by step, and put your final answer in \\boxed{}."


@dataclass(frozen=True, slots=True)
class StandardSet:
    """One set.

    Attributes:
        hub: its name on the hub.
        config: its configuration there; None where it has one only.
        item: from the item's name and a row to the item.
        columns: what a row must have.
        about: what a score of 1 means, in a few words.
        max_tokens: room for an answer.
        extra: the extra that its scorer needs besides `hub`.
        ready: refuses rows that cannot be scored on this machine.
    """

    hub: str
    config: str | None
    split: str
    item: Callable[[str, Row], Item]
    columns: tuple[str, ...]
    about: str
    max_tokens: int
    extra: str | None = None
    ready: Callable[[Sequence[Row]], None] = lambda rows: None

    def source(self, folder: str | Path | None = None) -> HFDataset:
        """The set's data: from below a folder (`owner/name`, or `name` alone), or from the hub.

        Raises:
            ConfigError: it is not there, or the hub cannot be reached.
            MissingExtra: a package that it needs is not installed.
        """
        for extra in ("hub", self.extra):
            if extra is not None and find_spec(EXTRAS[extra][0]) is None:
                raise MissingExtra(EXTRAS[extra][1], extra)
        name = self.hub.rpartition("/")[2]
        if folder is None:
            return HFDataset(name=self.hub, config=self.config, split=self.split)
        places = [Path(folder).expanduser() / part for part in (self.hub, name, name.lower())]
        place = next((place for place in places if place.is_dir()), None)
        if place is None:
            raise ConfigError(
                f"The folder {str(folder)!r} holds no {self.hub}.",
                f"Put it there: hf download {self.hub} --repo-type dataset --local-dir {Path(folder) / self.hub}",
            )
        return HFDataset(name=str(place), config=self.config, split=self.split)

    def items(self, settings: Eval) -> list[Item]:
        """The questions; a set with fewer than are asked for gives all it has."""
        assert isinstance(settings.data, HFDataset)  # `Eval` has checked it
        rows = settings.data.rows()
        missing = [column for column in self.columns if rows and column not in rows[0]]
        if missing or not rows:
            has = f"has no column {missing[0]!r} but {', '.join(rows[0])}" if rows else "has no rows"
            raise ConfigError(f"The data set {settings.data.name!r} {has}.", f"It must be in the format of {self.hub}.")
        chosen = drawn(len(rows), settings.n, settings.seed)
        self.ready([rows[number] for number in chosen])
        return [self.item(f"{settings.name}/{number}", rows[number]) for number in chosen]


def drawn(total: int, n: int, seed: int) -> list[int]:
    """`n` of `total` numbers, all if there are fewer. Different seeds draw different ones as long as they last.

    All seeds cut their pieces from one shuffled list, one behind the other, so that what is chosen on one seed's items
    can be measured on another's.
    """
    order = Random("cavesson/items").sample(range(total), total)
    n = min(n, total)
    return [order[(seed * n + index) % total] for index in range(n)]


def _mmlu(name: str, row: Row) -> Item:
    options = list(row["choices"])
    answer = row["answer"]
    right = answer if isinstance(answer, str) and answer in LETTERS else LETTERS[int(answer)]
    listed = "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))
    text = f"{row['question']}\n\n{listed}\n\nAnswer with the letter of the right option alone."
    return Item(name, Conversation.of(text), judges.choice(right), extra={"subject": row.get("subject")})


def _gsm8k(name: str, row: Row) -> Item:
    gold = str(row["answer"]).rpartition("####")[2].strip()
    return Item(name, Conversation.of(f"{row['question']}\n\n{THINK}"), judges.maths(gold))


def _math(name: str, row: Row) -> Item:
    level = row.get("level")
    level = int("".join(filter(str.isdigit, str(level))) or 0) or None
    return Item(name, Conversation.of(f"{row['problem']}\n\n{THINK}"), judges.maths(str(row["answer"])), level)


def _olympiad(name: str, row: Row) -> Item:
    gold = row["final_answer"]
    gold = ", ".join(map(str, gold)) if isinstance(gold, (list, tuple)) else str(gold)
    return Item(name, Conversation.of(f"{row['question']}\n\n{THINK}"), judges.maths(gold))


def _ifeval(name: str, row: Row) -> Item:
    def judge(completion: str) -> tuple[bool, dict[str, Any]]:
        strict, loose = ifeval.kept(row, visible(completion).strip())
        return strict, {"loose": loose}

    return Item(name, Conversation.of(row["prompt"]), judge, extra={"rules": list(row["instruction_id_list"])})


STANDARD: dict[str, StandardSet] = {
    # Hendrycks et al., "Measuring Massive Multitask Language Understanding" (arXiv 2009.03300)
    "mmlu": StandardSet(
        "cais/mmlu", "all", "test", _mmlu, ("question", "choices", "answer"), "right letter of a multiple choice", 32
    ),
    # Zhou et al., "Instruction-Following Evaluation for Large Language Models" (arXiv 2311.07911)
    "ifeval": StandardSet(
        "google/IFEval", None, "train", _ifeval, ("key", "prompt", "instruction_id_list", "kwargs"),
        "every instruction kept, strictly (official checkers)", 1280, "ifeval", ifeval.check_ready,
    ),
    # Lightman et al., "Let's Verify Step by Step" (arXiv 2305.20050): 500 problems of MATH
    "math-500": StandardSet(
        "HuggingFaceH4/MATH-500", None, "test", _math, ("problem", "answer"), "right answer, levels 1–5", 1024, "maths"
    ),
    # He et al., "OlympiadBench" (arXiv 2402.14008): its open questions of mathematics in English
    "olympiads": StandardSet(
        "Hothan/OlympiadBench", "OE_TO_maths_en_COMP", "train", _olympiad, ("question", "final_answer"),
        "right answer to an olympiad's problem", 2048, "maths",
    ),
    # Cobbe et al., "Training Verifiers to Solve Math Word Problems" (arXiv 2110.14168)
    "gsm8k": StandardSet("openai/gsm8k", "main", "test", _gsm8k, ("question", "answer"), "right final number", 512, "maths"),
}  # fmt: skip
