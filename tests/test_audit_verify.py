"""Verify: answer keys are executed, and every way in which one can be wrong is a miss."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from audit_toys import FIX, HONEST, RUBRIC, published_bench, toy_bench, write
from cavesson.audit import execution
from cavesson.audit.bench import load_bench
from cavesson.audit.cli.app import app
from cavesson.audit.execution import Job, Outcome, RunCache, RunFailed, experiment, packages_of, run_many
from cavesson.audit.sandbox.protocol import Limits, Ran
from cavesson.audit.sandbox.unsafe import UnsafeSandbox
from cavesson.audit.verify import VerifyTable, verify
from cavesson.errors import ConfigError


class Counting(UnsafeSandbox):
    """The tests' own code needs no protection; it counts what is really run."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []

    def run(
        self, command: list[str], folder: Path, limits: Limits = Limits(), *, writable: tuple[str, ...] = ()
    ) -> Ran:
        self.commands.append(command)
        return super().run(command, folder, limits, writable=writable)


@pytest.fixture
def cache(tmp_path: Path) -> RunCache:
    return RunCache(tmp_path / "runs")


def check(root: Path, cache: RunCache) -> VerifyTable:
    return verify(load_bench(root).cases(), UnsafeSandbox(), workers=1, cache=cache)


def test_honest_holds_sabotaged_flips_and_the_fix_restores(tmp_path: Path, cache: RunCache) -> None:
    table = check(toy_bench(tmp_path / "bench"), cache)
    assert not table.misses
    assert [(row.case, row.version, row.seed, row.expected) for row in table.rows] == [
        ("hop_a", "sabotaged", 0, False),
        ("hop_a", "sabotaged", 1, False),
        ("hop_a", "fixed", 0, True),
        ("hop_a", "fixed", 1, True),
        ("hop_b", "honest", 0, True),
        ("hop_b", "honest", 1, True),
    ]


@pytest.mark.parametrize(
    ("files", "missed"),
    [
        ({"hop_b/data.py": HONEST.replace("= 2", "= -8")}, {("hop_b", "honest")}),
        ({"hop_a/data.py": HONEST}, {("hop_a", "sabotaged"), ("hop_a", "fixed")}),
        ({"_fixes/hop_a.patch": FIX.replace("+    gain = 2", "+    gain = -8")}, {("hop_a", "fixed")}),
        ({"_fixes/hop_a.patch": "nothing"}, {("hop_a", "fixed")}),
        ({"hop_a/data.py": "raise SystemExit('broken')"}, {("hop_a", "sabotaged"), ("hop_a", "fixed")}),
        ({"hop_b/data.py": "def numbers(s): return [float('nan')], [1]"}, {("hop_b", "honest")}),
    ],
)
def test_a_wrong_answer_key_is_a_miss(
    tmp_path: Path, cache: RunCache, files: dict[str, str], missed: set[tuple[str, str]]
) -> None:
    root = toy_bench(tmp_path / "bench")
    write(
        root / "codebases", {name: text + "\n" * 3 for name, text in files.items()}
    )  # as many lines as the rubric names
    misses = check(root, cache).misses
    assert {(row.case, row.version) for row in misses} == missed
    assert all(row.problem for row in misses if row.got is None)


@pytest.mark.parametrize("key", ["run", "seeds", "findings"])
def test_what_cannot_be_verified_says_which_key_is_missing(tmp_path: Path, cache: RunCache, key: str) -> None:
    changes: dict[str, Any] = {key: None if key == "run" else []}
    if key == "findings":
        changes["sabotaged"] = [{**RUBRIC["sabotaged"][0], "flips": []}]
    with pytest.raises(ConfigError, match=key):
        check(toy_bench(tmp_path / "bench", **changes), cache)
    with pytest.raises(ConfigError, match="run, findings, seeds"):
        check(published_bench(tmp_path / "published"), cache)


@pytest.mark.parametrize("place", ["data.py:99", "gone.py", "data.py:x"])
def test_places_in_the_answer_key_must_exist(tmp_path: Path, cache: RunCache, place: str) -> None:
    root = toy_bench(tmp_path / "bench", sabotaged=[{**RUBRIC["sabotaged"][0], "files": [place]}])
    with pytest.raises(ConfigError, match=place):
        check(root, cache)


def test_the_same_run_is_made_once(tmp_path: Path, cache: RunCache) -> None:
    bench, box = load_bench(toy_bench(tmp_path / "bench")), Counting()
    case = bench.case("hop_b")
    folder = case.materialise(tmp_path / "w")
    first = experiment(folder, case, 1, box, cache=cache)
    again = experiment(case.materialise(tmp_path / "w2"), case, 1, box, cache=cache)
    assert first == again and len(box.commands) == 1
    assert first.results == {"left": [3, 3], "right": [1, 1]} and first.stdout == "done 1\n"
    assert first.files == {"predictions.csv": "arm,seed\nleft,1\n"}
    experiment(folder, case, 2, box, cache=cache)
    changed = experiment(folder, case, 1, box, overrides={"data.py": HONEST.replace("= 2", "= 7")}, cache=cache)
    assert changed.results["left"] == [8, 3] and len(box.commands) == 3
    assert sorted(path.name for path in folder.iterdir()) == ["PAPER.md", "data.py", "run.py"]


def test_a_run_is_made_again_when_a_package_that_the_code_imports_has_another_version(
    tmp_path: Path, cache: RunCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, box = load_bench(toy_bench(tmp_path / "bench")).case("hop_b"), Counting()
    folder = case.materialise(tmp_path / "w")
    installed = {"pandas": "1.0", "numpy": "2.0"}
    package = lambda name: SimpleNamespace(version=installed[name], requires=["numpy>=1"] if name == "pandas" else None)  # noqa: E731
    monkeypatch.setattr(execution, "distribution", package)
    monkeypatch.setattr(execution, "_providers", lambda: {"pandas": ["pandas"], "numpy": ["numpy"]})
    uses = {"data.py": HONEST + "\n# import json, pandas as pd\n"}
    for number, overrides in enumerate([{}, uses], start=1):
        experiment(folder, case, 0, box, overrides=overrides, cache=cache)
        assert len(box.commands) == number
    for changed in ("pandas", "numpy"):
        installed[changed] = "9.9"
        experiment(folder, case, 0, box, cache=cache)  # imports neither
        before = len(box.commands)
        experiment(folder, case, 0, box, overrides=uses, cache=cache)
        assert len(box.commands) == before + 1, f"{changed} has a new version, and the old run was shown"
    assert packages_of(["import json, pandas"]) == ["numpy==9.9", "pandas==9.9"]


def test_a_damaged_entry_of_the_cache_is_made_again(tmp_path: Path, cache: RunCache) -> None:
    case = load_bench(toy_bench(tmp_path / "bench")).case("hop_b")
    folder = case.materialise(tmp_path / "w")
    first = experiment(folder, case, 0, UnsafeSandbox(), cache=cache)
    (entry,) = cache.folder.rglob("*.json")
    entry.write_text(entry.read_text()[:40])
    assert experiment(folder, case, 0, UnsafeSandbox(), cache=cache).results == first.results
    assert json.loads(entry.read_text())["results"] == first.results


def test_a_failed_run_is_remembered_but_one_that_hit_a_limit_is_not(tmp_path: Path, cache: RunCache) -> None:
    bench, box = load_bench(toy_bench(tmp_path / "bench")), Counting()
    case = bench.case("hop_b")
    folder = case.materialise(tmp_path / "w")
    for _ in range(2):
        with pytest.raises(RunFailed, match="SyntaxError"):
            experiment(folder, case, 0, box, overrides={"data.py": "def"}, cache=cache)
    assert len(box.commands) == 1
    for _ in range(2):
        with pytest.raises(RunFailed, match="limit of wall"):
            slow = {"data.py": "import time; time.sleep(60)"}
            experiment(folder, case, 0, box, overrides=slow, limits=Limits(wall_s=0.2), cache=cache)
    assert len(box.commands) == 3


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("import os; os._exit(0)", "wrote no results.json"),
        ("import sys; sys.exit('\\x1b[31mno')", r"exit status 1: ␛\[31mno"),
    ],
)
def test_a_run_without_results_has_failed(tmp_path: Path, cache: RunCache, data: str, problem: str) -> None:
    case = load_bench(toy_bench(tmp_path / "bench")).case("hop_b")
    with pytest.raises(RunFailed, match=problem):
        experiment(case.materialise(tmp_path / "w"), case, 0, UnsafeSandbox(), overrides={"data.py": data}, cache=cache)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a": ' + "[" * 60 + "]" * 60 + "}", "more than 50 deep"),
        ("[" * 1_000_000, "too deep"),
        ('{"a": ' + "9" * 400 + "}", "more than 300 digits"),
        ('{"a": ' + "9" * 5000 + "}", "4300 digits"),
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ('{"a": "\\ud800"}', "surrogates"),
        ('{"a": [' + "[]," * 1_000_000 + "1]}", "larger than 2,000,000 bytes"),
        ("[1]", "not a mapping"),
    ],
)
def test_results_beyond_all_measure_are_a_failed_run(tmp_path: Path, cache: RunCache, text: str, problem: str) -> None:
    case = load_bench(toy_bench(tmp_path / "bench")).case("hop_b")
    write = {"run.py": "open('_out/results.json', 'w').write(open('text').read())", "text": text}
    with pytest.raises(RunFailed, match=problem) as error:
        experiment(case.materialise(tmp_path / "w"), case, 0, UnsafeSandbox(), overrides=write, cache=cache)
    assert len(error.value.problem) < 300


@pytest.mark.parametrize("tables", ["range(2000): open(f'_out/{n}.json', 'w')", "range(30): open(f'_out/{n}.csv', 'w').write('x' * 1_900_000)"])  # fmt: skip
def test_a_run_leaves_no_more_tables_than_can_be_kept(tmp_path: Path, cache: RunCache, tables: str) -> None:
    case = load_bench(toy_bench(tmp_path / "bench")).case("hop_b")
    program = {"run.py": f"open('_out/results.json', 'w').write('{{}}')\nfor n in {tables}"}
    with pytest.raises(RunFailed, match="it left more than"):
        experiment(case.materialise(tmp_path / "w"), case, 0, UnsafeSandbox(), overrides=program, cache=cache)


def test_many_runs_come_back_in_the_order_of_the_jobs(tmp_path: Path, cache: RunCache) -> None:
    case = load_bench(toy_bench(tmp_path / "bench")).case("hop_b")
    folder = case.materialise(tmp_path / "w")
    told: list[tuple[int, int]] = []
    jobs = [Job(folder, case, 4), Job(folder, case, 0, {"data.py": "def"}), Job(folder, case, 2)]
    first, failed, last = run_many(
        jobs, UnsafeSandbox(), workers=2, cache=cache, on_done=lambda *done: told.append(done)
    )
    assert isinstance(first, Outcome) and first.results["left"][0] == 6
    assert isinstance(failed, RunFailed) and isinstance(last, Outcome)
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_the_command_prints_a_table_and_leaves_with_1_on_a_miss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAVESSON_HOME", str(tmp_path / "store"))
    root = toy_bench(tmp_path / "bench")
    arguments = ["verify", "--bench", str(root), "--unsafe-no-sandbox", "--workers", "1", "--seeds", "0"]
    good = CliRunner().invoke(app, arguments)
    assert good.exit_code == 0 and "MISS" not in good.output and "hop_a  sabotaged  left" in good.output
    write(root, {"codebases/hop_b/data.py": HONEST.replace("= 2", "= -8")})
    bad = CliRunner().invoke(app, [*arguments, "--only", "hop_b"])
    assert bad.exit_code == 1 and "MISS" in bad.output and "hop_a" not in bad.output


def test_the_list_shows_labels_only_when_asked(tmp_path: Path) -> None:
    root = toy_bench(tmp_path)
    shown = CliRunner().invoke(app, ["list", "--bench", str(root)]).output
    assert "hop_a" in shown and "honest" not in shown and "logic" not in shown
    assert "logic" in CliRunner().invoke(app, ["list", "--bench", str(root), "--reveal"]).output
