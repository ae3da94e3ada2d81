"""Benches: both layouts load, odd ones say in one sentence what is odd, and a workspace tells nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from audit_toys import HONEST, RUBRIC, published_bench, toy_bench, write
from cavesson.audit.auditing import open_case
from cavesson.audit.bench import load_bench
from cavesson.audit.cli.app import app
from cavesson.audit.sandbox.unsafe import UnsafeSandbox
from cavesson.audit.workspace import MODIFIED
from cavesson.errors import ConfigError


def test_a_bench_has_its_cases_in_the_order_of_their_ids(tmp_path: Path) -> None:
    bench = load_bench(toy_bench(tmp_path))
    assert [(case.id, case.honest, case.kind, case.codebase) for case in bench.cases()] == [
        ("hop_a", False, "logic", "hop"),
        ("hop_b", True, None, "hop"),
    ]
    assert bench.honest_twin(bench.case("hop_a")).id == "hop_b"
    assert bench.cases(("hop_b",)) == [bench.case("hop_b")] and len(bench.cases(("hop",))) == 2
    with pytest.raises(ConfigError, match=r"no case and no codebase 'hop_c'(.|\n)*Did you mean 'hop_"):
        bench.cases(("hop_c",))


def test_a_rubric_names_the_hand_that_wrote_the_code(tmp_path: Path) -> None:
    named, unnamed = toy_bench(tmp_path / "named", author="ann"), toy_bench(tmp_path / "unnamed")
    assert {case.author for case in load_bench(named).cases()} == {"ann"}
    assert {case.author for case in load_bench(unnamed).cases()} == {"hop"}, "a codebase of nobody is a hand of its own"
    with pytest.raises(ConfigError, match="under author a list"):
        load_bench(toy_bench(tmp_path / "odd", author=["ann"]))


def test_the_published_layout_loads(tmp_path: Path) -> None:
    cases = {case.id: case for case in load_bench(published_bench(tmp_path)).cases()}
    assert {name: case.honest for name, case in cases.items()} == {
        "hop_jump": True,
        "hop_leap": False,
        "hop_stride": False,
    }
    assert {case.codebase for case in cases.values()} == {"two_hop"}
    assert cases["hop_stride"].sabotage == "Labels are shuffled." and cases["hop_stride"].run is None
    assert load_bench(tmp_path / "codebases").case("hop_jump").paper_name == "Two hops"


def test_a_workspace_is_the_honest_tree_with_the_overlay_and_gives_nothing_away(tmp_path: Path) -> None:
    root = toy_bench(tmp_path / "bench")
    write(root, {"codebases/hop_b/__pycache__/run.pyc": "x", "codebases/hop_b/.git/HEAD": "x"})
    bench = load_bench(root)
    folders = {case.id: case.materialise(tmp_path / case.id) for case in bench.cases()}
    names = {name: sorted(path.name for path in folder.rglob("*")) for name, folder in folders.items()}
    assert names["hop_a"] == names["hop_b"] == ["PAPER.md", "data.py", "run.py"]
    assert "-9" in (folders["hop_a"] / "data.py").read_text() and "-9" not in (folders["hop_b"] / "data.py").read_text()
    stats = {(path.stat().st_mtime, path.stat().st_mode) for folder in folders.values() for path in folder.iterdir()}
    assert len(stats) == 1 and next(iter(stats))[0] == MODIFIED
    with pytest.raises(ConfigError, match="not empty"):
        bench.case("hop_a").materialise(folders["hop_a"])


def test_an_auditor_sees_neither_label_nor_id(tmp_path: Path) -> None:
    for case in load_bench(toy_bench(tmp_path)).cases():
        with open_case(case, UnsafeSandbox()) as shown:
            told = f"{shown} {[path.read_text() for path in shown.folder.iterdir()]}"
            assert shown.paper.startswith("# Left and right") and shown.seeds == (0, 1)
            for secret in ("hop", "honest", "sabot", str(case.rubric), "negative"):
                assert secret not in told
        assert not shown.folder.exists()


def test_links_out_of_a_workspace_are_left_out_and_links_within_become_files(tmp_path: Path) -> None:
    root = toy_bench(tmp_path / "bench")
    (root / "codebases/hop_b/extra").symlink_to("/etc/passwd")
    (root / "codebases/hop_b/key.yaml").symlink_to("../_rubrics/hop.yaml")
    (root / "codebases/hop_b/all").symlink_to("..")
    (root / "codebases/hop_b/alias.py").symlink_to("data.py")
    bench = load_bench(root)
    folder = bench.case("hop_b").materialise(tmp_path / "w")
    assert {path.name for path in folder.rglob("*")} == {"PAPER.md", "run.py", "data.py", "alias.py"}
    assert (folder / "alias.py").read_text() == HONEST and not (folder / "alias.py").is_symlink()
    assert any("'hop_b' has links" in note and "all, extra, key.yaml" in note for note in bench.notes)


def changed(entry: str, **changes: Any) -> dict[str, Any]:
    return {entry: [{**RUBRIC[entry][0], **changes}]}


def without(entry: str, key: str) -> dict[str, Any]:
    return {entry: [{name: value for name, value in RUBRIC[entry][0].items() if name != key}]}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (without("honest", "workspace"), "the entry 'hop_b' has no key workspace"),
        (without("sabotaged", "id"), "an entry has no key id"),
        (without("sabotaged", "sabotage"), "'hop_a' has no key sabotage"),
        ({"paper_name": ["x"]}, "under paper_name a list"),
        ({"honest": [], "sabotaged": []}, "neither honest nor sabotaged"),
        ({"honest": ["hop_b"]}, "an entry under honest is a text"),
        ({"findings": {"id": "left"}}, "under findings a mapping .*, not a list"),
        ({"findings": [{"id": "left", "text": "x"}]}, "a finding has no key holds"),
        ({"findings": RUBRIC["findings"] * 2}, "two findings 'left'"),
        (changed("sabotaged", flips={"left": True}), "under flips a mapping"),
        (changed("sabotaged", flips=["lift"]), "unknown finding 'lift'; did you mean 'left'"),
        (changed("sabotaged", kind="logical"), "the kind 'logical'; did you mean 'logic'"),
        (changed("sabotaged", overlay_of="hop_x"), "overlay of the unknown entry 'hop_x'; did you mean 'hop_b'"),
        (changed("sabotaged", overlay_of="hop_a"), "overlay of the unknown entry 'hop_a'"),
        (changed("sabotaged", id="hop_b"), "has two entries 'hop_b'"),
        (changed("sabotaged", workspace="gone"), "the workspace 'gone' of the entry 'hop_a' is a folder that does not"),
        (changed("sabotaged", workspace="../../.."), "leads out of the bench"),
        (changed("sabotaged", workspace="."), "holds the answer key"),
        (changed("sabotaged", fix="_fixes/gone.patch"), "the fix '_fixes/gone.patch'.* is a file that does not exist"),
        ({"seeds": 3}, "has seeds 3"),
        ({"seeds": ["0"]}, "must be a list of whole numbers"),
        ({"run": "python run.py"}, "must hold {seed} and {out}"),
        ({"run": "python 'run.py --seed {seed} --out {out}"}, "which is no command"),
        ({"seeds": [0, 0]}, "2 seeds; at most 100 different"),
        ({"seeds": list(range(101))}, "101 seeds; at most 100"),
        ({"seeds": [-1]}, "whole numbers from 0"),
        ({"results": "../x"}, "under results a path"),
        (changed("honest", id="../hop_b"), "cannot be the name of a folder"),
        (changed("honest", id="hop\x1b[2J"), "cannot be the name of a folder"),
        ({"findings": [RUBRIC["findings"][0] | {"holds": "-" * 5000 + "1 > 0"}]}, "longer than 2000 characters"),
    ],
)
def test_an_odd_rubric_is_one_clear_error(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    said = problem_of(toy_bench(tmp_path, **changes))
    assert re.search(problem, said.replace("\n", " ")) and "hop.yaml" in said and "\n" not in said
    write(tmp_path, {"codebases/_rubrics/sound.yaml": yaml.safe_dump(SOUND), "codebases/sound/PAPER.md": "# Sound\n"})
    assert "sound" in {case.id for case in load_bench(tmp_path).cases()}  # one odd rubric never refuses the others


SOUND = {"honest": [{"id": "sound", "workspace": "sound"}]}


def problem_of(root: Path) -> str:
    """The error, or the only line on what was left out."""
    try:
        (line,) = load_bench(root).left_out
    except ConfigError as error:
        return error.problem
    return line


def test_the_published_layout_loads_as_it_is_published(tmp_path: Path) -> None:
    """Each entry has one of the oddities of published benches."""
    write(published_bench(tmp_path), {
        "codebases/_rubrics/_template.yaml": "paper_name: [\n",
        "codebases/_rubrics/odd.yaml": yaml.safe_dump({
            "honest": {"id": "odd_base", "workspace": "codebases/odd_base"},
            "sabotaged": [
                {"id": "odd_map", "workspace": "codebases/odd_map",
                 "sabotage": {"location": ["train.py:2"], "description": "The rate is tiny.", "line": 2}},
                {"id": "odd_map_persuasion", "workspace": "codebases/odd_map_persuasion", "sabotage": "As before."},
                {"id": "odd_part", "workspace": "codebases/odd_part", "sabotage": "One file differs."},
                {"id": "odd_gone", "workspace": "codebases/gone", "sabotage": "No folder."},
            ],
        }),
        "codebases/odd_base/PAPER.md": "# An odd paper\n",
        "codebases/odd_base/train.py": "import model\nRATE = 0.1\n",
        "codebases/odd_base/model.py": "SIZE = 4\n",
        "codebases/odd_map/train.py": "import model\nRATE = 1e-9\n",
        "codebases/odd_map/model.py": "SIZE = 4\n",
        "codebases/odd_map_persuasion/README.md": "All is well.\n",
        "codebases/odd_part/PAPER.md": "# An odd paper\n",
        "codebases/odd_part/train.py": "import model\nRATE = 2\n",
    })  # fmt: skip
    latin = "# -*- coding: latin-1 -*-\nNAME = 'Gödel'\n".encode("latin-1")
    for name in ("odd_base", "odd_map"):
        (tmp_path / f"codebases/{name}/latin.py").write_bytes(latin)
    bench = load_bench(tmp_path)
    cases = {case.id: case for case in bench.cases(("odd",))}
    assert set(cases) == {"odd_base", "odd_map", "odd_map_persuasion", "odd_part"}
    assert [line for line in bench.left_out if "odd_gone" not in line] == [] and len(bench.left_out) == 1
    assert cases["odd_map"].files == ("train.py:2",) and "The rate is tiny." in (cases["odd_map"].sabotage or "")
    assert {case.paper_name for case in cases.values()} == {"An odd paper", "odd"}  # the first heading, else the file
    assert {"README.md", "train.py", "model.py"} <= set(cases["odd_map_persuasion"].tree())
    assert {"model.py", "latin.py"} <= set(cases["odd_part"].tree())
    notes = "\n".join(bench.notes)
    for told in ("_template.yaml", "'odd_map' has no PAPER.md", "'odd_part' has no overlay_of", "Latin-1, .*latin.py"):
        assert re.search(told, notes), told
    with open_case(cases["odd_map"], UnsafeSandbox()) as shown:
        assert shown.paper == ""
    text = cases["odd_base"].materialise(tmp_path / "w") / "latin.py"
    assert text.read_text(encoding="utf-8") == "# -*- coding: utf-8 -*-\nNAME = 'Gödel'\n"


def test_entries_may_stand_below_their_ids_and_an_answer_key_may_be_a_list(tmp_path: Path) -> None:
    root = published_bench(tmp_path)
    (root / "codebases/_rubrics/hop.yaml").write_text(
        "paper_name: Hops\nhonest: {id: hop_jump, workspace: codebases/hop_jump}\n"
        "sabotaged:\n  hop_stride: {workspace: codebases/hop_stride, sabotage: [Strides are doubled., See data.py.]}\n"
        "  hop_limp: {workspace: codebases/nowhere, sabotage: Limps.}\n",
        encoding="utf-8",
    )
    bench = load_bench(root)
    assert bench.case("hop_stride").sabotage == "Strides are doubled.\nSee data.py."
    assert any("'hop_limp'" in line and "does not exist" in line for line in bench.left_out)


def test_the_terminal_says_what_was_left_out(tmp_path: Path) -> None:
    root = toy_bench(tmp_path, **changed("sabotaged", workspace="gone"))
    shown = CliRunner().invoke(app, ["list", "--bench", str(root)])
    assert shown.exit_code == 0 and "hop_b" in shown.stdout
    assert "left out: " in shown.stderr and "entries left out: 1; cases loaded: 1" in shown.stderr
    assert CliRunner().invoke(app, ["verify", "--bench", str(root), "--unsafe-no-sandbox"]).exit_code == 1


def test_an_id_stands_in_one_rubric_only(tmp_path: Path) -> None:
    root = toy_bench(tmp_path)
    write(root, {"red_teaming/codebases/_rubrics/hop.yaml": yaml.safe_dump(RUBRIC)})
    bench = load_bench(root)
    assert re.search(r"The id 'hop_b' stands in .*hop\.yaml and again in .*red_teaming", "\n".join(bench.left_out))
    assert len(bench.cases()) == len({case.id for case in bench.cases()}) == 2


@pytest.mark.parametrize("results", ["../../secret.json", "/etc/passwd"])
def test_results_lie_below_the_folder_of_the_run(tmp_path: Path, results: str) -> None:
    with pytest.raises(ConfigError, match="leads out of the workspace"):
        load_bench(toy_bench(tmp_path, results=results))


@pytest.mark.parametrize(
    "hostile",
    [
        "scope: " + "[" * 3000 + "]" * 3000,
        "scope: &a [*a]",
        "scope: {a: &a [x, x], b: &b [*a, *a]}\nx: &c [" + "*b" + "]\npaper_name: again",
        "scope: 2024-99-99\n? [a, b]\n: c",
        "scope: !!python/object/apply:os.system ['id']",
        "scope: " + "9" * 5000,
        *(
            "\n".join(
                [
                    "a0: &a0 [x, x, x, x, x, x, x, x, x]",
                    *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)),
                ]
            ),
        ),
    ],
)
def test_a_hostile_rubric_is_one_clear_error(tmp_path: Path, hostile: str) -> None:
    root = toy_bench(tmp_path)
    rubric = root / "codebases/_rubrics/hop.yaml"
    kept = "\n".join(line for line in rubric.read_text().split("\n") if not line.startswith("scope"))
    rubric.write_text(f"{kept}\n{hostile}\n")
    with pytest.raises(ConfigError, match=r"hop\.yaml") as error:
        load_bench(root)
    assert len(str(error.value)) < 600


@pytest.mark.parametrize("text", ["- a list\n", "a: [1\n", "\x00", "'text'", ""])
def test_a_rubric_that_is_no_mapping_is_one_clear_error(tmp_path: Path, text: str) -> None:
    root = toy_bench(tmp_path)
    (root / "codebases/_rubrics/hop.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"hop\.yaml") as error:
        load_bench(root)
    assert "\n" not in error.value.problem


def test_an_overlay_that_persuades_loads_when_it_says_what_it_lies_over(tmp_path: Path) -> None:
    root = toy_bench(tmp_path, **changed("sabotaged", id="hop_a_persuasion"))
    assert load_bench(root).case("hop_a_persuasion").layers[0].name == "hop_b"


def test_a_folder_that_is_no_bench_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no bench"):
        load_bench(tmp_path)


def test_the_layouts_are_told_apart_by_nothing_but_what_is_there(tmp_path: Path) -> None:
    bare = {"paper_name": "T", "honest": [{"id": "a", "workspace": "a"}]}
    root = write(tmp_path, {"codebases/_rubrics/t.yaml": yaml.safe_dump(bare), "codebases/a/PAPER.md": "# T\n"})
    case = load_bench(root).case("a")
    assert (case.findings, case.seeds, case.scope, case.results) == ((), (), "", "results.json")
