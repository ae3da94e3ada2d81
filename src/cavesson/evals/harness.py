"""Tasks of the lm-evaluation-harness (EleutherAI) as benchmarks: those that it ships, by name, and a user's own in YAML."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from cavesson.chat import Conversation, visible
from cavesson.errors import CavessonError, ConfigError, MissingExtra, nearest
from cavesson.evals.conducted import Asking, Conducted, digest
from cavesson.evals.items import drawn
from cavesson.evals.scores import Score
from cavesson.lab.trust import trusted_source
from cavesson.sampling.sampler import Params, Progress, Sampler, TokenSampler

if TYPE_CHECKING:
    from lm_eval.tasks import TaskManager

PREFIX = "lm-eval:"
SEED = 1234
"""Of the examples that a task shows, as lm-eval's own default."""
OURS = ("metric", "filter", "fewshot")
"""Arguments behind a task's name: which of its metrics and filters counts (else the first), and the number of examples shown."""
KINDS = ("multiple_choice", "generate_until")
"""How tasks ask that a chat model can answer: which option is likeliest, and for an answer in words."""


class HarnessTask(Conducted):
    """A task of lm-eval, asked in the model's own chat template. An answer scores if the task's metric gives it full marks.

    Each score records the task's other figures. An answer in which the task's filter finds nothing is unreadable.
    """

    about: ClassVar[str] = "full marks from the task's own metric"
    called: ClassVar[str] = "The task {!r} of lm-eval"

    name: Literal["lm-eval"] = "lm-eval"

    @classmethod
    def read(cls, task: str, arguments: Mapping[str, Any]) -> tuple[Any, str]:
        found = _loaded(task)
        return found, _content(found, task)

    def conduct(
        self, sampler: Sampler, step: int | None = None, logs: Path | None = None, progress: Progress | None = None
    ) -> list[Score]:
        from lm_eval.evaluator import evaluate

        task = self.unchanged()
        if task.OUTPUT_TYPE == "multiple_choice" and not isinstance(sampler, TokenSampler):
            raise ConfigError(
                f"{self.label} compares the likelihoods of options, which need a model's weights, not its written answers.",
                "Take a task in which the model writes its answer.",
            )
        chosen = drawn(len(task.eval_docs), self.n, self.seed)
        asking = self.asking(sampler, progress, len(chosen))
        task.set_fewshot_seed(seed=SEED)
        task.set_config(key="num_fewshot", value=self._examples(task.get_config("num_fewshot")))
        with _quiet():
            found = evaluate(
                _harness_model(asking, self.room, self.max_tokens),
                {"tasks": {task.task_name: task}},
                samples={task.task_name: chosen},
                apply_chat_template=True,
                fewshot_as_multiturn=True,
                bootstrap_iters=0,
                log_samples=True,
            )
        rows = {row["doc_id"]: row for row in self._filtered(found["samples"][task.task_name])}
        return [self._score(task, rows[number], step) for number in chosen]

    def _examples(self, usual: int | None) -> int:
        """How many examples the task shows; lm-eval lets nobody show examples where a task says none."""
        wanted = dict(self.arguments).get("fewshot")
        if wanted and usual == 0:
            raise ConfigError(f"The task {self.task!r} of lm-eval shows no examples.", "Leave :fewshot= out.")
        return int(wanted if wanted is not None else usual or 0)

    def _filtered(self, samples: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The samples under the filter that counts."""
        names = list(dict.fromkeys(row["filter"] for row in samples))
        wanted = str(dict(self.arguments).get("filter", names[0]))
        if wanted not in names:
            raise ConfigError(f"The task {self.task!r} has no filter {wanted!r}.", nearest(wanted, names))
        return [row for row in samples if row["filter"] == wanted]

    def _score(self, task: Any, row: dict[str, Any], step: int | None) -> Score:
        figures = {name: float(row[name]) for name in row["metrics"] if isinstance(row.get(name), (bool, int, float))}
        metric = str(dict(self.arguments).get("metric", next(iter(figures), "")))
        if metric not in figures:
            raise ConfigError(f"The task {self.task!r} has no metric {metric!r} of single answers.",
                              nearest(metric, figures) if figures else "Take a task that scores each answer by itself.")  # fmt: skip
        if not 0 <= figures[metric] <= 1:
            raise ConfigError(f"The metric {metric!r} of {self.task!r} is no share of full marks.", "Name another.")
        weighed = task.OUTPUT_TYPE == "multiple_choice"
        values = [reply[0] for reply in row["resps"]]  # one reply to each request
        best = max(range(len(values)), key=lambda place: values[place][0]) if weighed else 0
        read = row["filtered_resps"][0] if not weighed else ""
        extra: dict[str, Any] = {"unreadable": True} if read == "[invalid]" else {}
        extra |= {name: value for name, value in figures.items() if name != metric}
        extra |= {"value": figures[metric]} if 0 < figures[metric] < 1 else {}
        return Score(
            step=step,
            eval=self.label,
            item=f"{task.task_name}/{row['doc_id']}",
            level=None,
            prompt=json.loads(row["arguments"][best][0]),
            completion=str(row["arguments"][best][1]) if weighed else str(values[0]),
            score=int(figures[metric] >= 1),
            finished=True,
            extra=extra,
        )


def harness_task(name: str, **settings: Any) -> dict[str, Any]:
    """The settings of a benchmark by name: `lm-eval:arc_easy`, `lm-eval:gsm8k:filter=flexible-extract`, `lm-eval:mine.yaml`.

    Raises:
        MissingExtra, ConfigError: as of `_loaded`; or an argument is none of `OURS`.
    """
    from cavesson.named import template_arguments

    task, arguments = template_arguments(name.removeprefix(PREFIX))
    if unknown := sorted(set(arguments) - set(OURS)):
        raise ConfigError(f"{name!r} gives {unknown[0]!r}.", nearest(unknown[0], OURS))
    task = str(Path(task).expanduser().resolve()) if task.endswith(".yaml") else task
    return {"task": task, "arguments": tuple(arguments.items()), "content": _content(_loaded(task), task), **settings}


def _loaded(name: str) -> Any:
    """The task of a name or a YAML file, with its documents.

    Raises:
        MissingExtra: lm-eval is not installed.
        ConfigError: there is no such task, it is several, its documents cannot be had, or it asks in a way that a chat model
            cannot answer; or nobody has said that the YAML file, which may name code, or Python beside it may run.
    """
    in_file = name.endswith(".yaml")
    if find_spec("lm_eval") is None:
        raise MissingExtra("lm-eval", "ifeval")
    if in_file:
        _check_trust(Path(name))
    try:
        with _quiet():
            tasks = list(_manager(not in_file).load([name])["tasks"].values())
    except CavessonError:
        raise
    except Exception as error:  # a task's documents come from the hub, and its own code may raise anything
        why = " ".join(str(error).split())[:300].strip("\"'")
        raise ConfigError(
            f"The task {name!r} of lm-eval cannot be loaded: {why}", "`lm-eval ls tasks` lists them; check the network."
        ) from error
    if len(tasks) != 1:
        raise ConfigError(f"{name!r} is a group of {len(tasks)} tasks of lm-eval.", "Name one of them.")
    [task] = tasks
    if task.OUTPUT_TYPE not in KINDS:
        raise ConfigError(
            f"The task {name!r} of lm-eval asks for {task.OUTPUT_TYPE}, which a chat model does not give.",
            f"Take one of the kind {' or '.join(KINDS)}.",
        )
    return task


@cache
def _manager(shipped: bool) -> TaskManager:
    """What finds tasks; reading those that lm-eval ships takes seconds."""
    from lm_eval.tasks import TaskManager

    return TaskManager(include_defaults=shipped)


def _check_trust(file: Path) -> None:
    """Refuse a file that could run Python that the user has not agreed to: the file may name functions beside it."""
    try:
        text = trusted_source(file.resolve()).decode("utf-8", "replace")
        if re.search(r"^\s*include\s*:", text, re.MULTILINE):
            raise ConfigError(f"The task {str(file)!r} includes another file.", "Write the task whole, in one file.")
        for one in sorted(file.parent.glob("*.py")) if "!function" in text else ():
            trusted_source(one.resolve())
    except OSError as error:
        raise ConfigError(f"The task {str(file)!r} of lm-eval cannot be read: {error}", "Check its path.") from error


def _content(task: Any, name: str) -> str:
    """A digest of the task's documents, and of its file or its name and the version of lm-eval."""
    code = Path(name).read_text(encoding="utf-8") if name.endswith(".yaml") else (name, metadata.version("lm_eval"))
    return digest(code, json.loads(json.dumps(list(task.eval_docs), default=str)))


def _harness_model(asking: Asking, room: int, most: int | None) -> Any:
    """A sampler as a model of lm-eval; prompts pass through lm-eval as the JSON text of their messages.

    Args:
        room: most tokens of an answer, where the task does not say.
        most: most tokens, whatever the task says; None: as the task says.
    """
    from lm_eval.api.model import LM

    class SampledLM(LM):
        tokenizer_name = "cavesson"

        def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
            if not add_generation_prompt:
                raise ConfigError("A chat model goes on with no answer that a task has begun.", "Take another task.")
            return json.dumps(chat_history)

        def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
            asked = [_asked(one.args[0]).answered(one.args[1].strip()) for one in requests]
            # whether the option is also what the model would write is not known; `multiple_choice` does not read it for acc
            return [(one.of_text, False) for one in asking.likelihoods(asked)]

        def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
            raise ConfigError("A chat model has no likelihood of a text without a prompt.", "Take another task.")

        def generate_until(self, requests: list[Any]) -> list[str]:
            answers: dict[int, str] = {}
            for params in dict.fromkeys(_params(one.args[1], room, most) for one in requests):
                which = [place for place, one in enumerate(requests) if _params(one.args[1], room, most) == params]
                found = asking.sample([_asked(requests[place].args[0]) for place in which], params)
                answers.update({place: visible(one[0].text) for place, one in zip(which, found, strict=True)})
            return [answers[place] for place in range(len(requests))]

    return SampledLM()


def _asked(text: str) -> Conversation:
    return Conversation.parse(json.loads(text))


def _params(given: Mapping[str, Any], room: int, most: int | None) -> Params:
    until = given.get("until") or ()
    stop = (until,) if isinstance(until, str) else tuple(until)
    heat = float(given.get("temperature") or 0.0) if given.get("do_sample") else 0.0
    tokens = most or int(given.get("max_gen_toks") or room)
    return Params(max_tokens=tokens, temperature=heat, stop=tuple(one for one in stop if one))


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what lm-eval and `datasets` say on the terminal: the lab has its own display."""
    from datasets.utils import logging as bars
    from lm_eval.api import task

    shown, logger, counted = bars.is_progress_bar_enabled(), logging.getLogger("lm_eval"), task.tqdm
    level = logger.level
    bars.disable_progress_bar()
    logger.setLevel(logging.CRITICAL)
    task.tqdm = lambda rows, **_: rows
    try:
        yield
    finally:
        task.tqdm = counted
        logger.setLevel(level)
        if shown:
            bars.enable_progress_bar()
