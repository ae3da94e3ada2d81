"""What auditors without a model find by reading: decisions and their textbook alternatives, alignment, the Conclusion."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from audit_toys import write
from cavesson.audit.auditors.alignment import alignment, misaligned, shares
from cavesson.audit.auditors.arms import asymmetries
from cavesson.audit.auditors.conclusion import Conclusion
from cavesson.audit.auditors.decision import Decision, parses
from cavesson.audit.auditors.extras import extras
from cavesson.audit.auditors.focus import Focus
from cavesson.audit.auditors.gathering import worth_a_run
from cavesson.audit.auditors.mistakes import mistakes
from cavesson.audit.auditors.numbers import numbers
from cavesson.audit.auditors.paper import Paper
from cavesson.audit.auditors.recompute import disagreements, metrics
from cavesson.audit.auditors.results import Results, leaves
from cavesson.audit.auditors.slips import slips
from cavesson.audit.auditors.sources import Workspace
from cavesson.audit.auditors.steps import steps
from cavesson.audit.auditors.swaps import swaps
from cavesson.audit.auditors.textbook import PROCEDURES, USUAL, usual_for

ARMS = Results({"r.json": leaves({"acc": {"plain": 0.5, "robust": 0.7}})}, {})


def found(folder: Path, content: dict[str, str], paper: str = "", results: Results = ARMS) -> dict[str, Decision]:
    """The most unusual decision of each family, for a workspace of these files."""
    shutil.rmtree(folder, ignore_errors=True)
    workspace, read = Workspace(write(folder, content)), Paper(paper)
    every = [
        *mistakes(workspace, read), *slips(workspace, results), *steps(workspace, read), *numbers(workspace, read),
        *asymmetries(workspace, read, results), *extras(workspace, read), *swaps(workspace, read),
    ]  # fmt: skip
    return {one.family: one for one in sorted(every, key=lambda one: one.unusual)}


TWINS = {
    "no_effect": (
        "for old, new in zip(ps, fresh):\n    old = new.copy()\n",
        "for old, new in zip(ps, fresh):\n    old[...] = new\n",
    ),
    "folded": ("def auc(u, n):\n    return max(u, n - u)\n", "def auc(u, n):\n    return max(u, n - 1)\n"),
    "denominator": ("r = sum(hits) / len(others)\n", "r = sum(hits) / len(hits)\n"),
    "test_in_training": ("fit(model, x_test, y_test)\n", "fit(model, x_train, y_train)\nscore(model, x_test)\n"),
    "test_in_selection": ("if test_acc > best_acc:\n    best_acc = test_acc\n", "if val_acc > best_acc:\n    pass\n"),
    "train_as_test": ("test_acc = accuracy(x_train, y_train)\n", "test_acc = accuracy(x_test, y_test)\n"),
    "fitted_before_split": (
        "x = scaler.fit_transform(x)\na, b = train_test_split(x)\n",
        "a, b = train_test_split(x)\na = scaler.fit_transform(a)\n",
    ),
    "labels": ("y_train = rng.permutation(y_train)\n", "order = rng.permutation(n)\n"),
    "swapped_arguments": (
        "def f(scores, labels):\n    return scores @ labels\nf(labels, scores)\n",
        "def f(scores, labels):\n    return scores @ labels\nf(scores, labels)\n",
    ),
    "missing_argument": (
        "def k(x, alpha=1.0):\n    return alpha * x\ndef change(x, y, alpha):\n    return k(x, alpha) / k(y)\n",
        "def k(x, alpha=1.0):\n    return alpha * x\ndef change(x, y, alpha):\n    return k(x, alpha) / k(y, alpha)\n",
    ),
    "ignored_argument": ("def f(x, decay):\n    return x\n", "def f(x, decay):\n    return x * decay\n"),
    "last_round": (
        "for s in seeds:\n    acc = run(s)\n    every.append(acc)\nprint(acc)\n",
        "for s in seeds:\n    acc = run(s)\n    every.append(acc)\nprint(every)\n",
    ),
    "wrong_way": (
        "if val_loss > best_loss:\n    best_loss = val_loss\n",
        "if val_loss < best_loss:\n    best_loss = val_loss\n",
    ),
    "hard_labels": ("a = roc_auc_score(y, m.predict(x))\n", "a = roc_auc_score(y, m.decision_function(x))\n"),
    "gradients_add_up": (
        "def train():\n    loss.backward()\n    opt.step()\n",
        "def train():\n    opt.zero_grad()\n    loss.backward()\n    opt.step()\n",
    ),
    "crossed_names": ("acc_robust = accuracy(plain)\n", "acc_robust = accuracy(robust)\n"),
    "bound": ("def scale(n, b):\n    return max(b, n // 64)\n", "def relu(x):\n    return max(0.0, x)\n"),
    "filter": ("def evaluate(p):\n    keep = p > 0.5\n    return p[keep].mean()\n", "def evaluate(p):\n    return p.mean()\n"),
    "selection": ("m = x[x > 3].mean()\n", "m = x[y == 1].mean()\n"),
    "step": ("def train(df):\n    df = df.dropna()\n    return df\n", "def train(df):\n    return df\n"),
    "rescaled": ("def f(p):\n    p *= 0.3\n", "def f(m, g):\n    for a in m:\n        a *= 0.9\n        a += 0.1 * g\n"),
    "slice": ("def evaluate(x):\n    return mean(x[:100])\n", "a, b = x[:cut], x[cut:]\n"),
    "stop": ("for t in range(9):\n    if loss < tol:\n        break\n", "for t in range(9):\n    pass\n"),
    "shared_draw": (
        "w = rng.normal(size=3)\nfor k in range(5):\n    fit(w)\n",
        "for k in range(5):\n    w = rng.normal(size=3)\n    fit(w)\n",
    ),
    "unshuffled": ("order = np.arange(n)\na = x[order[:cut]]\n", "order = rng.permutation(n)\na = x[order[:cut]]\n"),
    "fixed_seed": ("def f(seed):\n    rng = default_rng(0)\n", "def f(seed):\n    rng = default_rng(seed)\n"),
    "aggregate": ("best = max(accs)\n", "best = np.mean(accs)\n"),
    "default": ("m = LogisticRegression(C=0.001)\n", "m = LogisticRegression()\n"),
    "factor": ("def f(x):\n    return 0.37 * x\n", "def f(x):\n    return 2 * x\n"),
    "arm_value": ("n = 10 if arm == 'robust' else 100\n", "n = 10 if size == 3 else 100\n"),
    "unlike_calls": (
        "def train(x, n):\n    return x * n\na = train(x, 100)\nb = train(x, 300)\n",
        "def train(x, n):\n    return x * n\na = train(x, 100)\nb = train(y, 100)\n",
    ),
    "other_end": ("def add(q, x):\n    q.append(x)\n    q.pop()\n", "def add(q, x):\n    q.append(x)\n    q.pop(0)\n"),
    "turned": ("# mean minus own\nsend(own - mean)\n", "own = mean - own\n"),
    "sibling": (
        "def f(t):\n    mine, other = t[0], t[1]\n    return best(other)\n",
        "def f(t):\n    mine, other = t[0], t[1]\n    return best(mine, other)\n",
    ),
    "union": ("def fit(a, b):\n    return concat([a, b])\n", "def show(a, b):\n    return concat([a, b])\n"),
    "thinned": ("held = rows.query('x > 1')\n", "held = rows.copy()\n"),
    "start_value": ("table = np.full(n, -1.0)\n", "table = np.full(n, 0.0)\n"),
    "term": ("rate = min(1.0, t / warm, (1 - t) / cool)\n", "rate = min(1.0, t / warm)\n"),
    "off": ("class Plan:\n    slope: float = 0.0\n", "class Plan:\n    slope: float = 1.5\n"),
    "shared_object": ("for arm in arms:\n    train(model, arm)\n", "for arm in arms:\n    model = make()\n    train(model, arm)\n"),
}  # fmt: skip


@pytest.mark.parametrize("family", TWINS)
def test_a_decision_is_seen_and_its_plain_twin_is_not(tmp_path: Path, family: str) -> None:
    odd, plain = TWINS[family]
    constants = "'plain', 'robust'\n"
    one = found(tmp_path / "w", {"m.py": constants + odd}).get(family)
    assert one is not None and 0 < one.unusual <= 1 and one.files and parses(one.edits)
    assert family not in found(tmp_path / "w", {"m.py": constants + plain})


def test_a_script_that_also_draws_is_read_and_a_file_of_figures_is_not(tmp_path: Path) -> None:
    odd = "import matplotlib\ndef auc(u, n):\n    return max(u, n - u)\n"
    assert "folded" in found(tmp_path / "w", {"all.py": odd})
    assert "folded" not in found(tmp_path / "w", {"figures.py": odd, "run.py": "x = 1\n" * 30})


def test_alternatives_undo_what_is_odd(tmp_path: Path) -> None:
    def alternative(family: str) -> str:
        return found(tmp_path / "w", {"m.py": TWINS[family][0]})[family].edits["m.py"]

    assert "old[...] = new.copy()" in alternative("no_effect")
    assert "return (u)" in alternative("folded")
    assert "k(x, alpha) / k(y, alpha=alpha)" in alternative("missing_argument")
    assert "rng.permutation" not in alternative("labels")
    assert "val_loss < best_loss" in alternative("wrong_way")
    assert "LogisticRegression()" in alternative("default")
    assert "q.pop(0)" in alternative("other_end") and "(mean) - (own)" in alternative("turned")
    assert "best(mine)" in alternative("sibling") and "held = rows\n" in alternative("thinned")
    assert "np.full(n, 0.0)" in alternative("start_value") and "slope: float = 1" in alternative("off")
    assert alternative("shared_draw").startswith("for k in range(5):\n    w = rng.normal")


def test_a_difference_whose_sign_a_text_contradicts_is_a_mistake_and_else_a_choice(tmp_path: Path) -> None:
    code = {"m.py": "def f(mean, own):\n    return own - mean\n"}
    texts = {"": "step", "The mean minus the client's own gradient.": "mistake", "It is own minus mean.": "step"}
    assert {text: found(tmp_path / "w", code, text)["turned"].group for text in texts} == texts
    between = "The correction is the difference between the mean gradient of all clients and its own."
    assert found(tmp_path / "w", code, between)["turned"].group == "mistake"


def test_a_number_that_overrides_a_default_by_its_place_alone_is_seen(tmp_path: Path) -> None:
    own = "class Full:\n    def __init__(self, d, g=1.0):\n        self.g = g\n"
    assert "Full(d)" in found(tmp_path / "w", {"m.py": own + "m = Full(d, 0.9)\n"})["default"].edits["m.py"]
    assert "default" not in found(tmp_path / "w", {"m.py": own + "m = Full(d)\n"})


def test_numbers_are_held_against_the_textbook_and_against_their_siblings(tmp_path: Path) -> None:
    config = (
        "a:\n  learning_rate: 0.000001\n  steps: 300\nb:\n  learning_rate: 0.01\n  steps: 900\nitems: 500\nnoise: 0.3\n"
    )
    seen = found(
        tmp_path / "w",
        {"config.yaml": config, "m.py": "use(cfg)\n"},
        "## Method\n\n900 steps with learning rate 0.01.\n",
    )
    assert {
        "unusual",
        "unequal",
        "exchanged",
        "more_training",
        "converged",
        "more_data",
        "less_noise",
        "single",
    } <= set(seen)
    assert seen["unusual"].files == ("config.yaml:2",) and "Bengio" in seen["unusual"].mechanism
    assert "learning_rate: 0.01\n  steps: 300" in seen["unusual"].edits["config.yaml"]
    assert seen["single"].stated < 0.5 or seen["single"].promise > 0


def test_what_the_paper_speaks_of_promises_less(tmp_path: Path) -> None:
    code = {"m.py": "def train(grads, limit):\n    grads = clipped(grads, limit)\n    return grads\n"}
    silent, told = (
        found(tmp_path / "w", code, paper)["step"] for paper in ("# T\n", "# T\n\nGradients are clipped at a limit.\n")
    )
    assert silent.unusual == told.unusual and silent.promise > told.promise


def test_runs_are_shared_between_kinds_and_no_edit_runs_twice() -> None:
    def decision(group: str, family: str, unusual: float, text: str) -> Decision:
        return Decision(group, family, unusual, text, "", ("m.py:1",), {"m.py": text})  # type: ignore[arg-type]

    code = [decision("step", f"f{at}", 0.5, f"a = {at}\n") for at in range(20)]
    single = [decision("setting", "single", 0.2, f"b = {at}\n") for at in range(20)]
    chosen = worth_a_run([*code, *code[:3], *single, decision("step", "broken", 1.0, "def (")], 8)
    assert len(chosen) == len({one.title for one in chosen}) == 8
    assert sum(one.family == "single" for one in chosen) >= 2 and all(one.family != "broken" for one in chosen)


def test_two_splits_that_are_joined_are_a_decision_in_whatever_way_they_are_joined(tmp_path: Path) -> None:
    for code in ("m = fit(s.train.plus(s.pool))\n", "b = ridge(pd.concat([tr, te]))\n"):
        decision = found(tmp_path / "w", {"m.py": code})["union"]
        assert decision.unusual > 0.5 and re.search(
            r"fit\(\(s\.(train|pool)\)\)|ridge\(\((tr|te)\)\)", decision.edits["m.py"]
        )
    for code in ("names = head.plus(tail)\n", "x = concat([train_x, train_y])\n", "p = os.path.join(train, 'a')\n"):
        assert "union" not in found(tmp_path / "w", {"m.py": code})


def test_data_that_a_condition_chooses_is_a_decision_and_data_of_a_split_is_none(tmp_path: Path) -> None:
    code = "seen = f(v) >= t\nout = thresholds(f(v)[seen], y[j][seen], t)\n"
    decision = found(tmp_path / "w", {"m.py": code})["selection"]
    assert "thresholds(f(v), y[j], t)" in decision.edits["m.py"]
    assert "selection" not in found(tmp_path / "w", {"m.py": "i, j = split(n)\nout = fit(x[i], y[i])\n"})


def test_every_textbook_value_lies_in_its_own_range_and_has_a_source() -> None:
    assert all(one.low <= one.default <= one.high and len(one.source) > 5 for one in USUAL)
    assert usual_for("learning_rate") is not None and usual_for("people") is None
    assert len({one.name for one in PROCEDURES}) == len(PROCEDURES)


# ------------------------------------------------------------------------------------------------ paper, code, results


def test_paper_code_and_results_are_compared_both_ways(tmp_path: Path) -> None:
    code = {
        "config.yaml": "learning_rate: 0.1\ntrain_items: 300\nghosts: 7\n",
        "m.py": "use(cfg['learning_rate'])\nclip_grad_norm_(p)\n",
    }
    workspace = Workspace(write(tmp_path, code))
    paper = Paper(
        "## Method\n\nWe take train items 450, a learning rate of 0.1 and 7311 rounds, with dropout.\n\n## Conclusion\n\nIt is 0.91.\n"
    )
    results = Results({"r.json": leaves({"acc": 0.5})}, {})
    table = alignment(workspace, paper, results)
    status = {line.what: line.status for line in table}
    assert (
        status["learning_rate"] == "agrees" and status["train_items"] == "differs" and status["ghosts"] == "code only"
    )
    assert status["a number of the method"] == "paper only" and status["a number of the Conclusion"] == "paper only"
    assert status["dropout"] == "paper only" and status["gradient clipping"] == "code only"
    told = {one.family: one for one in misaligned(table, workspace, Conclusion(paper, results))}
    assert "train_items: 450" in told["contradicted"].edits["config.yaml"] and "unsupported" in told
    assert shares(table)["unstated"] > 0


# ------------------------------------------------------------------------------------------------ the Conclusion

STORED = {str(seed): leaves({"acc": {"a": 0.9 + seed / 100, "b": 0.4, "c": 0.6}, "n": 3}) for seed in (0, 1)}
SAID = Paper("## Conclusion\n\n**Key Finding 1.** Arm a reaches 0.905.\n\n**Key Finding 2.** Arm b only 0.40.\n")


def test_a_conclusion_moves_with_its_own_quantities_and_beyond_what_seeds_do() -> None:
    conclusion = Conclusion(SAID, Results(STORED, {}))
    assert sorted(path for paths in conclusion.findings.values() for path in paths) == [("acc", "a"), ("acc", "b")]
    before, fresh = STORED["0"], STORED["1"]

    def moved(**acc: float) -> float:
        return conclusion.effect(before, leaves({"acc": {"a": 0.9, "b": 0.4, "c": 0.6, **acc}, "n": 3}), fresh).moved

    assert moved() == 0 and moved(a=0.895) == 0 and moved(c=0.0) == 0
    assert 0.2 < moved(b=0.5) < 0.5 and moved(a=0.3) == 1
    unseen = Conclusion(Paper("## Conclusion\n\nIt is 0.77.\n"), Results(STORED, {}))
    assert [one.value for one in unseen.lost] == [0.77]


def test_a_change_that_breaks_everything_shows_less_than_one_that_moves_the_finding_alone() -> None:
    conclusion = Conclusion(SAID, Results(STORED, {}))
    alone = conclusion.effect(STORED["0"], leaves({"acc": {"a": 0.2, "b": 0.4, "c": 0.6}}), STORED["0"])
    broken = conclusion.effect(STORED["0"], leaves({"acc": {"a": 0.0, "b": 0.0, "c": 0.0}}), STORED["0"])
    assert alone.moved == broken.moved == 1 and alone.specific > broken.specific


def test_a_change_that_makes_a_difference_says_more_than_one_that_levels_it() -> None:
    paper = Paper("## Conclusion\n\n**Key Finding 1.** Arm a reaches 0.41, arm b 0.40.\n")
    alike, apart = leaves({"acc": {"a": 0.41, "b": 0.40}}), leaves({"acc": {"a": 0.71, "b": 0.40}})
    conclusion = Conclusion(paper, Results({"0": alike}, {}))
    assert conclusion.effect(alike, apart, alike).created > 0.9
    assert conclusion.effect(apart, alike, apart).created == 0 and conclusion.effect(alike, apart, apart).created == 0


def test_decisions_in_what_the_findings_compare_come_first(tmp_path: Path) -> None:
    code = "class DoublyRobust:\n    def on(self, x):\n        return x[:5]\n\n\nclass Inverse:\n    def on(self, x):\n        return x[:5]\n"
    paper = Paper("## Conclusion\n\n**Key Finding 1.** DR has 0.41, the direct method 0.40.\n")
    workspace = Workspace(write(tmp_path, {"m.py": code}))
    focus = Focus(workspace, paper, Conclusion(paper, ARMS))
    near = [focus.near(one) for one in steps(workspace, paper) if one.family == "slice"]
    assert near == [True, False]


def table(folded: bool) -> str:
    rows = ["arm,seed,split,index,label,prediction,score"]
    for arm, sign in (("up", 1), ("steep", 2), ("flat", 0), ("down", -1)):
        rows += [f"{arm},0,test,{i},{i % 2},{i % 2},{sign * (i % 2) + (i * 7 % 11) / 9}" for i in range(200)]
    return "\n".join(rows)


@pytest.mark.parametrize("folded", [False, True])
def test_predictions_bear_out_the_results_or_not(folded: bool) -> None:
    from cavesson.audit.auditors.recompute import _groups

    text = table(folded)
    aurocs = {arm: metrics(rows)["AUROC"] for (arm, _), rows in _groups(text)[0].items()}
    if folded:
        aurocs = {arm: max(value, 1 - value) for arm, value in aurocs.items()}
    run = leaves({"auroc": aurocs})
    odd = list(disagreements(Results({"results/seed_0/results.json": run}, {"results/seed_0/predictions.csv": text})))
    assert [one.family for one in odd] == (["recomputed"] if folded else [])
    assert not folded or "down" in odd[0].title
