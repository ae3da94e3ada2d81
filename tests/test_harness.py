"""Tasks of the lm-evaluation-harness as benchmarks: the real package, on tasks that lie in files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from cavesson.chat import Conversation
from cavesson.errors import ConfigError, MissingExtra
from cavesson.evals import harness
from cavesson.evals.benchmarks import benchmark_named
from cavesson.evals.scoring import score_suite
from cavesson.lab import trust
from cavesson.sampling.perplexity import Likelihood
from cavesson.sampling.sampler import Completion, Params, Progress

pytest.importorskip("lm_eval")
pytest.importorskip("datasets")

HEAD = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
fewshot_split: test
doc_to_text: "{{{{q}}}}"
"""
KINDS = {
    "choice": """
output_type: multiple_choice
doc_to_choice: "{{options}}"
doc_to_target: gold
metric_list: [{metric: acc}, {metric: acc_norm}]
""",
    "words": """
output_type: generate_until
doc_to_target: "{{options[gold]}}"
generation_kwargs: {until: ["END"], max_gen_toks: 40}
filter_list:
  - {name: strict, filter: [{function: regex, regex_pattern: "answer is (\\\\w+)"}, {function: take_first}]}
  - {name: loose, filter: [{function: regex, regex_pattern: "(red|blue)"}, {function: take_first}]}
metric_list: [{metric: exact_match}]
""",
    "text": """
output_type: loglikelihood_rolling
doc_to_target: "{{q}}"
metric_list: [{metric: word_perplexity}]
""",
}
ROWS = [
    {"q": "The sky?", "options": ["red", "blue"], "gold": 1},
    {"q": "A rose?", "options": ["red", "blue"], "gold": 0},
    {"q": "The sea?", "options": ["red", "blue"], "gold": 1},
]


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    for name, kind in KINDS.items():
        (tmp_path / f"{name}.yaml").write_text(HEAD.format(name=name, data=data) + kind)
    return tmp_path


class Blue:
    """Finds "blue" likely, and says so about the sky alone."""

    system, used, key = None, dict[str, int](), "blue"

    def __init__(self) -> None:
        self.asked: list[tuple[Conversation, Params | None]] = []

    def sample(
        self, conversations: Sequence[Conversation], params: Params, progress: Progress | None = None
    ) -> list[list[Completion]]:
        self.asked += [(one, params) for one in conversations]
        texts = ["<think>red?</think>The answer is blue" if "sky" in one.messages[-1].content else "blue!"
                 for one in conversations]  # fmt: skip
        return [[Completion(text, (1,), True)] for text in texts]

    def prompts_ids(self, conversations: Sequence[Conversation]) -> list[list[int]]:
        raise NotImplementedError

    def continue_ids(
        self, prompts: Sequence[list[int]], params: Params, progress: Progress | None = None
    ) -> list[list[Completion]]:
        raise NotImplementedError

    def likelihoods(self, conversations: Sequence[Conversation]) -> list[Likelihood]:
        self.asked += [(one, None) for one in conversations]
        return [Likelihood((-1.0 if one.answer == "blue" else -2.0, -0.1)) for one in conversations]


def scores(model: Blue, name: str, n: int = 3) -> dict[str, tuple[int, bool, str]]:
    one = benchmark_named(f"lm-eval:{name}", n=n)
    return {row.prompt[-1]["content"]: (row.score, row.unreadable, row.completion) for row in score_suite(model, [one])}


def test_a_choice_is_the_option_that_the_model_finds_likeliest(tasks: Path) -> None:
    model = Blue()
    found = scores(model, f"{tasks}/choice.yaml")
    assert found == {"The sky?": (1, False, "blue"), "A rose?": (0, False, "blue"), "The sea?": (1, False, "blue")}
    assert {one.answer for one, _ in model.asked} == {"red", "blue"}
    [row] = score_suite(model, [benchmark_named(f"lm-eval:{tasks}/choice.yaml", n=1)])
    assert row.extra == {"acc_norm": float(row.score)} and row.eval == "lm-eval/choice.yaml"


def test_an_answer_in_words_is_read_by_the_tasks_filter(tasks: Path) -> None:
    model = Blue()
    found = scores(model, f"{tasks}/words.yaml")
    assert {name: kept[:2] for name, kept in found.items()} == {
        "The sky?": (1, False), "A rose?": (0, True), "The sea?": (0, True)
    }  # fmt: skip
    params = model.asked[0][1]
    assert params is not None and (params.max_tokens, params.stop, params.temperature) == (40, ("END",), 0)
    loose = scores(model, f"{tasks}/words.yaml:filter=loose")
    assert {name: kept[:2] for name, kept in loose.items()} == {
        "The sky?": (1, False), "A rose?": (0, False), "The sea?": (1, False)
    }  # fmt: skip
    with pytest.raises(ConfigError, match="has no filter 'lose'"):
        scores(model, f"{tasks}/words.yaml:filter=lose")


def test_examples_are_shown_as_earlier_turns(tasks: Path) -> None:
    model = Blue()
    scores(model, f"{tasks}/words.yaml:fewshot=1", n=1)
    [(asked, _)] = model.asked
    assert [message.role for message in asked.messages] == ["user", "assistant", "user"]
    assert asked.messages[1].content.strip() in ("red", "blue")


def test_what_cannot_be_asked_is_refused_before_anything_is_made(tasks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="asks for loglikelihood_rolling, which a chat model does not give"):
        benchmark_named(f"lm-eval:{tasks}/text.yaml")
    with pytest.raises(ConfigError, match="gives 'shots'"):
        benchmark_named(f"lm-eval:{tasks}/words.yaml:shots=3")
    with pytest.raises(ConfigError, match="cannot be read"):
        benchmark_named(f"lm-eval:{tasks}/none.yaml")
    (tasks / "more.yaml").write_text("include: ../words.yaml")
    with pytest.raises(ConfigError, match="includes another file"):
        benchmark_named(f"lm-eval:{tasks}/more.yaml")
    monkeypatch.setattr(harness, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="lm-eval"):
        benchmark_named(f"lm-eval:{tasks}/words.yaml")


def test_functions_beside_a_task_run_if_the_user_trusts_them(tasks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tasks / "own.py").write_text("def asked(doc):\n    return doc['q'].upper()\n")
    text = (tasks / "words.yaml").read_text().replace('doc_to_text: "{{q}}"', "doc_to_text: !function own.asked")
    (tasks / "own.yaml").write_text(text)
    assert "THE SKY?" in scores(Blue(), f"{tasks}/own.yaml")
    monkeypatch.setenv("CAVESSON_TRUST", "")
    monkeypatch.setattr(trust, "_said", set())
    with pytest.raises(ConfigError, match=r"words\.yaml is Python code that you did not name"):
        benchmark_named(f"lm-eval:{tasks}/words.yaml")
    trust.named(["--bench", f"maths,lm-eval:{tasks}/own.yaml"])
    with pytest.raises(ConfigError, match=r"own\.py is Python code that you did not name"):
        benchmark_named(f"lm-eval:{tasks}/own.yaml")


@pytest.mark.slow  # reading the tasks that lm-eval ships takes five seconds
def test_a_task_that_cannot_be_had_by_its_name_says_why() -> None:
    with pytest.raises(ConfigError, match=r"'no_such_task' of lm-eval cannot be loaded: .*not a registered task"):
        benchmark_named("lm-eval:no_such_task")
    with pytest.raises(ConfigError, match="'arc_easy' of lm-eval cannot be loaded: Couldn't reach 'allenai/ai2_arc'"):
        benchmark_named("lm-eval:arc_easy")
