"""The standard sets: where each lies on the hub, and how a row becomes an item.

A set is read from the hub, or from a local folder in the hub's own format: the output of `hf download --repo-type dataset`,
or files of rows (Parquet, JSON lines) with the same columns.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal

from cavesson.chat import Conversation, visible
from cavesson.data.recipes import HFDataset
from cavesson.errors import ConfigError, MissingExtra
from cavesson.evals.items import Eval, Item, drawn
from cavesson.evals.standard import ifeval, judges
from cavesson.evals.standard.choices import listed

Row = Mapping[str, Any]
EXTRAS = {
    "hub": ("datasets", "datasets"),
    "maths": ("math_verify", "math-verify"),
    "ifeval": ("lm_eval", "lm-eval"),
}
"""Extra → a module that the extra installs, and the module's package."""

LETTERS = "ABCDEFGHIJ"
THINK = "Think step by step, and put your final answer in \\boxed{}."


class StandardSet(Eval):
    """A published set.

    Class attributes:
        hub: the set's name on the hub.
        hub_config: the configuration on the hub; None: the set has only one.
        hub_split: the split on the hub.
        columns: the columns that a row must have.
        extra: the extra that the scorer needs besides `hub`; None: no other.

    Attributes:
        data: the rows; if there are fewer than `n`, all are asked.
    """

    hub: ClassVar[str]
    hub_config: ClassVar[str | None] = None
    hub_split: ClassVar[str] = "test"
    columns: ClassVar[tuple[str, ...]]
    extra: ClassVar[str | None] = None
    reading: ClassVar[int] = 4
    # 4: answers that are taken back, reasoning in further tags; 3: denials, whole numbers and mentions of options; 2: units, scales and
    # ranges; options by their texts; unreadable answers
    needs = "a standard set needs `data`: where its rows lie (`cavesson.evals.benchmarks.benchmark_named` finds them)"

    data: HFDataset

    @staticmethod
    @abstractmethod
    def item(name: str, row: Row) -> Item:
        """The item of a row.

        Args:
            name: the item's name.
            row: a row of the set.
        """

    @staticmethod
    def check_ready(rows: Sequence[Row]) -> None:
        """Refuse rows that cannot be scored on this machine."""

    @classmethod
    def source(cls, folder: str | Path | None = None) -> HFDataset:
        """The set's data, from a local folder or from the hub.

        Args:
            folder: a folder that holds the set as `owner/name` or as `name`; None: the hub.

        Raises:
            ConfigError: the folder does not hold the set, or the hub cannot be reached.
            MissingExtra: a package that the set needs is not installed.
        """
        for extra in ("hub", cls.extra):
            if extra is not None and find_spec(EXTRAS[extra][0]) is None:
                raise MissingExtra(EXTRAS[extra][1], extra)
        name = cls.hub.rpartition("/")[2]
        if folder is None:
            return HFDataset(name=cls.hub, config=cls.hub_config, split=cls.hub_split)
        places = [Path(folder).expanduser() / part for part in (cls.hub, name, name.lower())]
        place = next((place for place in places if place.is_dir()), None)
        if place is None:
            raise ConfigError(
                f"The folder {str(folder)!r} holds no {cls.hub}.",
                f"Put it there: hf download {cls.hub} --repo-type dataset --local-dir {Path(folder) / cls.hub}",
            )
        return HFDataset(name=str(place), config=cls.hub_config, split=cls.hub_split)

    def questions(self) -> list[Item]:
        """The set's questions; all of them if there are fewer than `n`.

        Raises:
            ConfigError: the data have no rows, or lack one of the set's columns.
        """
        rows = self.data.rows()
        missing = [column for column in self.columns if rows and column not in rows[0]]
        if missing or not rows:
            has = f"has no column {missing[0]!r} but {', '.join(rows[0])}" if rows else "has no rows"
            raise ConfigError(f"The data set {self.data.name!r} {has}.", f"It must be in the format of {self.hub}.")
        chosen = drawn(len(rows), self.n, self.seed)
        self.check_ready([rows[number] for number in chosen])
        return [self.item(f"{self.name}/{number}", rows[number]) for number in chosen]


class MMLU(StandardSet):
    """Hendrycks et al., "Measuring Massive Multitask Language Understanding" (arXiv 2009.03300)."""

    about = "right letter of a multiple choice"
    usual_room = 32
    hub, hub_config = "cais/mmlu", "all"
    columns = ("question", "choices", "answer")

    name: Literal["mmlu"] = "mmlu"

    @staticmethod
    def item(name: str, row: Row) -> Item:
        options = list(row["choices"])
        answer = row["answer"]
        right = answer if isinstance(answer, str) and answer in LETTERS else LETTERS[int(answer)]
        asked = Conversation.of(listed(row["question"], options))
        return Item(name, asked, judges.choice(right, options), extra={"subject": row.get("subject")})


class IFEval(StandardSet):
    """Zhou et al., "Instruction-Following Evaluation for Large Language Models" (arXiv 2311.07911)."""

    about = "every instruction kept, strictly (official checkers)"
    usual_room = 1280
    hub, hub_split = "google/IFEval", "train"
    columns = ("key", "prompt", "instruction_id_list", "kwargs")
    extra = "ifeval"
    reading = 1

    name: Literal["ifeval"] = "ifeval"

    @staticmethod
    def item(name: str, row: Row) -> Item:
        def judge(completion: str) -> tuple[bool, dict[str, Any]]:
            strict, loose = ifeval.kept(row, visible(completion).strip())
            return strict, {"loose": loose}

        return Item(name, Conversation.of(row["prompt"]), judge, extra={"rules": list(row["instruction_id_list"])})

    @staticmethod
    def check_ready(rows: Sequence[Row]) -> None:
        ifeval.check_ready(rows)


class Math500(StandardSet):
    """500 problems of MATH: Lightman et al., "Let's Verify Step by Step" (arXiv 2305.20050)."""

    about = "right answer, levels 1–5"
    usual_room = 1024
    hub = "HuggingFaceH4/MATH-500"
    columns = ("problem", "answer")
    extra = "maths"

    name: Literal["math-500"] = "math-500"

    @staticmethod
    def item(name: str, row: Row) -> Item:
        level = int("".join(filter(str.isdigit, str(row.get("level")))) or 0) or None
        return Item(name, Conversation.of(f"{row['problem']}\n\n{THINK}"), judges.maths(str(row["answer"])), level)


class Olympiads(StandardSet):
    """The open questions of mathematics in English of He et al., "OlympiadBench" (arXiv 2402.14008)."""

    about = "right answer to an olympiad's problem"
    usual_room = 2048
    hub, hub_config, hub_split = "Hothan/OlympiadBench", "OE_TO_maths_en_COMP", "train"
    columns = ("question", "final_answer")
    extra = "maths"

    name: Literal["olympiads"] = "olympiads"

    @staticmethod
    def item(name: str, row: Row) -> Item:
        gold = row["final_answer"]
        gold = ", ".join(map(str, gold)) if isinstance(gold, (list, tuple)) else str(gold)
        return Item(name, Conversation.of(f"{row['question']}\n\n{THINK}"), judges.maths(gold))


class GSM8K(StandardSet):
    """Cobbe et al., "Training Verifiers to Solve Math Word Problems" (arXiv 2110.14168)."""

    about = "right final number"
    usual_room = 512
    hub, hub_config = "openai/gsm8k", "main"
    columns = ("question", "answer")
    extra = "maths"

    name: Literal["gsm8k"] = "gsm8k"

    @staticmethod
    def item(name: str, row: Row) -> Item:
        gold = str(row["answer"]).rpartition("####")[2].strip()
        return Item(name, Conversation.of(f"{row['question']}\n\n{THINK}"), judges.maths(gold))


STANDARD: dict[str, type[StandardSet]] = {
    "mmlu": MMLU,
    "ifeval": IFEval,
    "math-500": Math500,
    "olympiads": Olympiads,
    "gsm8k": GSM8K,
}
