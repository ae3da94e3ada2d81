"""Slips of names and directions: a result stored under another arm's name, the worst taken for the best, hard predictions
where scores belong, a key that no code reads, a training step without its other half."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from cavesson.audit.auditors.decision import Decision, decided
from cavesson.audit.auditors.results import Results
from cavesson.audit.auditors.sources import Module, Workspace
from cavesson.audit.auditors.trees import called, own_nodes, root, scopes

_LOW = re.compile(r"loss|err(or)?s?($|_)|nll|perplex|rmse|mse|mae|cost|regret|risk|wer", re.IGNORECASE)
_HIGH = re.compile(r"(^|_)acc(uracy|s|uracies)?($|_)|auroc|auc|(^|_)f1|reward|return|r2($|_)|bleu", re.IGNORECASE)
_BEST = re.compile(r"(^|_)best($|_)", re.IGNORECASE)
_WORST = re.compile(r"worst|hard|lowest|weak|advers", re.IGNORECASE)
_MEASURE = re.compile(r"acc|score|loss|err|auc|metric|rate|f1|rmse|mse", re.IGNORECASE)
_PAIRS = (
    ("train", "test"),
    ("train", "val"),
    ("val", "test"),
    ("treat", "control"),
    ("treated", "control"),
    ("clean", "noisy"),
    ("source", "target"),
)
"""Names that stand for opposites, beside the names of the compared arms."""


def slips(workspace: Workspace, results: Results) -> Iterator[Decision]:
    """All slips that are found in the files that the command runs."""
    arms = sibling_names(results)
    for module in workspace.modules:
        if module.name not in workspace.pictures:
            for finder in (wrong_way, hard_labels, half_a_step):
                yield from finder(module)
            yield from crossed_names(module, arms)
    yield from unread_keys(workspace)


def sibling_names(results: Results) -> frozenset[tuple[str, str]]:
    """Pairs of names that stand for each other in the results' paths: `acc.plain` and `acc.robust`."""
    families: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for path in results.means:
        for at, part in enumerate(path):
            if re.fullmatch(r"[A-Za-z]{3,}\w*", part):
                families[(*path[:at], "*", *path[at + 1 :])].add(part.lower())
    return frozenset((one, two) for family in families.values() for one in family for two in family if one != two)


def wrong_way(module: Module) -> Iterator[Decision]:
    """The larger loss, or the smaller accuracy, is kept as the best."""
    why = "The choice keeps the worst where its name says the best."
    for node in ast.walk(module.tree):
        if (
            isinstance(node, ast.Compare)
            and len(node.ops) == 1
            and isinstance(node.ops[0], ast.Gt | ast.GtE | ast.Lt | ast.LtE)
        ):
            left, right = root(node.left), root(node.comparators[0])
            best = _BEST.search(left) or _BEST.search(right)
            if not best or _WORST.search(left + right):
                continue
            rises = isinstance(node.ops[0], ast.Gt | ast.GtE) == bool(_BEST.search(right))
            both = f"{left}_{right}"
            if (_LOW.search(both) and not _HIGH.search(both) and rises) or (
                _HIGH.search(both) and not _LOW.search(both) and not rises
            ):
                turned = {ast.Gt: "<", ast.GtE: "<=", ast.Lt: ">", ast.LtE: ">="}[type(node.ops[0])]
                edit = module.replaced(
                    node, f"{module.source(node.left)} {turned} {module.source(node.comparators[0])}"
                )
                yield decided(
                    "mistake",
                    "wrong_way",
                    0.8,
                    module,
                    node,
                    f"the worst is kept: {module.source(node)[:60]}",
                    why,
                    edit,
                )
        elif isinstance(node, ast.Call) and called(node) in (
            "argmax",
            "argmin",
            "nanargmax",
            "nanargmin",
            "idxmax",
            "idxmin",
            "max",
            "min",
        ):
            key = next((module.source(word.value) for word in node.keywords if word.arg == "key"), "")
            about = key or (
                root(node.func.value)
                if isinstance(node.func, ast.Attribute) and not node.args
                else root(node.args[0])
                if node.args
                else ""
            )
            if called(node) in ("max", "min") and not key:
                continue
            up = "max" in called(node)
            inverted = re.search(r"-\s*\w", key) is not None
            wrong = (_LOW.search(about) and not _HIGH.search(about) and up != inverted) or (
                _HIGH.search(about) and not _LOW.search(about) and up == inverted
            )
            if wrong and not _WORST.search(about):
                text = module.source(node.func)
                edit = module.replaced(
                    node.func,
                    text[: -len(called(node))]
                    + (called(node).replace("max", "min") if up else called(node).replace("min", "max")),
                )
                yield decided(
                    "mistake",
                    "wrong_way",
                    0.6,
                    module,
                    node,
                    f"the worst is chosen: {module.source(node)[:60]}",
                    why,
                    edit,
                )


def hard_labels(module: Module) -> Iterator[Decision]:
    """A ranking measure of hard predictions."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and re.search(
            r"auroc|roc_auc|average_precision|brier|log_loss|(^|_)ece$", called(node), re.IGNORECASE
        ):
            for arg in (*node.args, *(word.value for word in node.keywords)):
                hard = (isinstance(arg, ast.Call) and called(arg) in ("predict", "argmax", "round")) or re.search(
                    r"(^|_)(hard|y_?hat|preds?_?labels?)$", root(arg)
                )
                if hard:
                    yield decided("mistake", "hard_labels", 0.6, module, node, f"{called(node)} is given hard predictions",
                                  "A measure of scores is given predicted classes, which throws the ranking away.",
                                  module.replaced(arg, module.source(arg).replace(".predict(", ".decision_function(")) if isinstance(arg, ast.Call) and called(arg) == "predict" else {})  # fmt: skip


def half_a_step(module: Module) -> Iterator[Decision]:
    """Backpropagation whose gradients are never set to zero; dropout that stays on where a model is measured."""
    noisy = re.search(r"Dropout|BatchNorm", module.text)
    for name, statements, scope in scopes(module):
        calls = {called(node): node for node in own_nodes(statements) if isinstance(node, ast.Call)}
        if (
            "backward" in calls
            and "step" in calls
            and not calls.keys() & {"zero_grad", "zero_"}
            and ".grad = None" not in module.source(scope)
            and ".grad=None" not in module.source(scope)
        ):
            yield decided("mistake", "gradients_add_up", 0.7, module, calls["backward"], f"{name or module.name} never sets gradients to zero",
                          "Each step uses the sum of all gradients so far.")  # fmt: skip
        if (
            noisy
            and re.search(r"eval|test|predict|measure|score", name)
            and "no_grad" in module.source(scope)
            and "eval" not in calls
            and "train" not in calls
        ):
            yield decided("mistake", "noise_in_evaluation", 0.4, module, statements[0], f"{name} does not switch the model to evaluation",
                          "Dropout or batch statistics stay as in training while the model is measured.")  # fmt: skip


def crossed_names(module: Module, arms: frozenset[tuple[str, str]]) -> Iterator[Decision]:
    """A measure under one name that is worked out from its opposite alone: `acc_b = mean(hits_a)`."""
    pairs = {*arms, *_PAIRS, *(pair[::-1] for pair in _PAIRS)}
    for node in ast.walk(module.tree):
        if not (
            isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.value, ast.Call | ast.Subscript)
        ):
            continue
        target = root(node.targets[0]).lower()
        functions = {id(child.func) for child in ast.walk(node.value) if isinstance(child, ast.Call)}
        named = [
            child
            for child in ast.walk(node.value)
            if isinstance(child, ast.Name | ast.Attribute) and id(child) not in functions
        ]
        texts = [
            child.value
            for child in ast.walk(node.value)
            if isinstance(child, ast.Constant) and isinstance(child.value, str)
        ]
        words, others = (
            _parts([target]),
            _parts([*(root(child).lower() for child in named), *(text.lower() for text in texts if len(text) < 30)]),
        )
        measured = _MEASURE.search(target)
        for mine, other in sorted(pairs):
            if (
                mine in words
                and other in others
                and mine not in others
                and other not in words
                and (measured or (mine, other) in arms)
            ):
                yield decided("mistake", "crossed_names", 0.5 if measured else 0.3, module, node, f"{target} is worked out from {other}: {module.source(node)[:60]}",
                              f"The name says {mine}, and what it is computed from says {other}.")  # fmt: skip
                break


def _parts(names: Iterable[str]) -> set[str]:
    return {part for name in names for part in re.split(r"[^a-z0-9]+", name)}


def unread_keys(workspace: Workspace) -> Iterator[Decision]:
    """A key of the configuration that no code reads: another value is in effect."""
    code = "\n".join(module.text for module in workspace.modules)
    splats = re.search(r"\*\*|getattr\(|vars\(|\.items\(\)|SimpleNamespace|dataclass", code)
    for setting in workspace.settings:
        name = next((part for part in reversed(setting.path) if not part.isdigit()), "")
        if setting.configured and name.isidentifier() and not re.search(rf"\b{re.escape(name)}\b", code):
            yield Decision("mistake", "unread_key", 0.15 if splats else 0.5, f"{'.'.join(setting.path)} is configured and never read",
                           f"No code reads the key {name!r}, so what runs is not what is configured.", (setting.place,))  # fmt: skip
