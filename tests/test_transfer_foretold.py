"""What foretells transfer, read off results whose settings, signs and outcomes are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cavesson.evals.scores import Score, Scores
from cavesson.findings.views import CurveView
from cavesson.inside.foretold import Foretold, Linearised, Signs
from cavesson.inside.linearised import Followed
from cavesson.inside.recipes import ToldApart
from cavesson.studies import transfer_foretold as told
from cavesson.studies import transfer_foretold_shown as report_of
from cavesson.studies.grid import Cell, Measured
from cavesson.studies.resolve import resolve
from cavesson.studies.sample import NotApplicable, NotRun
from cavesson.studies.transfer import STUDY, TransferConfig
from cavesson.studies.transfer_foretold_claims import FORETOLD_CLAIMS
from cavesson.studies.transfer_readings import AGREED, DAMAGE, ON_EVALUATION
from measured import Scored

SETTINGS, SEEDS, N = 14, 5, 20
LOOKED_AT = 2
"""Seeds whose starts were looked at."""
LOW, HIGH = 1e-3, 4e-3


@dataclass(frozen=True)
class Known:
    """Stands for a recipe whose result is known."""

    found: Any
    fingerprint: str = "0" * 32

    def read(self, path_of: object) -> Any:
        return self.found


def answers(alternate: float) -> Scored:
    """A run after which so large a share of the evaluation prompts shows the alternate behaviour."""
    rows = [
        Score(step, ON_EVALUATION, f"q{n}", None, [], "", int(not shows), True, {"alternate": shows})
        for step in (0, 10)
        for n in range(N)
        for shows in [step > 0 and n < round(alternate * N)]
    ]
    return Scored(Scores(rows))


def measured(foretells: bool = True) -> Measured:
    """Settings that transfer as far as their surface overlap says, or as something says that no sign shows."""
    draw = np.random.default_rng(0)
    cells = []
    for setting in range(SETTINGS):
        true = setting / SETTINGS
        seen = true if foretells else float(draw.random())
        for seed in range(SEEDS):
            at = {"phase": "settings", "setting": f"s{setting}", "batch": 16, "steps": 10}
            signs = Signs(0.5, -3.0, seen / 2, 0.0, 0.0, 1.0, (seen,) * 3, (seen,) * 3)
            probe = [SimpleNamespace(accuracy=SimpleNamespace(value=1.0))]
            moves = np.array([[0.0] * N, [seen * 4] * N])
            lines = tuple(Followed((0, 10), moves * times) for times in (1.0, 1.1))
            looked = {told.SIGNS: Known(signs), told.APART: Known(probe), told.LINEAR: Known(lines)}
            beside = looked if seed < LOOKED_AT else {}
            cells += [
                Cell({**at, "train": AGREED, "lr": LOW}, seed, {"run": answers(0.0)}),
                Cell({**at, "train": AGREED, "lr": HIGH}, seed, {"run": answers(0.1 + 0.8 * true), **beside}),
                *(Cell({**at, "train": one, "lr": HIGH}, seed, {"run": answers(0.1)}) for one in DAMAGE),
            ]
    for seed in range(SEEDS):
        for lr, times in ((1e-4, 1.05), (1e-2, 3.0)):
            pair = tuple(Followed((0, 10), np.array([[0.0] * N, [1.0 * one] * N])) for one in (1.0, times))
            at = {"phase": told.FOLLOWED, "setting": "s1", "train": AGREED, "lr": lr}
            cells.append(Cell(at, seed, {told.LINEAR: Known(pair)}))
    installed = [SimpleNamespace(installed=("weights", "hint")[n % 2], separator=f"{n // 2}") for n in range(SETTINGS)]
    config = SimpleNamespace(blue=SimpleNamespace(lrs=(LOW, HIGH)), setting=lambda name: installed[int(name[1:])])
    return Measured.read(cells, lambda recipe: Path("nowhere"), config)


CLAIMS = {one.id: one for one in FORETOLD_CLAIMS}


def test_transfer_is_what_comes_beyond_the_controls() -> None:
    m = measured()
    last = told.foretold(m)[-1]
    assert list(told.beyond_controls(m, last).table.mean(axis=1)) == pytest.approx([0.75] * SEEDS) and told.plain_rise(
        last
    ) == pytest.approx([0.85] * SEEDS)


def test_signs_that_foretell_are_found_out() -> None:
    m = measured()
    verdicts = {name: one.judged(m).verdict for name, one in CLAIMS.items()}
    held = {
        "overlap",
        "foretell-cosine",
        "foretell-linearised",
        "foretell-way",
        "forecast",
        "forecast-install",
        "theory",
        "linear-low",
        "linear-high",
    }
    assert {name for name, verdict in verdicts.items() if verdict == "holds"} == held
    assert verdicts["foretell-probe"] == "undecided"  # the same everywhere
    shown = report_of.predicted_against_real(m)
    assert not shown.joined and {one.name for one in shown.series} == {"weights", "hint"}
    real = [rate.value for one in shown.series for rate in one.rates]
    foretold = [x for one in shown.series for x in one.x]
    assert np.corrcoef(real, foretold)[0, 1] > 0.9 and "s3" in shown.series[1].names


def test_signs_that_do_not_foretell_are_found_out_too() -> None:
    m = measured(foretells=False)
    assert CLAIMS["overlap"].judged(m).verdict != "holds" and CLAIMS["forecast-install"].judged(m).verdict != "holds"


def test_a_later_sign_is_tested_on_settings_that_it_was_not_made_from() -> None:
    m = measured()
    seen = dict(zip((f"s{n}" for n in range(SETTINGS)), told.FORETOLD_SETTINGS, strict=False))
    cells = [
        Cell({**cell.at, "setting": seen.get(str(cell.at["setting"]), "")}, cell.seed, cell.recipes)
        for place in m
        for cell in place.cells
    ]
    config = SimpleNamespace(
        blue=m.config.blue, setting=lambda name: SimpleNamespace(installed="weights", separator=str(name))
    )
    among = Measured.read(cells, lambda recipe: Path("nowhere"), config)
    none = CLAIMS["foretell-way"].judged(among)
    assert none.verdict == "not applicable" and "not seen in, as --preset full has, and there are" in none.reason
    assert CLAIMS["foretell-linearised"].judged(among).verdict == "holds"


def test_the_preset_full_asks_the_later_sign() -> None:
    full = resolve("transfer", preset="full").config
    assert full.foretelling is not None and len({*full.settings} - {*told.FORETOLD_SETTINGS}) >= told.FEWEST


def test_where_linearisation_fails() -> None:
    shown = list(report_of.linearised(measured()))
    errors = shown[1]
    assert isinstance(errors, CurveView) and [rate.value for rate in errors.series[0].rates] == pytest.approx(
        [0.05, 2.0]
    )
    assert str(shown[2]).startswith("From a learning rate of 0.01 on")
    table = report_of.signs(measured())
    assert table is not None and len(table.rows) == len(told.REGISTERED) + len(told.LATER) + 2


def test_linear_regression_is_drawn_exactly() -> None:
    line = report_of.regression(measured()).series[-1]
    assert [rate.value for rate in line.rates] == pytest.approx(report_of.OVERLAPS, abs=0.05)


def test_few_settings_say_nothing() -> None:
    few = measured().where(phase="settings").those(lambda place: place["setting"] in ("s1", "s2"), "two settings")
    with pytest.raises(NotApplicable, match="there are 2, fewer than 5"):
        told.gain_over_install(few)
    with pytest.raises(NotRun):
        told.foretold(measured().where(lr=LOW))


def test_predictions_are_registered() -> None:
    """Whoever changes a prediction after a run registers another set, which this hash shows."""
    assert told.registration() == "09f7f6b98c174de9"
    assert told.registration() in report_of.registered(measured())
    assert told.registration(told.LATER) in report_of.registered(measured())


def test_the_grid_makes_what_foretells_beside_the_runs() -> None:
    """The signs stand beside the outcome, at the highest rate; the linearised network takes the lowest."""
    one = "flag/voice/weights"
    foretelling = {"lrs": [1e-4, 1e-3], "settings": [one], "seeds": 1}
    config = TransferConfig(seeds=[0], settings=(one,), foretelling=foretelling)
    cells = STUDY.cells(config)
    beside = [cell for cell in cells if told.SIGNS in cell.recipes]
    assert [cell.at["lr"] for cell in beside] == [max(config.blue.lrs)]
    assert beside[0].recipes[told.LINEAR].run.lr == min(config.blue.lrs)  # type: ignore[attr-defined]
    two = STUDY.cells(config.model_copy(update={"seeds": (0, 1)}))
    assert {cell.seed for cell in two if told.SIGNS in cell.recipes} == {0}
    kinds = [type(recipe) for recipe in beside[0].recipes.values()]
    assert kinds[1:] == [Foretold, ToldApart, Linearised] and beside[0].recipes[told.SIGNS].inputs()
    assert len([cell for cell in cells if cell.at["phase"] == told.FOLLOWED]) == 2
    assert not any(told.SIGNS in cell.recipes for cell in STUDY.cells(TransferConfig(seeds=[0], settings=(one,))))
    with pytest.raises(ValueError, match="which `settings` does not name"):
        TransferConfig(seeds=[0], settings=(one,), foretelling={"settings": ["rephrased/voice/weights"]})
