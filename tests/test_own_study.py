"""A study of one's own with a mistake: one message with the line, before anything starts wherever that is possible."""

from __future__ import annotations

import sys

import pytest
import yaml

from cavesson.cli.main import main
from cavesson.lab.store import Store

FILE = '''
from cavesson.analysis.claims import at_least
from cavesson.evals.scores import Score, Scores
from cavesson.lab.recipe import Recipe
from cavesson.studies.config import StudyConfig
from cavesson.studies.grid import Cell, Measured
from cavesson.studies.shown import chart, claim, table
from cavesson.studies.study import Study


class Coins(Recipe):
    """Scores of a coin."""

    kind = "test-coins"
    virtual = True
    side: str
    seed: int

    def scores(self, path_of):
        flips = [(self.seed + number) % (2 if self.side == "heads" else 3) == 0 for number in range(12)]
        return Scores([Score(None, "coin", f"{n}", None, [], "", int(hit), True) for n, hit in enumerate(flips)])


class Config(StudyConfig):
    sides: tuple[str, ...] = ("heads", "tails")


def cell(side, seed, **at):
    return Cell.of({"side": side, **at}, seed, run=Coins(side=side, seed=seed))


def grid(config):
    return [cell(side, seed) for seed in config.seeds for side in config.sides]


def flips(place):
    return place.sample("coin", None)


def summary(m):
    return table("Coins", "", m.by("side"), {"coin": lambda of: of.mean(flips)}, first="side")


def heads_more(m):
    return at_least(m.contrast("side", "heads", "tails", flips).estimate, 0, "heads minus tails")


def study(**changed):
    return Study(**{"name": "coins", "title": "Coins", "config": Config, "grid": grid, "shows": (summary,), **changed})


def judged(test):
    return study(claims=(claim("c", "s", "p", test, source="x"),))
'''


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs `STUDY = …`, in a file of its own beside a space."""
    folder = tmp_path / "my studies"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def run(expression: str, *words: str) -> tuple[int, str]:
        (folder / "coins.py").write_text(f"{FILE}\n\nSTUDY = {expression}\n")
        given = ["cavesson", "run", "coins.py:STUDY", "--store", str(tmp_path / "store"), *words]
        monkeypatch.setattr(sys, "argv", given)
        code = 0
        try:
            main()
        except SystemExit as left:
            code = int(left.code or 0)
        out, err = capsys.readouterr()
        return code, out + err

    return run


def test_a_sound_study_runs_and_its_file_runs_again_by_path(run, tmp_path, monkeypatch, capsys):
    code, told = run("judged(heads_more)", "--seeds", "0,1,2")
    assert code == 0 and "Published statements" in told
    [stored] = (tmp_path / "store" / "reports").glob("coins-*/study.yaml")
    assert yaml.safe_load(stored.read_text())["study"] == "coins.py:STUDY"
    monkeypatch.setattr(sys, "argv", ["cavesson", "run", str(stored), "--show-config"])
    with pytest.raises(SystemExit) as left:
        main()
    assert not left.value.code and "seeds: [0, 1, 2]" in capsys.readouterr().out


BEFORE = {
    "study(shows=summary)": "`shows` must be a tuple, not a function",
    "study(claims=(summary,))": "which is no claim",
    "study(config=dict)": "`config` must be a subclass of StudyConfig",
    "study(name='../elsewhere')": "the name '../elsewhere' may hold letters",
    "study(titel='Coins')": "unexpected keyword argument 'titel'",
    "study(claims=judged(None).claims * 2)": "two claims have the id 'c'",
    "study(grid=lambda config: {}['side'])": "The grid of the study 'coins' fails: KeyError: 'side' (coins.py, line ",
    "study(grid=lambda config: [cell(3, 0)])": "ValidationError: side: 3 is no text (coins.py, line ",
    "study(grid=lambda config: [])": "The grid of the study 'coins' is empty.",
    "study(grid=lambda config: [1])": "1 is no Cell.",
    "study(grid=lambda config: grid(config) * 2)": "the cell of seed 0 at side heads stands twice.",
    "study(grid=lambda config: [Cell.of({'side': 1}, 0)])": "has no recipes.",
    "study(grid=lambda config: [Cell.of({'side': 1}, 0, run='small')])": "has no recipe under 'run' but a str.",
    "study(grid=lambda config: [Cell.of({1: 1}, 0, run=Coins(side='heads', seed=0))])": "has an axis 1 whose name is not text.",
    "study(grid=lambda config: [cell('heads', 0, lrs=[1])])": "has a list on the axis 'lrs'",
    "study(grid=lambda config: [Cell.of({}, '0', run=Coins(side='heads', seed=0))])": "has a seed that is no whole number.",
    "study(grid=lambda config: [Cell.of({}, s, run=Coins(side='heads', seed=0)) for s in (0, 1)])": "has the recipe of another seed.",
}  # fmt: skip


@pytest.mark.parametrize("expression", BEFORE)
def test_what_can_be_seen_before_the_start_is_refused_before_the_start(run, expression, tmp_path):
    code, told = run(expression)
    assert code == 2 and BEFORE[expression] in told
    assert not (tmp_path / "store").exists()


AT_THE_REPORT = {
    "judged(lambda m: {}['side'])": "the claim 'c' fails: KeyError: 'side' (coins.py, line ",
    "judged(lambda m: m.mean(flips))": "the claim 'c' fails: TypeError: a test gives a ClaimResult, such as at_least(…), not a Sample",
    "study(shows=(lambda m: 3,))": "a part is a table, a chart, or words, not a int",
    "study(shows=(lambda m: table('t', '', {'x': m}, {'y': lambda of: 0.5}),))": "a figure is a Sample, an Estimate or words, not a float",
    "study(shows=(lambda m: chart('c', {'a': (['one'], flips)}, x='x', y='y'),))": "could not convert string to float: 'one'",
    "study(shows=(lambda m: m.only().name,))": "2 places, not one, are at any value: heads; tails",
    "study(headline=(lambda m: 'one argument',))": "takes 1 positional argument but 2 were given",
    "study(admits=lambda m: m)": "`admits` fails: TypeError: it gives what is judged and a list of notes, not a Measured",
    "study(titled=lambda m: 3)": "`titled` fails: TypeError: a title is text, not a int",
}  # fmt: skip


@pytest.mark.parametrize("expression", AT_THE_REPORT)
def test_what_fails_at_the_report_is_one_message_and_nothing_is_lost(run, expression):
    code, told = run(expression)
    assert code == 1 and AT_THE_REPORT[expression] in told
    assert "all that was made is in the store" in told and "Traceback" not in told
    assert run("study()")[0] == 0


@pytest.mark.parametrize(
    "expression", ["study(shows=(lambda m: chart('c', {'a': ([], flips)}, x='x', y='y'), summary))"]
)
def test_a_chart_without_an_x_is_left_out(run, expression):
    code, told = run(expression)
    assert code == 0 and "Coins" in told


def test_an_axis_of_numbers_names_rows(run):
    expression = "study(shows=(lambda m: table('By rate', '', m.by('lr'), {'coin': lambda of: of.mean(flips)}, first='lr'),), grid=lambda config: [cell('heads', 0, lr=lr) for lr in (1e-3, 3e-4)])"
    code, told = run(expression)
    assert code == 0 and "0.001" in told and "0.0003" in told


def test_a_key_that_the_command_line_gives_twice_is_refused(run, tmp_path):
    code, told = run("study()", "--seeds", "0", "--set", "seeds=[1]")
    assert code == 2 and "Both --seeds and --set seeds=[1] give the key 'seeds'." in told
    assert not Store(tmp_path / "store").root.exists()


KEYS = """study(config=type("Keys", (Config,), {
    "__module__": __name__, "__annotations__": {"seed": int, "workers": str, "rates": list[float], "most": "int | None"},
    "seed": 5, "workers": "few", "rates": [0.5], "most": 3,
}))"""


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--seed", "7"], "seed: 7  # --seed"),
        (["--seeds", "7,8"], "seeds: [7, 8]  # --seeds"),
        (["--workers", "1"], "workers: few\n"),
        (["--set", "workers=many"], "workers: many  # --set"),
        (["--rate", "0.1,0.2"], "rates: [0.1, 0.2]  # --rate"),
        (["--most", "null"], "most: null  # --most"),
        (["--most", ""], "--most '' is empty."),
    ],
)
def test_an_option_means_one_key(run, words, line):
    _, told = run(KEYS, "--show-config", *words)
    assert line in told


def test_an_own_recipe_that_fails_is_one_message(run):
    failing = """type("Failing", (Recipe,), {"__module__": __name__, "kind": "test-failing", "stage": "scoring",
        "make": lambda self, job: {}["key"]})"""
    code, told = run(f"study(grid=lambda config: [Cell.of({{}}, 0, run={failing}())])", "--workers", "1")
    assert code == 1 and "Traceback" not in told
    assert (
        "coins.py, line " in told and "fails: KeyError: 'key'." in told and "all that was made is in the store" in told
    )
