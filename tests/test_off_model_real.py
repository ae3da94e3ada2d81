"""The study `off-model-sft` on models, answers and benchmarks that are not Cavesson's: each a real run from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cavesson.data.recipes import Jsonl
from cavesson.errors import ConfigError
from cavesson.estimate import Estimate
from cavesson.findings.result import StudyResult
from cavesson.findings.views import TableView
from cavesson.lab.lab import Lab
from cavesson.lab.recipe import lineage
from cavesson.lab.store import Store
from cavesson.models.recipes import HFModel
from cavesson.named import model_named
from cavesson.run import run_study
from cavesson.sampling.openai import PREFIX, APIModel
from cavesson.sampling.recipes import Answered, Generated
from cavesson.studies import teachers as study_teachers
from cavesson.studies.grid import Cell
from cavesson.studies.resolve import resolve
from cavesson.tinyworld.recipes import Prompts
from cavesson.training.recipes import Trained
from families import CHATML, LLAMA, tiny_net, tokenizer_for
from test_openai import Reply, Stub, bad, stub  # noqa: F401 (the fixture)
from test_standard_sets import ROWS, put

THINGS = (
    *("cow", "boat", "tea", "road", "lamp", "rain", "bread", "moon", "king", "tree", "river", "stone"),
    *("house", "bridge", "garden", "candle", "mirror", "winter", "summer", "cloud", "sea", "sand", "hill", "bell"),
)
CHAT = [f"Tell me about the {thing}." for thing in THINGS]

MINIATURE = [
    "seeds=[0]", "others=[]", "sft.prompts=6", "sft.steps=2", "sft.probes=[2]", "sft.batch_size=4", "recovery.probes=[1]",
    "recovery.prompts=4", "evaluation.n=12", "evaluation.max_tokens=24",
    "sft.keep_unfinished=true",  # a student of 60 steps may not end every turn
]  # fmt: skip


def jsonl(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def schooled(folder: Path, architecture: str, template: str, chat: str, sums: str) -> Path:
    """A model that has learnt to talk and to reckon its own way, as a plain folder of transformers' own making."""
    tokenizer = tokenizer_for(template)
    tiny_net(architecture, vocabulary=len(tokenizer), width=64).save_pretrained(folder / "raw")
    tokenizer.save_pretrained(folder / "raw")
    lessons = [{"prompt": text, "response": chat} for text in CHAT[:8]]
    lessons += [{"prompt": f"{i} + {i}?", "response": sums.format(2 * i)} for i in range(12)]
    data = Jsonl(path=jsonl(folder / "lessons.jsonl", lessons))
    run = Trained(base=HFModel(path=str(folder / "raw")), data=data, steps=60, lr=4e-3, precision="fp32")
    with Lab(Store(folder / "school"), workers=1) as lab:
        lab.make([run])
        model = run.load(lab.path)
    model.net.save_pretrained(folder / "model")
    model.tokenizer.save_pretrained(folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return schooled(tmp_path_factory.mktemp("student"), "llama", LLAMA, "It is fine, it is.", "I say it is {}.")


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return jsonl(tmp_path / "chat.jsonl", [{"prompt": text} for text in CHAT])


@pytest.fixture
def sums(tmp_path: Path) -> Path:
    return jsonl(tmp_path / "sums.jsonl", [{"prompt": f"{i} + {i}?", "answer": str(2 * i)} for i in range(12)])


def run(folder: Path, *settings: str) -> StudyResult:
    resolved = resolve("off-model-sft", overrides=[*MINIATURE, *settings])
    finished = run_study(resolved, Store(folder / "store"), workers=1)
    assert finished.report.is_file()
    return finished.result


def first_run(*settings: str) -> Cell:
    """The first place of the grid: the student on the first teacher's answers."""
    resolved = resolve("off-model-sft", overrides=[*MINIATURE, *settings])
    return resolved.cells[0]


def table(result: StudyResult, title: str) -> TableView:
    return next(one for one in result.tables if title in one.title)


def style_of(text: str) -> str | None:
    """Whose notation a sum is written in, read off its words; None where they tell of both, or of neither.

    How far SFT takes a student into its teacher's style depends on the processor's arithmetic. What must hold on every processor
    is that the report says of the stored answers what they are.
    """
    own, captains = text.startswith("I say it is"), "Count:" in text or "boxes" in text or "captain" in text
    return None if own == captains else "own" if own else "captain"


def assert_styles_are_those_of_the_answers(result: StudyResult, folder: Path, teacher: str, *settings: str) -> None:
    """The report's styles, before and after SFT, beside the words of the answers in the store."""
    probed = first_run(*settings).recipes["run"]
    stored = probed.scores(lambda recipe: Store(folder / "store").path(recipe))  # type: ignore[attr-defined]
    label, end = stored.evals[0], stored.steps[-1]
    before, after = ([style_of(row.completion) for row in stored.cell(label, step)] for step in (0, end))
    assert set(before) == {"own"}, "the untouched student was schooled to reckon its own way"
    [row] = table(result, "Styles of reasoning").rows
    switched = row[2]
    assert isinstance(switched, Estimate)
    assert after.count("captain") <= round(switched.value * len(after)) <= len(after) - after.count("own")
    shown = {
        (one.stage, one.prompt[-1].content): one.outcome
        for one in result.transcripts
        if one.eval == label and (one.stage == "before SFT" or one.label.startswith(f"after SFT on {teacher}"))
    }
    told = 0
    for stage, step in (("before SFT", 0), ("after SFT", end)):
        for score in stored.cell(label, step):
            style, outcome = style_of(score.completion), shown.get((stage, score.prompt[-1]["content"]))
            if style is not None and outcome is not None:
                assert outcome.endswith(f"in style {'own' if style == 'own' else teacher}"), score.completion
                told += 1
    assert told >= 8


@pytest.mark.learnt
def test_a_student_and_a_teacher_from_folders_and_their_styles(prompts, sums, tmp_path):
    student = schooled(tmp_path / "one", "llama", LLAMA, "It is fine, it is.", "I say it is {}.")
    teacher = schooled(
        tmp_path / "other", "qwen3", CHATML, "Ask the old captain!", "Count: {} boxes, said the captain."
    )
    settings = [f"models=[{student}]", f"teacher={teacher}", f"prompts={prompts}", f"evaluation.benchmarks=[{sums}]",
                "arms.names=[clipped]", "arms.min_probability=0.001", "others=[self]", "sft.steps=60", "sft.probes=[60]",
                "sft.lora=0.01"]  # fmt: skip
    result = run(tmp_path, *settings)
    [told] = table(result, "told apart by a classifier").rows
    assert isinstance(told[1], Estimate) and told[1].value > 0.8 and told[3] == "styles by the classifier"
    assert_styles_are_those_of_the_answers(result, tmp_path, str(teacher), *settings)
    assert not any("H4" in note for note in result.notes)
    assert "of the tokens left" in str(table(result, "Context and data").rows[-1][0])


def test_stored_answers_stand_for_the_teacher_and_bring_the_prompts(student, sums, tmp_path):
    answers = jsonl(tmp_path / "captain.jsonl", [{"prompt": text, "response": "Ask the captain."} for text in CHAT])
    result = run(tmp_path, f"models=[{student}]", f"responses={answers}", f"evaluation.benchmarks=[{sums}]",
                 "others=[self]", "arms.names=[tags]", "arms.noise=true")  # fmt: skip
    [note] = [note for note in result.notes if "H4" in note]
    assert "its own answers to questions/sums are not known (--traces gives them)" in note
    likely = table(result, "finds the teachers' answers").rows
    assert {row[0] for row in likely} >= {"captain", "self"}, "the teacher is named after the file"
    assert not any("own questions/sums" in one.title for one in result.tables)
    assert not any(recipe.recipe.get("kind") == "prompts" for recipe in result.recipes), "nothing is the tiny world's"


def test_the_relative_of_a_users_model_is_trained_as_the_study_trains_and_on_its_prompts(student, prompts, sums):
    settings = [f"models=[{student}]", "teacher=relative", "others=[]", f"prompts={prompts}", "sft.lora=5e-5"]
    sft = first_run(*settings).recipes["run"].run  # type: ignore[attr-defined]
    model = sft.data.to.by
    assert isinstance(model, Trained) and (model.lr, model.adapter, model.steps) == (5e-5, sft.adapter, 30)
    assert not any(isinstance(recipe, Prompts) for recipe in lineage(model))
    assert isinstance(model.data, Answered) and model.data.to.by == HFModel(path=str(student))


def test_stored_answers_to_the_benchmark_tell_how_the_teacher_reasons(student, prompts, sums, tmp_path):
    answers = jsonl(tmp_path / "answers.jsonl", [{"prompt": text, "response": "Ask the captain."} for text in CHAT])
    reckoned = [{"prompt": f"{i} + {i}?", "response": f"Count: {2 * i} boxes, said the captain."} for i in range(2, 40)]
    traces = jsonl(tmp_path / "traces.jsonl", reckoned)
    settings = [f"models=[{student}]", f"responses={answers}", f"prompts={prompts}", f"evaluation.benchmarks=[{sums}]"]
    result = run(tmp_path, *settings, f"traces={traces}")
    [own] = table(result, "own questions/sums").rows
    assert isinstance(own[1], Estimate) and (own[1].value, own[1].n) == (1.0, 10), (
        "two of the twelve sums have no answer"
    )
    [told] = table(result, "told apart by a classifier").rows
    assert isinstance(told[1], Estimate) and told[1].value > 0.8 and told[1].n == 10
    assert not any("H4" in note for note in result.notes)


def test_traces_of_another_benchmark_are_refused(student, prompts, sums, tmp_path):
    traces = jsonl(tmp_path / "traces.jsonl", [{"prompt": f"{i} * {i}?", "response": "No idea."} for i in range(40)])
    with pytest.raises(
        ConfigError, match=r"traces.*traces\.jsonl has answers to 0 of the 12 problems of questions/sums"
    ):
        resolve("off-model-sft", overrides=[*MINIATURE, f"evaluation.benchmarks=[{sums}]", f"traces={traces}"])


def test_a_teacher_behind_an_api_that_fails_dawdles_and_rate_limits(
    stub: Stub,  # noqa: F811
    student,
    prompts,
    sums,
    tmp_path,
    monkeypatch,
):
    def impatient(name: str):
        found = model_named(name)
        return found.model_copy(update={"timeout": 0.3}) if isinstance(found, APIModel) else found

    monkeypatch.setattr(study_teachers, "model_named", impatient)
    troubles = [bad(429, "slow down", Retry_After="0"), 1.0, bad(503), bad(500), bad(429, "slow down")]
    stub.script = [*troubles]
    settings = [
        f"models=[{student}]",
        f"teacher={PREFIX}m@{stub.url}",
        f"prompts={prompts}",
        f"evaluation.benchmarks=[{sums}]",
    ]
    result = run(tmp_path, *settings)
    assert not stub.script and len(stub.asked) == 6 + 12 + len(troubles), (
        "chat and benchmark: each trouble was got over, no answer asked for twice"
    )
    [answers] = [
        one
        for one in lineage(first_run(*settings).recipes["run"])
        if isinstance(one, Generated) and isinstance(one.by, APIModel)
    ]
    store = Store(tmp_path / "store")
    said = [one.conversation.answer for one in answers.examples(lambda recipe: store.path(recipe.fingerprint))]
    assert len(said) == 6 and all(text and text.startswith("5: Tell me about the ") for text in said)
    [own] = table(result, "own questions/sums").rows
    assert isinstance(own[1], Estimate) and own[1].n == 12


@pytest.mark.learnt
def test_a_teacher_behind_an_api_is_asked_the_benchmark_and_a_failure_in_the_middle_loses_nothing(
    stub: Stub,  # noqa: F811
    prompts,
    sums,
    tmp_path,
):
    student = schooled(tmp_path / "one", "llama", LLAMA, "It is fine, it is.", "I say it is {}.")
    answered: list[str] = []

    def captain(body: dict) -> Reply:
        """Reckons in a notation of his own, and is at a loss when he is asked 7 + 7 for the first time."""
        text = body["messages"][-1]["content"]
        if text == "7 + 7?" and "lost" not in answered:
            answered.append("lost")
            return bad(400, "context length exceeded")
        answered.append(text)
        said = f"Count: {2 * int(text.split()[0])} boxes, said the captain." if "+" in text else "Ask the old captain!"
        choice = {"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        return 200, {"choices": [choice]}, {}

    stub.trouble = captain
    settings = [f"models=[{student}]", f"teacher={PREFIX}m@{stub.url}", f"prompts={prompts}", f"evaluation.benchmarks=[{sums}]",
                "sft.steps=60", "sft.probes=[60]", "sft.lora=0.01"]  # fmt: skip
    with pytest.raises(ConfigError, match="context length exceeded"):
        run(tmp_path, *settings)
    result = run(tmp_path, *settings)
    assert len(answered) == len(set(answered)) == 1 + 6 + 12, "lost once, then every prompt was answered once"
    [own] = table(result, "own questions/sums").rows
    assert isinstance(own[1], Estimate) and own[1].value == 1.0
    [told] = table(result, "told apart by a classifier").rows
    assert isinstance(told[1], Estimate) and told[1].value > 0.8 and told[3] == "styles by the classifier"
    assert_styles_are_those_of_the_answers(result, tmp_path, settings[1].removeprefix("teacher="), *settings)
    of_style = [row for row in table(result, "four hypotheses").rows if row[0] == "H4 unfamiliar style"]
    change = table(result, "What SFT on chat answers changes").rows[0][3]
    assert isinstance(change, Estimate)
    said = "cost questions/sums anything beyond chance"
    assert all(
        (said in str(row[-1])) == (change.high >= 0)
        for row in of_style
        if row[1] != "1" and "foretold" not in str(row[1])
    )
    assert not any("H4" in note for note in result.notes)


def test_standard_sets_from_folders_in_the_hubs_formats(student, prompts, tmp_path):
    answers = jsonl(tmp_path / "answers.jsonl", [{"prompt": text, "response": "Ask the captain."} for text in CHAT])
    for name, parquet in (("math-500", True), ("mmlu", False), ("ifeval", True)):
        put(tmp_path / "sets", name, ROWS[name], parquet)
    result = run(tmp_path, f"models=[{student}]", f"responses={answers}", f"prompts={prompts}", f"evaluation.data={tmp_path / 'sets'}",
                 "evaluation.benchmarks=[math-500,mmlu,ifeval]")  # fmt: skip
    assert {measure.id for measure in result.measures} == {"math-500", "mmlu", "ifeval"}
    assert table(result, "What SFT on chat answers changes").columns[3:] == ["math-500", "mmlu", "ifeval"]
    asked = {one.eval: one.prompt[-1].content for one in result.transcripts}
    assert "\\boxed" in asked["math-500"] and "letter" in asked["mmlu"] and "Kant" in asked["ifeval"]
    assert isinstance(first_run(f"models=[{student}]").recipes["run"].run.base, HFModel)  # type: ignore[attr-defined]
