"""Numbers that somebody chose: settings against textbook values, against their siblings, and against more of the same.

A finding that vanishes with more data, more training or a converged fit is a property of these numbers. A finding that
vanishes when two sections get the same value comes from the difference between the values.
"""

from __future__ import annotations

import ast
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from cavesson.audit.auditors.decision import Decision, decided, name_words
from cavesson.audit.auditors.paper import Paper
from cavesson.audit.auditors.sources import Module, Setting, Workspace, literal
from cavesson.audit.auditors.textbook import FORM, LIBRARY, usual_for
from cavesson.audit.auditors.trees import called

STEPS = re.compile(r"(^|_)(steps?|epochs?|iters?|iterations?|updates?|passes|rounds)($|_)|max_iter")
RATE = re.compile(r"^(lr|learning_rate|step_size|eta0?)$|(^|_)lr($|_)|learning_rate")
DATA = re.compile(
    r"^n$|^n_|_n$|num_|count|size|samples|train|examples|pool|items|rows|docs|documents|questions|images|pretrain|prompts|entities"
)
NOISE = re.compile(r"noise|corrupt|flip|jitter|dropout|drop(_|$)|sigma|mask_rate|subsample")
DECAY = re.compile(r"weight_decay|^wd$|^l2|^l1|ridge|penalty|regulari|smoothing")
IDLE = re.compile(
    r"seed|verbose|log|version|figure|plot|width_px|height|dpi|every|print|port|workers|jobs|decimals|indent|bins|bootstrap"
)

_LEAST = 0.15

_OWN_WORDS = frozenset(
    (
        "dict",
        "SimpleNamespace",
        "Namespace",
        "replace",
        "field",
        "add_argument",
        "option",
        "print",
        "Path",
        "namedtuple",
    )
)
"""Calls whose keywords are the author's own."""


def numbers(workspace: Workspace, paper: Paper) -> Iterator[Decision]:
    """All decisions about numbers."""
    yield from unusual(workspace, paper)
    yield from unequal(workspace, paper)
    yield from exchanged(workspace, paper)
    yield from more(workspace, paper)
    yield from single(workspace, paper)
    yield from off(workspace, paper)
    yield from defaults(workspace, paper)
    yield from factors(workspace, paper)


def chosen(workspace: Workspace) -> list[Setting]:
    """The settings of the experiment: those of configuration files, else constants and defaults in the code."""
    configured = [one for one in workspace.settings if one.configured]
    pictures = workspace.pictures
    in_code = [
        one
        for one in workspace.settings
        if not one.configured and one.file not in pictures and not IDLE.search(one.name)
    ]
    return [one for one in [*configured, *in_code] if one.path and not IDLE.search(one.name)]


def stated(setting: Setting, paper: Paper) -> float:
    """How far the paper speaks of a setting: its value, half; the words of its name, half."""
    value = 1.0 if paper.mentions(setting.value) else 0.0
    words = name_words(setting.path[-2:])
    return 0.5 * value + 0.5 * (paper.has_words(words) if words else value)


def unusual(workspace: Workspace, paper: Paper) -> Iterator[Decision]:
    """A setting outside its usual range."""
    for setting in chosen(workspace):
        usual = usual_for(setting.name)
        if usual is None or (off := usual.off(setting.value)) <= 1.0:
            continue
        yield Decision("setting", "unusual", min(0.9, 0.35 + math.log10(off) / 2), f"{setting.name} = {setting.value:g} is unusual",
                       f"{'.'.join(setting.path)} is {setting.value:g}, outside what is usual ({usual.low:g} to {usual.high:g}; {usual.source}). An extreme "
                       f"value can make or hide the effect; {usual.default:g} is a common choice.",
                       (setting.place,), workspace.set({setting: usual.default}), stated(setting, paper))  # fmt: skip


def unequal(workspace: Workspace, paper: Paper) -> Iterator[Decision]:
    """One name with several values in sections that could agree: the compared arms, or training and use."""
    groups: dict[tuple[str, str], list[Setting]] = defaultdict(list)
    for setting in chosen(workspace):
        if setting.configured and len(setting.path) >= 2 and not setting.path[-1].isdigit():
            groups[setting.file, setting.name].append(setting)
    for (_, name), group in groups.items():
        values = sorted({one.value for one in group})
        if not 2 <= len(values) <= 3 or re.search(r"^(n|name|id|x|y)$", name):
            continue
        for one in group:
            for value in values:
                if value != one.value:
                    weight = 0.45 if usual_for(name) is not None or STEPS.search(name) else 0.35
                    yield Decision("arms", "unequal", weight, f"{'.'.join(one.path)} is {one.value:g}, and {value:g} elsewhere",
                                   f"Two parts that are compared, or that should match, get different values of {name}. A difference between them may come "
                                   "from that alone, or a mismatch may hide an effect.", (one.place,), workspace.set({one: value}), stated(one, paper))  # fmt: skip


def exchanged(workspace: Workspace, paper: Paper) -> Iterator[Decision]:
    """A section gets all values of its sibling: is it the arm that matters, or its settings?"""
    sections: dict[tuple[str, tuple[str, ...]], dict[str, Setting]] = defaultdict(dict)
    for one in chosen(workspace):
        if one.configured and len(one.path) >= 2 and not one.path[-1].isdigit():
            sections[one.file, one.path[:-1]][one.path[-1]] = one
    for (file, place), mine in sections.items():
        for (other_file, other), theirs in sections.items():
            if file != other_file or place == other or len(place) != len(other) or place[:-1] != other[:-1]:
                continue
            differing = [key for key in mine.keys() & theirs.keys() if mine[key].value != theirs[key].value]
            if len(differing) >= 2 and len(mine.keys() & theirs.keys()) >= 0.6 * len(mine.keys() | theirs.keys()):
                yield Decision("arms", "exchanged", 0.3, f"{'.'.join(place)} with the settings of {'.'.join(other)}",
                               f"{place[-1]} and {other[-1]} differ in {', '.join(sorted(differing))}; what is found may come from these numbers.",
                               tuple(mine[key].place for key in sorted(differing)), workspace.set({mine[key]: theirs[key].value for key in differing}), 0.5)  # fmt: skip


def more(workspace: Workspace, paper: Paper) -> Iterator[Decision]:
    """More training, more data, less noise, less regularisation: all settings of a kind at once."""
    settings = [one for one in chosen(workspace) if not one.path[-1].isdigit() and one.value > 0]
    steps = [one for one in settings if STEPS.search(one.name) and "warm" not in one.name]
    rates = [one for one in settings if RATE.search(one.name)]
    data = [
        one
        for one in settings
        if one.declared
        and DATA.search(one.name)
        and isinstance(one.value, int)
        and one.value >= 50
        and one not in steps
    ]
    noise = [one for one in settings if NOISE.search(one.name)]
    decay = [one for one in settings if DECAY.search(one.name)]
    trained = dict.fromkeys(steps, 3.0)
    kinds: tuple[tuple[str, float, dict[Setting, float], str], ...] = (
        ("more_training", 0.35, trained, "three times as many training steps"),
        ("converged", 0.3, trained | dict.fromkeys(rates, 4.0), "three times as many steps, each four times as large"),
        ("smaller_steps", 0.25, dict.fromkeys(rates, 0.2), "a fifth of the learning rate"),
        ("more_data", 0.25, dict.fromkeys(data, 3.0), "three times as much data"),
        ("less_noise", 0.25, dict.fromkeys(noise, 0.1), "a tenth of the noise"),
        ("less_decay", 0.25, dict.fromkeys(decay, 0.1), "a tenth of the regularisation"),
    )
    for family, weight, group, title in kinds:
        if group and (family != "converged" or (steps and rates)):
            names = ", ".join(dict.fromkeys(one.name for one in group))[:80]
            said = sum(stated(one, paper) for one in group) / len(group)
            yield Decision("setting", family, weight, f"{title} ({names})",
                           f"The finding does not survive {title}: it is a property of these values and not of what the paper compares.",
                           tuple(one.place for one in group), workspace.set({one: one.value * factor for one, factor in group.items()}), said)  # fmt: skip


def single(workspace: Workspace, paper: Paper) -> Iterator[Decision]:
    """Each number of the configuration by itself, four times as large; a share goes half of the way to one."""
    for one in chosen(workspace):
        if (
            not one.declared
            or one.path[-1].isdigit()
            or one.value <= 0
            or STEPS.search(one.name)
            or RATE.search(one.name)
        ):
            continue  # steps and rates are changed together, by `more`
        value = (
            one.value * 4
            if one.value >= 1 or RATE.search(one.name)
            else min(1.0, (1 + one.value) / 2)
            if one.value > 0.05
            else one.value * 4
        )
        if NOISE.search(one.name) or DECAY.search(one.name):
            value = one.value / 4
        said = stated(one, paper)
        alone = not any(kind.search(one.name) for kind in (STEPS, RATE, NOISE, DECAY))
        small = 0.05 if alone and one.value < 16 else 0.0
        yield Decision("setting", "single", _LEAST + 0.1 * (1 - said) + (0.05 if alone else 0.0) + small, f"{'.'.join(one.path)} = {one.value:g}",
                       f"The finding depends on {'.'.join(one.path)} = {one.value:g}" + (", which the paper does not state." if said < 0.5 else "."),
                       (one.place,), workspace.set({one: value}), said)  # fmt: skip


def off(workspace: Workspace, paper: Paper) -> Iterator[Decision]:
    """A declared number that is zero switches a part off, and a negative one turns a part round: a value like its
    neighbours', and zero."""
    settings = [one for one in chosen(workspace) if one.declared and not one.path[-1].isdigit()]
    for one in settings:
        if one.path[-1].isupper() and one.value in (0, 1, 2) and any(
            other.path[-1].isupper() and other.file == one.file and other.value - one.value == 1 and abs(other.span.line - one.span.line) <= 2
            for other in settings
        ):  # fmt: skip
            continue  # names for 0, 1, 2
        if one.value > 0 or (
            one.value == 0 and re.search(r"^(mean|loc|total|best|start|count|i|n|t|step|sum)s?$", one.name)
        ):
            continue
        beside = sorted(other.value for other in settings if other.file == one.file and other.path[:-1] == one.path[:-1]
                        and other.value > 0 and isinstance(other.value, int) == isinstance(one.value, int))  # fmt: skip
        value = 0 if one.value < 0 else beside[len(beside) // 2] if beside else 1
        said = stated(one, paper)
        yield Decision("setting", "off", 0.3, f"{'.'.join(one.path)} = {one.value:g}",
                       f"{one.name} is {one.value:g}: a part of the set-up is switched off or turned round, and the finding may need it.",
                       (one.place,), workspace.set({one: value}), said)  # fmt: skip


def defaults(workspace: Workspace, paper: Paper) -> Iterator[Decision]:
    """A keyword that overrides the default of a library, or of a function of the codebase: the default instead; a default
    that takes effect because no configuration has its key."""
    configured = {part for one in workspace.settings if one.configured for part in one.path}
    for module in workspace.modules:
        if module.name in workspace.pictures:
            continue
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Call):
                continue
            target = workspace.function(called(node))
            for word in node.keywords:
                if word.arg is None or not isinstance(word.value, ast.Constant | ast.UnaryOp) or IDLE.search(word.arg):
                    continue
                own = target is not None and literal(word.value) is not None and word.arg in _with_default(target[1])
                library = target is None and called(node) not in _OWN_WORDS and (
                    LIBRARY.match(word.arg) or (literal(word.value) is not None and not FORM.match(word.arg))
                ) and not re.search(r"seed|state", word.arg)  # fmt: skip
                if own or library:
                    said = paper.has_words(name_words([word.arg]))
                    edit = _without(module.source(node), module.source(word))
                    yield Decision("setting", "default", 0.35, f"{called(node)}({module.source(word)}) overrides a default",
                                   f"{called(node)} would take its own default of {word.arg}, and gets {module.source(word.value)}.",
                                   (module.place(node),), module.replaced(node, edit) if edit else {}, said)  # fmt: skip
            own_code = target[1] if target is not None else workspace.constructor(called(node))
            if own_code is not None and not any(isinstance(arg, ast.Starred) for arg in node.args):
                yield from _overridden(module, node, own_code, paper)
            if called(node) in ("get", "getattr", "pop") and len(node.args) >= 2:
                key, value = node.args[-2], literal(node.args[-1])
                if (
                    isinstance(key, ast.Constant)
                    and isinstance(key.value, str)
                    and value is not None
                    and configured
                    and key.value not in configured
                    and value not in (0, 1)
                ):
                    yield decided("setting", "hidden_default", 0.7, module, node, f"{key.value} falls back to {value:g}",
                                  f"No configuration has the key {key.value!r}, so {value:g} is in effect unseen.", module.replaced(node.args[-1], "0"), paper)  # fmt: skip


def _overridden(module: Module, node: ast.Call, function: ast.FunctionDef, paper: Paper) -> Iterator[Decision]:
    """A number in the last place of a call, where the codebase's own function has a default."""
    names = [arg.arg for arg in function.args.args if arg.arg not in ("self", "cls")]
    if not node.args or len(node.args) > len(names) or (value := literal(node.args[-1])) is None:
        return
    name = names[len(node.args) - 1]
    if name in _with_default(function) and not IDLE.search(name):
        kept = ", ".join(
            [module.source(arg) for arg in node.args[:-1]] + [module.source(word) for word in node.keywords]
        )
        said = paper.has_words(name_words([name])) * (1.0 if paper.mentions(abs(value)) else 0.5)
        yield Decision("setting", "default", 0.45, f"{module.source(node)[:50]} overrides a default",
                       f"{called(node)} would take its own default of {name}, and gets {value:g}.",
                       (module.place(node),), module.replaced(node, f"{module.source(node.func)}({kept})"), said)  # fmt: skip


def _with_default(function: ast.FunctionDef) -> set[str]:
    """The parameters of a function that have a default."""
    ordered = [*function.args.posonlyargs, *function.args.args]
    named = {arg.arg for arg in ordered[len(ordered) - len(function.args.defaults) :]}
    return named | {
        arg.arg
        for arg, value in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
        if value is not None
    }


def _without(call: str, word: str) -> str:
    """The text of a call without one keyword."""
    for pattern in (rf",\s*{re.escape(word)}(?=\s*[,)])", rf"{re.escape(word)}\s*,\s*", rf"{re.escape(word)}"):
        changed, count = re.subn(pattern, "", call, count=1)
        if count:
            return changed
    return ""


def factors(workspace: Workspace, paper: Paper) -> Iterator[Decision]:
    """A factor in the code that neither configuration nor paper names."""
    for module in workspace.modules:
        if module.name in workspace.pictures:
            continue
        for function in module.functions():
            averages = {
                id(child)
                for line in ast.walk(function)
                if isinstance(line, ast.AugAssign)
                for child in ast.walk(line.value)
            }
            for node in ast.walk(function):
                if (
                    id(node) in averages
                    or not isinstance(node, ast.BinOp)
                    or not isinstance(node.op, ast.Mult | ast.Div | ast.Pow)
                ):
                    continue
                value, plain = literal(node.right), node.left
                if value is None and isinstance(node.op, ast.Mult):
                    value, plain = literal(node.left), node.right
                if (
                    value is None
                    or value in (0, 0.5, 1, 2, 3, 4, 8, 10, 100, -1, 1000)
                    or literal(plain) is not None
                    or paper.mentions(value)
                    or not 1e-4 < abs(value) < 1e6
                ):
                    continue
                if re.search(r"seed|beta|\*\*|moment", module.source(node)) or isinstance(node.op, ast.Pow):
                    continue
                yield decided("setting", "factor", 0.35, module, node, f"a factor {value:g} stands in {function.name}",
                              f"{module.source(plain)[:50]} is scaled by {value:g}, which neither configuration nor paper mentions.",
                              module.replaced(node, f"({module.source(plain)})"), paper)  # fmt: skip


def values_in(texts: Mapping[str, str]) -> Sequence[float]:
    """All plain numbers that stand in code and configuration, without signs."""
    found: set[float] = set()
    for name, text in texts.items():
        if name.endswith((".py", ".yaml", ".yml", ".json")):
            found |= {float(one) for one in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?:e-?\d+)?(?![\w.])", text)[:20_000]}
    return sorted(found)
