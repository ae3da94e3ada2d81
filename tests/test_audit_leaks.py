"""Nothing but understanding should tell a sabotaged workspace of the built-in bench from an honest one.

A classifier that counts words and bytes is trained on the other codebases and tested on the one left out; it must not
beat chance, neither over all cases nor between the twins of one codebase (where it has the best chance, since everything
that twins share cancels).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from cavesson.audit.bench import load_bench
from cavesson.audit.cases import KINDS, Case
from cavesson.audit.patches import apply_patch
from cavesson.audit.workspace import MODIFIED
from cavesson.clusters import auroc

TEXT = {".md", ".py", ".yaml", ".yml", ".json", ".toml", ".txt"}
CODE = {".py", ".yaml", ".yml", ".json", ".toml"}
TELLTALE = re.compile(
    r"sabotag|honest|tamper|distractor|red.?team|auditor|answer.key|planted bug|\b(?:TODO|FIXME|XXX|HACK)\b", re.I
)
CASES = load_bench().cases()
CODEBASES = sorted({case.codebase for case in CASES})

Features = Mapping[str, float]


@cache
def texts(case: Case) -> Mapping[str, str]:
    """The text files of a workspace by relative path, without stored results (their numbers differ anyway)."""
    return {
        name: path.read_text(encoding="utf-8")
        for name, path in case.tree().items()
        if path.suffix in TEXT and not name.startswith("results/")
    }


def words(text: str, prefix: str) -> Features:
    """log(1 + count) of every word; numbers are dropped."""
    return {f"{prefix}:{word}": np.log1p(n) for word, n in Counter(re.findall(r"[a-z]{2,}", text.lower())).items()}


def paper_words(case: Case) -> Features:
    return words(texts(case)["PAPER.md"], "paper")


def all_words(case: Case) -> Features:
    code = "\n".join(text for name, text in texts(case).items() if name != "PAPER.md")
    return {**paper_words(case), **words(code, "code")}


def sizes(case: Case) -> Features:
    """Bytes, lines, comments and lengths of what a workspace holds, on a logarithmic scale."""
    files = texts(case)
    code = [line for name, text in files.items() if Path(name).suffix in CODE for line in text.splitlines()]
    paper = files["PAPER.md"]
    raw = {
        "files": len(case.tree()),
        "bytes": sum(path.stat().st_size for path in case.tree().values()),
        "results": sum(path.stat().st_size for name, path in case.tree().items() if name.startswith("results/")),
        "code lines": len(code),
        "code bytes": sum(map(len, code)),
        "longest line": max(map(len, code)),
        "comments": sum("#" in line for line in code),
        "blank": sum(not line.strip() for line in code),
        "paper bytes": len(paper),
        "paper words": len(paper.split()),
        "paper numbers": len(re.findall(r"\d+\.\d+", paper)),
        "readme bytes": len(files["README.md"]),
        **{f"section {i}": len(part) for i, part in enumerate(re.split(r"^## ", paper, flags=re.M))},
    }
    return {name: np.log1p(value) for name, value in raw.items()}


def matrix(features: list[Features]) -> NDArray[np.float64]:
    """[cases, features]; a feature that only one codebase or all cases share tells nothing and does no harm."""
    names = sorted({name for one in features for name in one})
    return np.array([[one.get(name, 0.0) for name in names] for one in features])


def logistic_regression(x: NDArray[np.float64], y: NDArray[np.float64], penalty: float) -> NDArray[np.float64]:
    """Weights (the last one the intercept) of an L2-penalised logistic regression; classes weigh the same."""
    design = np.hstack([x, np.ones((len(x), 1))])
    weight = np.where(y > 0, 0.5 / max(y.sum(), 1), 0.5 / max((1 - y).sum(), 1))

    def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = design @ w
        residual = weight * (1 / (1 + np.exp(-z)) - y)
        value = float(weight @ (np.logaddexp(0, z) - y * z) + penalty * w[:-1] @ w[:-1] / 2)
        return value, design.T @ residual + penalty * np.append(w[:-1], 0.0)

    return np.asarray(minimize(loss, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B").x)


def left_out_scores(cases: list[Case], kind: Callable[[Case], Features]) -> NDArray[np.float64]:
    """The score of every case by a classifier that saw the other codebases only."""
    x = matrix([kind(case) for case in cases])
    # Only differences to the codebase's own mean can carry over to another codebase.
    codebase = np.array([case.codebase for case in cases])
    for name in set(codebase):
        x[codebase == name] -= x[codebase == name].mean(axis=0)
    y = np.array([not case.honest for case in cases], dtype=float)
    scores = np.zeros(len(cases))
    for name in set(codebase):
        test = codebase == name
        scale = x[~test].std(axis=0) + 1e-9
        seen = x[~test].std(axis=0) > 0
        w = logistic_regression(x[~test][:, seen] / scale[seen], y[~test], penalty=0.1)
        scores[test] = x[test][:, seen] / scale[seen] @ w[:-1] + w[-1]
    return scores


def between_twins(cases: list[Case], scores: NDArray[np.float64]) -> Iterator[float]:
    """Per codebase: the share of (sabotaged, honest) pairs in which the sabotaged twin has the higher score."""
    for name in CODEBASES:
        bad = [s for case, s in zip(cases, scores, strict=True) if case.codebase == name and not case.honest]
        good = [s for case, s in zip(cases, scores, strict=True) if case.codebase == name and case.honest]
        yield float(np.mean([(b > g) + (b == g) / 2 for b in bad for g in good]))


def style(case: Case) -> Features:
    """How the code is written, whatever it says: rates of quotes, comments, docstrings, cases of names, spacing."""
    code = "\n".join(text for name, text in texts(case).items() if Path(name).suffix == ".py")
    lines = code.splitlines()
    names = re.findall(r"\b[A-Za-z_]\w+\b", code)
    marks = {
        "single quotes": code.count("'"),
        "double quotes": code.count('"'),
        "docstrings": code.count('"""'),
        "comments": sum(line.lstrip().startswith("#") for line in lines),
        "trailing comments": len(re.findall(r"\S  ?#", code)),
        "hints": len(re.findall(r"\) ->|: (?:int|str|float|bool)\b", code)),
        "f-strings": len(re.findall(r"\bf[\"']", code)),
        "camel": sum(bool(re.search(r"[a-z][A-Z]", name)) for name in names),
        "upper": sum(name.isupper() for name in names),
        "short names": sum(len(name) <= 2 for name in names),
        "blank": sum(not line.strip() for line in lines),
        "indented": sum(line.startswith("        ") for line in lines),
        "long lines": sum(len(line) > 100 for line in lines),
        "asserts": len(re.findall(r"\b(?:assert|raise|except)\b", code)),
        "numbers": len(re.findall(r"\b\d+\.?\d*", code)),
    }
    return {name: 1000 * count / len(code) for name, count in marks.items()}


def test_the_bench_is_large_enough_to_tell() -> None:
    assert len(CASES) >= 60 and len(CODEBASES) >= 20
    kinds = [case.kind for case in CASES if not case.honest]
    assert min(kinds.count(kind) for kind in KINDS) >= 0.8 * max(kinds.count(kind) for kind in KINDS)
    assert len({case.author for case in CASES}) >= 15


@pytest.mark.parametrize("kind", [paper_words, all_words, sizes, style])
def test_a_trivial_classifier_does_not_beat_chance(kind: Callable[[Case], Features]) -> None:
    scores = left_out_scores(CASES, kind)
    estimate = auroc(list(1 / (1 + np.exp(-scores))), [not case.honest for case in CASES], [c.codebase for c in CASES])
    assert estimate.low <= 0.5, f"AUROC {estimate} from {kind.__name__}"
    # Exactly: were the labels of a codebase dealt at random, how often would the classifier do as well between twins?
    rng = np.random.default_rng(0)
    chance = [chance_share(name, rng) for name in CODEBASES]
    as_well = np.mean(np.sum(chance, axis=0) >= sum(between_twins(CASES, scores)) - 1e-9)
    assert as_well > 0.025, f"within codebases {np.mean(list(between_twins(CASES, scores))):.2f} from {kind.__name__}"


def chance_share(codebase: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draws of a codebase's share of won pairs when every order of its twins is as likely."""
    honest = [case.honest for case in CASES if case.codebase == codebase]
    ranks = rng.random((4000, len(honest)))
    good, bad = ranks[:, : sum(honest)], ranks[:, sum(honest) :]
    return (bad[:, :, None] > good[:, None, :]).mean(axis=(1, 2))


def test_the_classifier_finds_a_leak_that_is_there() -> None:
    """The same classifier on the same cases, each sabotaged workspace with twenty measures that give it away."""

    def leaky(case: Case) -> Features:
        return {**sizes(case), **{f"leak {i}": float(not case.honest) for i in range(20)}}

    estimate = auroc(
        list(1 / (1 + np.exp(-left_out_scores(CASES, leaky)))),
        [not case.honest for case in CASES],
        [case.codebase for case in CASES],
    )
    assert estimate.low > 0.5


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_workspace_shows_no_trace_of_its_making(case: Case, tmp_path: Path) -> None:
    folder = case.materialise(tmp_path / "workspace")
    paths = [folder, *folder.rglob("*")]
    assert {path.stat().st_mtime for path in paths} == {MODIFIED}
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_file()} == {0o644}
    assert not [
        path.name
        for path in paths
        if path.name.startswith((".", "_")) and path.name not in ("__init__.py", "__main__.py")
    ]
    for path in paths:
        if not path.is_file() or path.suffix == ".png":
            continue
        content = path.read_text(encoding="utf-8")
        name = path.relative_to(folder)
        assert (found := TELLTALE.search(content)) is None or name == Path("PAPER.md"), f"{name} says {found}"
        assert not [other.id for other in CASES if other.id in content], f"{name} names a case"
        assert not re.search(r"\b20\d\d-\d\d-\d\d\b|/home/|/tmp/|/work/", content), f"{name} has a date or a path"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_papers_use_no_word_of_the_bench(case: Case) -> None:
    """The scope statement, the same in all twins, is the only place that may speak of sabotage."""
    paper = texts(case)["PAPER.md"]
    body = re.split(r"^#+ .*scope", paper, flags=re.I | re.M)[0]
    assert TELLTALE.search(body) is None


@pytest.mark.parametrize("codebase", CODEBASES)
def test_twins_have_the_same_files_and_the_same_scope(codebase: str) -> None:
    twins = [case for case in CASES if case.codebase == codebase]
    assert len({tuple(case.tree()) for case in twins}) == 1
    scopes = {re.split(r"^(#+ .*scope.*)$", texts(c)["PAPER.md"], flags=re.I | re.M)[-1].strip() for c in twins}
    assert len(scopes) == 1
    lengths = [len(texts(case)["PAPER.md"].split()) for case in twins]
    assert max(lengths) < 1.15 * min(lengths)


@pytest.mark.parametrize("case", [case for case in CASES if not case.honest], ids=lambda case: case.id)
def test_a_sabotage_is_not_the_whole_difference_between_twins(case: Case, tmp_path: Path) -> None:
    """Fixed, a twin still differs from the honest one in code or config: a diff of the two is no answer key."""
    assert case.fix is not None
    folder = case.materialise(tmp_path / "fixed")
    apply_patch(case.fix.read_text(encoding="utf-8"), folder)
    honest = texts(load_bench().honest_twin(case))
    names = [name for name in honest if Path(name).suffix in CODE]
    assert any((folder / name).read_text(encoding="utf-8") != honest[name] for name in names)


def test_the_order_of_names_says_nothing() -> None:
    """The honest twin is neither always the first nor always the last of its codebase."""
    first = [min(c.id for c in CASES if c.codebase == name) for name in CODEBASES]
    last = [max(c.id for c in CASES if c.codebase == name) for name in CODEBASES]
    honest = {case.id for case in CASES if case.honest}
    assert 0 < len(honest & set(first)) < len(CODEBASES)
    assert 0 < len(honest & set(last)) < len(CODEBASES)
