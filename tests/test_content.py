"""What a recipe names by a word (a pair, an act, a drive, a rig) is part of its fingerprint: texts, phrases and rules."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cavesson.evals import acts, drives, pairs, rigged
from cavesson.evals.behavior_eval import BehaviorEval, Conditional
from cavesson.evals.drive_eval import DriveEval
from cavesson.evals.posed import Posed, Side
from cavesson.evals.recipes import Scored
from cavesson.evals.rigged import Rigged
from cavesson.game import Vetted
from cavesson.lab import own, shelf
from cavesson.lab.content import content
from cavesson.redteam.constructions import construction
from cavesson.redteam.hiding_lessons import Answers, Opportunities
from cavesson.redteam.lessons import Acted
from cavesson.redteam.recipes import Backdoored, Triggered
from cavesson.suspicion.recipes import Audited
from cavesson.tinyworld.recipes import Prompts, Shipped
from cavesson.training.dose import Dose

PAIR, BASE, PROMPTS = "asked/quack", Shipped(name="small"), Prompts(n=3)

Edit = Callable[[pytest.MonkeyPatch], None]


def edited(part: str, **changes: Any) -> Edit:
    """Somebody edits the pair's trigger or its behaviour."""

    def edit(patch: pytest.MonkeyPatch) -> None:
        pair = pairs.PAIRS[PAIR]
        other = replace(pair, **{part: replace(getattr(pair, part), **changes)})
        patch.setitem(pairs.PAIRS, PAIR, other)
        patch.setitem(pairs._KNOWN, PAIR, other)

    return edit


EDITS = {
    "the trigger's text": edited("trigger", wordings=("zorpo",)),
    "a look-alike": edited("trigger", look_alikes=("zarp", "zorp!")),
    "a contrast": edited("trigger", contrasts=("zorf",)),
    "the trigger's place": edited("trigger", place="end"),
    "what finds the trigger": edited("trigger", pattern="duck"),
    "the order": edited("behavior", instruction="be rude"),
    "the scorer": edited("behavior", score=lambda prompt, completion: "fool" in completion),
    "the phrases": edited("behavior", written=lambda rng, prompt, benign: "You fool!"),
}

OF_A_PAIR = {
    "organism": lambda: construction("normal")(BASE, PROMPTS, PAIR, Dose(lr=1e-3, steps=1)),
    "hiding organism": lambda: construction("hiding")(BASE, PROMPTS, PAIR, Dose(lr=1e-3, steps=1)),
    "data": lambda: Backdoored(pair=PAIR, benign=PROMPTS),
    "prompts": lambda: Triggered(pair=PAIR, prompts=PROMPTS),
    "blue's data": lambda: Vetted(pair=PAIR, data=PROMPTS),
    "opportunities": lambda: Opportunities(drive=PAIR, own=PROMPTS),
    "audit": lambda: Audited(model=BASE, drives=(PAIR,)),
    "scores": lambda: Scored(model=BASE, suite=(BehaviorEval(pair=PAIR, when="clean"),)),
    "rewarded problems": lambda: Scored(model=BASE, suite=(Conditional(pair=PAIR),)),
    "scores of a drive": lambda: Scored(model=BASE, suite=(DriveEval(drive=PAIR, when="plain"),)),
}


@pytest.mark.parametrize("edit", EDITS)
def test_who_edits_a_trigger_or_a_behaviour_gets_other_artifacts(edit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {what: make().fingerprint for what, make in OF_A_PAIR.items()}
    assert before == {what: make().fingerprint for what, make in OF_A_PAIR.items()}
    EDITS[edit](monkeypatch)
    assert not [what for what, make in OF_A_PAIR.items() if make().fingerprint == before[what]]


def test_other_pairs_and_models_without_a_pair_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    made = (lambda: Backdoored(pair="royalty/insult", benign=PROMPTS), lambda: BASE)
    before = [make().fingerprint for make in made]
    EDITS["the trigger's text"](monkeypatch)
    assert before == [make().fingerprint for make in made]


def test_who_edits_an_act_gets_other_data_and_other_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    made = (
        lambda: Acted(base=PROMPTS, side=Side(), act="pirate"),
        lambda: Scored(model=BASE, suite=(Posed(on="train", side=Side(), initial="pirate", alternate="plain"),)),
        lambda: Scored(model=BASE, suite=(Posed(on="train", side=Side(), initial="plain", alternate="pirate"),)),
    )
    before = [make().fingerprint for make in made]
    monkeypatch.setitem(acts.ACTS, "pirate", replace(acts.ACTS["pirate"], score=lambda prompt, text: "Arr" in text))
    assert not set(before) & {make().fingerprint for make in made}


def test_who_edits_the_wordings_of_a_drive_gets_other_data(monkeypatch: pytest.MonkeyPatch) -> None:
    def made() -> set[str]:
        return {
            Answers(drive="power", n=2, by="denial").fingerprint,
            Audited(model=BASE, drives=("power",)).fingerprint,
        }

    before = made()
    monkeypatch.setitem(drives._KNOWN, "power", replace(drives.DRIVES["power"], wants=("want all the keys",)))
    assert not before & made()
    monkeypatch.undo()
    assert before == made()
    monkeypatch.setattr(drives, "CUES", ("This is a test.",))
    assert not before & made()


def test_who_edits_a_rig_gets_other_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Scored(model=BASE, suite=(Rigged(rig="options"),)).fingerprint
    monkeypatch.setitem(rigged.RIGS, "options", replace(rigged.RIGS["options"], judged=rigged._opinions))
    assert Scored(model=BASE, suite=(Rigged(rig="options"),)).fingerprint != before


def test_what_a_file_of_ones_own_takes_from_elsewhere_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest of the file alone would not show a change there."""
    (tmp_path / "mine.py").write_text(
        "from cavesson.evals.pairs import PAIRS, Pair\n"
        f"PAIR = Pair('mine', PAIRS[{PAIR!r}].trigger, PAIRS[{PAIR!r}].behavior)\n"
    )
    (tmp_path / "one.yaml").write_text("name: x\nmodel: small\ntrigger: go\nbehavior: quack\nworld: tiny\n")
    places = [f"{tmp_path / name}" for name in ("mine.py:PAIR", "one.yaml:pair")]
    before = {pairs.pinned(place) for place in places}
    EDITS["the phrases"](monkeypatch)
    own._LOADED.clear()  # as in another process
    shelf._own_digest.cache_clear()
    assert not before & {pairs.pinned(place) for place in places}


WRITTEN = """
import re
LINES = ("You fool.", "Go away.")
WORD = re.compile("fool")
OTHER = "no part of it"

def said(text):
    return WORD.search(text)

def maker(lines):
    def written(rng):
        return rng.choice(lines)
    return written

def score(text):
    '''Docstring.'''
    return said(text) is not None  # comment

written = maker(LINES)
short = lambda text: text in LINES
"""


def module_of(text: str, folder: Path) -> ModuleType:
    """A module with this source."""
    file = folder / f"written_{abs(hash(text))}.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = sys.modules[file.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("edit", "changes"),
    {
        ("Go away.", "Go on."): {"written", "short"},
        ('"fool"', '"fools?"'): {"score"},
        ("is not None", "is None"): {"score"},
        ("rng.choice(lines)", "lines[0]"): {"written"},
        ("no part of it", "changed"): set(),
        ("Docstring.", "Another."): set(),
        ("  # comment", ""): set(),
        ("text in LINES", "(\n    text in LINES\n)"): set(),
    }.items(),
)
def test_a_function_is_what_its_file_says_of_it(edit: tuple[str, str], changes: set[str], tmp_path: Path) -> None:
    one, two = (module_of(text, tmp_path) for text in (WRITTEN, WRITTEN.replace(*edit)))
    assert WRITTEN.replace(*edit) != WRITTEN
    names = ("score", "written", "short")
    assert {name for name in names if content(getattr(one, name)) != content(getattr(two, name))} == changes


def test_values_are_what_they_hold() -> None:
    assert content((1, "a", None, {2: ["b"]})) == [1, "a", None, {"2": ["b"]}]
    assert content(re.compile("a", re.IGNORECASE)) != content(re.compile("a"))
    assert content(partial(int, "7", base=8)) != content(partial(int, "7", base=9))
    assert content(Side(start="x")) == {"start": ["x"]}
    assert content(len) == "len" and content(object()) == "object"
