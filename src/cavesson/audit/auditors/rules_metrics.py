"""Rules over syntax trees, on how results are computed and how the compared arms are treated."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import combinations

from cavesson.audit.auditors.evidence import Suspicion
from cavesson.audit.auditors.paper import Paper
from cavesson.audit.auditors.results import Results
from cavesson.audit.auditors.sources import Module, Workspace, literal
from cavesson.audit.auditors.trees import bodies, called, found, root


def folded(workspace: Workspace, paper: Paper, results: Results) -> Iterator[Suspicion]:
    """A statistic that is folded or bounded: `max(a, 1 - a)`, `abs(...)`, `clip`, `round`."""
    for module in workspace.modules:
        for function in module.functions():
            for node in ast.walk(function):
                if not isinstance(node, ast.Call):
                    continue
                if called(node) in ("max", "min", "maximum", "minimum") and len(node.args) == 2:
                    one, two = node.args
                    for plain, mirror in ((one, two), (two, one)):
                        if (
                            isinstance(mirror, ast.BinOp)
                            and isinstance(mirror.op, ast.Sub)
                            and ast.dump(mirror.right) == ast.dump(plain)
                        ):
                            yield found(
                                module,
                                node,
                                "folded",
                                1.0,
                                f"{function.name} folds its statistic: {module.source(node)[:60]}",
                                "The larger (or smaller) of a statistic and its mirror image is taken, so that it "
                                "can never fall on the other side of chance: "
                                "a reversed effect is reported as a positive one.",
                                module.replaced(node, module.source(plain)),
                            )
                elif (
                    called(node) in ("abs", "fabs", "absolute")
                    and node.args
                    and _reported(module, function, node)
                    and not re.search(r"ece|calib|error|dist|mae|deviation", function.name)
                ):
                    yield found(
                        module,
                        node,
                        "folded",
                        0.5,
                        f"the sign is dropped: {module.source(node)[:60]}",
                        "An absolute value makes effects of either sign look alike.",
                        module.replaced(node, f"({module.source(node.args[0])})"),
                    )
                elif (
                    called(node) in ("clip", "round", "rint", "floor")
                    and node.args
                    and _reported(module, function, node)
                ):
                    inner = (
                        node.func.value
                        if isinstance(node.func, ast.Attribute)
                        and root(node.func.value) not in ("np", "numpy", "torch", "math")
                        else node.args[0]
                    )
                    tiny = any(0 < abs(value) < 1e-4 for arg in node.args if (value := literal(arg)) is not None)
                    yield found(
                        module,
                        node,
                        "bounded",
                        0.1 if tiny else 0.4,
                        f"values are bounded or rounded: {module.source(node)[:60]}",
                        "Values are cut off or rounded before they enter the result.",
                        module.replaced(node, f"({module.source(inner)})"),
                    )


def _reported(module: Module, function: ast.FunctionDef, node: ast.AST) -> bool:
    """Whether a function computes a result, by its name and its file's."""
    return bool(
        re.search(
            r"eval|metric|score|measure|accura|calib|ece|auroc|auc|analys|aggreg|summar|stat|rate|shift|gap|effect|corr|cos|align|dist",
            f"{module.name}.{function.name}",
        )
    )


def denominator(workspace: Workspace, paper: Paper, results: Results) -> Iterator[Suspicion]:
    """A sum divided by something else than the number of its terms, and means over unlike axes."""
    for module in workspace.modules:
        for node in ast.walk(module.tree):
            if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)):
                continue
            subject, other = _summed(node.left), _counted(node.right)
            if subject and other and other != subject:
                yield found(
                    module,
                    node,
                    "denominator",
                    0.6,
                    f"a sum over {subject} is divided by the number of {other}",
                    "Numerator and denominator count different things, so the rate is not the one described.",
                    module.replaced(node.right, f"len({subject})") if subject.isidentifier() else {},
                )
        for body in bodies(module.tree):
            calls = [
                (call, axis)
                for line in body
                for call in ast.walk(line)
                if isinstance(call, ast.Call) and (axis := _axis(call)) is not None
            ]
            for (one, first), (two, second) in combinations(calls[:30], 2):
                if (
                    called(one) == called(two)
                    and first != second
                    and {root(one), root(two)}
                    and abs(one.lineno - two.lineno) <= 2
                    and called(one) in ("mean", "std", "sum", "argmax")
                ):
                    yield found(
                        module,
                        two,
                        "axis",
                        0.5,
                        f"{called(two)} over axis {second}, beside axis {first}",
                        "Two neighbouring statistics that look alike run over different axes.",
                        _with_axis(module, two, first),
                    )


def _summed(node: ast.expr) -> str:
    if isinstance(node, ast.Call) and called(node) == "sum":
        arg = node.args[0] if node.args else node.func.value if isinstance(node.func, ast.Attribute) else node
        if isinstance(arg, ast.GeneratorExp | ast.ListComp):
            return root(arg.generators[0].iter) if not arg.generators[0].ifs else ""
        return root(arg)
    return ""


def _counted(node: ast.expr) -> str:
    return root(node.args[0]) if isinstance(node, ast.Call) and called(node) == "len" and node.args else ""


def _axis(call: ast.Call) -> float | None:
    return next((literal(word.value) for word in call.keywords if word.arg in ("axis", "dim")), None)


def _with_axis(module: Module, call: ast.Call, axis: float) -> dict[str, str]:
    value = next(word.value for word in call.keywords if word.arg in ("axis", "dim"))
    return module.replaced(value, f"{axis:g}")


def swapped_arguments(workspace: Workspace, paper: Paper, results: Results) -> Iterator[Suspicion]:
    """Arguments whose names are those of parameters in another order."""
    for module in workspace.modules:
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Call) or (target := workspace.function(called(node))) is None:
                continue
            names = [arg.arg for arg in target[1].args.args if arg.arg not in ("self", "cls")]
            given = [root(arg) for arg in node.args]
            for one, two in combinations(range(min(len(names), len(given))), 2):
                if given[one] != given[two] and given[one] == names[two] and given[two] == names[one]:
                    first, second = (module.source(node.args[at]) for at in (one, two))
                    text = module.source(node).replace(f"{first}", "\0").replace(second, first).replace("\0", second)
                    yield found(
                        module,
                        node,
                        "swapped_arguments",
                        1.0,
                        f"{names[one]} and {names[two]} are exchanged in a call of {called(node)}",
                        "Two arguments stand in each other's place.",
                        module.replaced(node, text),
                    )


def asymmetric(workspace: Workspace, paper: Paper, results: Results) -> Iterator[Suspicion]:
    """The compared arms are treated differently: a branch on an arm's name, or the same call with other numbers."""
    arms = (
        {part for path in results.means for part in path if not part.replace(".", "").isdigit()}
        if results.stored
        else set()
    )
    for module in workspace.modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.IfExp) and _names_arm(node.test, arms):
                numbers = [literal(side) for side in (node.body, node.orelse)]
                strength = 0.9 if None not in numbers else 0.5
                for kept in (node.orelse, node.body):
                    yield found(
                        module,
                        node,
                        "asymmetric",
                        strength,
                        f"one arm is treated otherwise: {module.source(node)[:70]}",
                        "A value depends on which of the compared arms is run; the difference between them may "
                        "come from that alone.",
                        module.replaced(node, f"({module.source(kept)})"),
                    )
            elif isinstance(node, ast.If) and _names_arm(node.test, arms):
                yield found(
                    module,
                    node.test,
                    "asymmetric",
                    0.35,
                    f"a branch for one arm: {module.source(node.test)[:60]}",
                    "Code runs for one of the compared arms only.",
                    module.replaced(node.test, "False") if not node.orelse else {},
                )
        for body in bodies(module.tree):
            calls = [
                call
                for line in body
                if isinstance(line, ast.Assign | ast.Expr | ast.Return)
                for call in ast.walk(line)
                if isinstance(call, ast.Call)
            ]
            for one, two in combinations(calls[:40], 2):
                if called(one) == called(two) and workspace.function(called(one)):
                    yield from _unlike_calls(module, one, two)


def _unlike_calls(module: Module, one: ast.Call, two: ast.Call) -> Iterator[Suspicion]:
    words = [{word.arg: word for word in call.keywords if word.arg} for call in (one, two)]
    title = f"{called(one)} is called with other numbers for one arm than for another"
    why = "Two parts that are compared go through the same function with different settings."
    for name in words[0].keys() & words[1].keys():
        values = [literal(word[name].value) for word in words]
        if None not in values and values[0] != values[1]:
            yield found(
                module, two, "asymmetric", 0.6, title, why, module.replaced(words[1][name].value, f"{values[0]:g}")
            )
    for a, b in zip(one.args, two.args, strict=False):
        first, second = literal(a), literal(b)
        if first is not None and second is not None and first != second:
            yield found(module, two, "asymmetric", 0.4, title, why, module.replaced(b, f"{first:g}"))
    if len(one.args) == len(two.args) and set(words[0]) != set(words[1]) and len(one.args) > 0:
        odd = next(iter(set(words[0]) ^ set(words[1])))
        yield found(module, two, "asymmetric", 0.4, f"{called(one)} gets {odd} for one arm only", why)


def _names_arm(test: ast.expr, arms: set[str]) -> bool:
    """Whether a condition compares something with the name of an arm: `arm == "shared"`, `arm in ("shared",
    "other")`."""
    return any(
        isinstance(child, ast.Constant) and child.value in arms
        for node in ast.walk(test)
        if isinstance(node, ast.Compare)
        for side in (node.left, *node.comparators)
        if not (side is node.left and isinstance(node.ops[0], ast.In | ast.NotIn))
        for child in (
            [side]
            if isinstance(side, ast.Constant)
            else ast.walk(side)
            if isinstance(side, ast.Tuple | ast.List | ast.Set)
            else []
        )
    )


def shared_state(workspace: Workspace, paper: Paper, results: Results) -> Iterator[Suspicion]:
    """Weights handed on without a copy: the trained weights of one arm are the starting point of the next arm."""
    for module in workspace.modules:
        for node in ast.walk(module.tree):
            if (
                isinstance(node, ast.Assign)
                and len(node.targets) == 1
                and isinstance(node.value, ast.Name | ast.Attribute)
            ):
                new, old = root(node.targets[0]), root(node.value)
                if re.search(
                    r"init|start|base|initial|orig|saved|best|snapshot|ref|teacher|student|theta0|w0", new
                ) and re.search(r"^w$|weights?|params?|model|net|theta|state", old):
                    text = module.source(node.value)
                    yield found(
                        module,
                        node,
                        "shared_state",
                        0.5,
                        f"{new} is {old} itself, not a copy",
                        "Two names stand for one object: training the one changes the other.",
                        module.replaced(node.value, f"__import__('copy').deepcopy({text})"),
                    )


def scaled(workspace: Workspace, paper: Paper, results: Results) -> Iterator[Suspicion]:
    """A factor or an offset in the code that neither configuration nor paper names."""
    for module in workspace.modules:
        for function in module.functions():
            for node in ast.walk(function):
                if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Mult | ast.Div | ast.Pow):
                    continue
                value = literal(node.right)
                plain = node.left
                if value is None and isinstance(node.op, ast.Mult):
                    value, plain = literal(node.left), node.right
                if (
                    value is None
                    or value in (0.5, 1, 2, 3, 4, 8, 10, 100, -1, 1000)
                    or literal(plain) is not None
                    or paper.mentions(value)
                    or abs(value) < 1e-4
                ):
                    continue
                if _draws_pictures(module) or root(plain) in ("seed",):
                    continue
                yield found(
                    module,
                    node,
                    "scaled",
                    0.6,
                    f"a factor {value:g} stands in {function.name}",
                    f"{module.source(plain)[:50]} is scaled by {value:g}, which neither configuration nor paper "
                    "mentions.",
                    module.replaced(node, f"({module.source(plain)})"),
                )


def _draws_pictures(module: Module) -> bool:
    return bool(re.search(r"<svg|matplotlib", module.text))


def arm_order(workspace: Workspace, paper: Paper, results: Results) -> Iterator[Suspicion]:
    """The list of arms in reverse order: a finding that depends on the order rests on state that arms share.

    The suspicion has no weight by itself; `probe` runs the edit.
    """
    names = {part for path in results.means for part in path}
    for module in workspace.modules:
        for node in ast.walk(module.tree):
            if (
                isinstance(node, ast.List | ast.Tuple)
                and len(node.elts) >= 2
                and isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
            ):
                values = [
                    item.value for item in node.elts if isinstance(item, ast.Constant) and isinstance(item.value, str)
                ]
                if len(values) == len(node.elts) and set(values) <= names and isinstance(node, ast.List | ast.Tuple):
                    brackets = "[]" if isinstance(node, ast.List) else "()"
                    text = ", ".join(module.source(item) for item in reversed(node.elts))
                    yield found(
                        module,
                        node,
                        "arm_order",
                        0.5,
                        f"the order of {', '.join(values)}",
                        "Arms gone through in the other order give other results: they share a generator, weights "
                        "or data that the earlier ones change.",
                        module.replaced(node, f"{brackets[0]}{text}{brackets[1]}"),
                    )
