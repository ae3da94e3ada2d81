"""Rules over numbers: what the paper says against what configuration, code and stored results say, and what is
unusual."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

from cavesson.audit.auditors.evidence import Suspicion
from cavesson.audit.auditors.paper import Paper
from cavesson.audit.auditors.results import Results
from cavesson.audit.auditors.sources import Setting, Workspace

STEPS = re.compile(r"(^|_)(steps?|epochs?|iters?|iterations?|updates?|passes|rounds)($|_)|^n_(steps|epochs|iters)$")
RATE = re.compile(r"^(lr|learning_rate|step_size|eta)$|(^|_)lr($|_)|learning_rate")
DATA = re.compile(r"(^n$|^n_|_n$|num_|count|size|samples|train|examples|pool|claims|items|repeats)")
NOISE = re.compile(r"noise|corrupt|flip|jitter|dropout|drop(_|$)|sigma|mask_rate|subsample")
DECAY = re.compile(r"weight_decay|^wd$|^l2$|^l1$|ridge|penalty|regulari")

_USUAL: Mapping[str, tuple[float, float, float]] = {
    # name → lower and upper end of the usual range, and the most usual value
    r"(^|_)lr($|_)|learning_rate": (3e-4, 0.5, 0.01),
    r"momentum": (0.8, 0.99, 0.9),
    r"temperature": (0.5, 2.0, 1.0),
    r"weight_decay|^wd$": (0.0, 0.1, 0.0),
    r"dropout": (0.0, 0.5, 0.0),
    r"label_smoothing|smoothing": (0.0, 0.1, 0.0),
    r"(^|_)(epochs)": (5, 5000, 50),
    r"^((n|num|train|training|max)_)?(steps|iters|iterations)$": (100, 50_000, 1000),
    r"batch": (8, 2048, 64),
    r"clip": (0.5, 100.0, 5.0),
    r"(^|_)bins$": (5, 50, 10),
    r"beta1|^b1$": (0.8, 0.95, 0.9),
    r"beta2|^b2$": (0.95, 0.9999, 0.999),
}


def undocumented(workspace: Workspace, paper: Paper, results: Results) -> Iterator[Suspicion]:
    """A setting whose value the paper never mentions: an omission, or an unimportant detail."""
    for setting in workspace.settings:
        if not setting.configured or setting.value in (0, 1, 2) or paper.mentions(setting.value):
            continue
        if re.search(r"seed|offset|verbose|log|version|figure|plot|width|height|dpi", setting.name):
            continue
        decisive = any(pattern.search(setting.name) for pattern in (STEPS, RATE, NOISE, DECAY))
        yield Suspicion(
            "undocumented",
            0.9 if decisive else 0.5,
            f"{'.'.join(setting.path)} = {setting.value:g} is mentioned nowhere in the paper",
            f"The setting {'.'.join(setting.path)} has the value {setting.value:g}, which the paper does not state. "
            "If the finding "
            "depends on it, the paper omits a decisive choice.",
            (setting.place,),
            workspace.set({setting: toward_usual(setting)}),
        )


def unused(workspace: Workspace, paper: Paper, results: Results) -> Iterator[Suspicion]:
    """A key of the configuration that no code reads: the paper's value has no effect."""
    code = "\n".join(module.text for module in workspace.modules)
    splats = bool(re.search(r"\*\*\w*(cfg|conf|config|settings|params|args|hp|kw)", code, re.IGNORECASE))
    for setting in workspace.settings:
        name = next((part for part in reversed(setting.path) if not part.isdigit()), "")
        if setting.configured and name.isidentifier() and not re.search(rf"\b{re.escape(name)}\b", code):
            yield Suspicion(
                "unused",
                0.6 if splats else 1.0,
                f"{'.'.join(setting.path)} is configured but never read",
                f"No code reads the key {name!r}, so what runs is not what is configured: another value is in effect.",
                (setting.place,),
            )


def unequal(workspace: Workspace, paper: Paper, results: Results) -> Iterator[Suspicion]:
    """One name with several values in sections that should agree: the compared arms, or training and test."""
    groups: dict[str, list[Setting]] = defaultdict(list)
    for setting in workspace.settings:
        if setting.configured and setting.path and not setting.path[-1].isdigit():
            groups[setting.name].append(setting)
    for name, group in groups.items():
        for one in group:
            others = [other for other in group if other.value != one.value and other.file == one.file]
            for other in others[:3]:
                siblings = one.path[:-2] == other.path[:-2] and len(one.path) >= 2
                alike = _alike(workspace, one, other) if siblings else 0.0
                apart = abs(math.log(abs(one.value / other.value))) if one.value * other.value > 0 else 1.0
                yield Suspicion(
                    "unequal",
                    min(1.0, 0.3 + 0.5 * alike) * min(1.0, 0.3 + apart / 3),
                    f"{name} is {one.value:g} in {'.'.join(one.path[:-1])} but {other.value:g} in "
                    f"{'.'.join(other.path[:-1])}",
                    f"Two parts that are compared, or that should match, get different values of {name} "
                    f"({one.value:g} and {other.value:g}). "
                    "A difference between them may come from that alone, or a mismatch may hide an effect.",
                    (one.place, other.place),
                    workspace.set({one: other.value}),
                )


def _alike(workspace: Workspace, one: Setting, other: Setting) -> float:
    """How far two sections have the same keys, from 0 to 1."""
    keys = [
        {s.path[len(place) :] for s in workspace.settings if s.configured and s.path[: len(place)] == place}
        for place in (one.path[:-1], other.path[:-1])
    ]
    return len(keys[0] & keys[1]) / max(1, len(keys[0] | keys[1]))


def unusual(workspace: Workspace, paper: Paper, results: Results) -> Iterator[Suspicion]:
    """A hyper-parameter far from usual values."""
    for setting in workspace.settings:
        for pattern, (low, high, default) in _USUAL.items():
            if not re.search(pattern, setting.name) or setting.value < 0 or (setting.value == 0 and low > 0):
                continue
            off = (
                low / setting.value
                if 0 < setting.value < low
                else setting.value / high
                if setting.value > high > 0
                else 1
            )
            if off > 1:
                yield Suspicion(
                    "unusual",
                    min(1.0, 0.35 + math.log10(off) / 2),
                    f"{setting.name} = {setting.value:g} is unusual",
                    f"{'.'.join(setting.path)} is {setting.value:g}, outside what is usual ({low:g} to {high:g}); "
                    f"{default:g} is a common choice. "
                    "An extreme value can make or hide the effect.",
                    (setting.place,),
                    workspace.set({setting: default}),
                )


def short_training(workspace: Workspace, paper: Paper, results: Results) -> Iterator[Suspicion]:
    """Too few steps, or too small steps, for a fit that surely converges."""
    for rate in workspace.settings:
        if not RATE.search(rate.name) or rate.value <= 0:
            continue
        same = [s for s in workspace.settings if s.file == rate.file and s.path[:-1] == rate.path[:-1]]
        for steps in (s for s in same if STEPS.search(s.name) and s.value > 0 and "warm" not in s.name):
            total = rate.value * steps.value
            if rate.configured or total < 3:
                yield Suspicion(
                    "short_training",
                    min(1.0, max(0.05, 0.5 - 0.4 * math.log10(total))),
                    f"{'.'.join(rate.path[:-1]) or rate.file} is trained for {steps.value:g} steps of {rate.value:g}",
                    f"With {steps.value:g} steps of size {rate.value:g} the fit may stop far from convergence, near "
                    "its starting point or in a simpler "
                    "solution; what is reported would then be a property of the short training.",
                    (rate.place, steps.place),
                    workspace.set({rate: rate.value * 10, steps: steps.value * 4}),
                )


def hidden_default(workspace: Workspace, paper: Paper, results: Results) -> Iterator[Suspicion]:
    """A number that takes effect because no configuration has its key: `cfg.get("noise", 0.3)`, unknown to the
    paper."""
    configured = {part for setting in workspace.settings if setting.configured for part in setting.path}
    for module in workspace.modules:
        for match in re.finditer(r"""\.get\(\s*["'](\w+)["']\s*,\s*(-?[\d.e-]+)\s*\)""", module.text):
            name, value = match.group(1), _float(match.group(2))
            if name in configured or value in (None, 0.0) or paper.mentions(value or 0.0):
                continue
            line = module.text[: match.start()].count("\n") + 1
            changed = module.text[: match.start(2)] + "0" + module.text[match.end(2) :]
            yield Suspicion(
                "hidden_default",
                0.9,
                f"{name} falls back to {value:g}",
                f"No configuration has the key {name!r}, so the default {value:g} in the code is in effect, and the "
                "paper does not mention it.",
                (f"{module.name}:{line}",),
                {module.name: changed},
            )


def unknown_number(workspace: Workspace, paper: Paper, results: Results) -> Iterator[Suspicion]:
    """A number of the paper's method that neither configuration nor code nor results have."""
    known = {
        abs(float(text))
        for name, content in workspace.texts.items()
        if name.endswith((".py", ".yaml", ".yml", ".json"))
        for text in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?:e-?\d+)?", content)[:20_000]
        if _float(text) is not None
    }
    missing = [
        one
        for one in paper.method
        if not one.spread
        and abs(one.value) > 2
        and not any(_near(abs(one.value), value) for value in (*known, *(100 * k for k in known)))
    ]
    if missing:
        first = ", ".join(f"{one.value:g} (line {one.line})" for one in missing[:4])
        yield Suspicion(
            "unknown_number",
            min(1.0, len(missing) / 4),
            f"the method names numbers that the code does not have: {first}",
            "The paper describes the set-up with numbers that occur in no configuration, code or result: it may "
            "describe something else than what ran.",
            tuple(f"PAPER.md:{one.line}" for one in missing[:4]),
        )


def unsupported(workspace: Workspace, paper: Paper, results: Results) -> Iterator[Suspicion]:
    """Numbers of the Conclusion or the tables that the stored results do not have: the Conclusion does not follow from
    the results."""
    if not results.stored:
        return
    values = [
        *results.means.values(),
        *results.spreads.values(),
        *(v for run in results.stored.values() for v in run.values()),
    ]
    for rule, numbers in (("unsupported", paper.conclusion), ("unsupported_table", paper.tables)):
        decimals = [one for one in numbers if one.decimals or one.percent]
        missing = [one for one in decimals if not any(one.is_about(value) for value in values)]
        if missing:
            yield Suspicion(
                rule,
                len(missing) / len(decimals),
                f"{len(missing)} of {len(decimals)} numbers of the paper are not in the stored results",
                "The paper states results that are not those stored beside it.",
                tuple(f"PAPER.md:{one.line}" for one in missing[:4]),
            )


def contradicted(workspace: Workspace, paper: Paper, results: Results) -> Iterator[Suspicion]:
    """The paper's sentence on a setting has another number than the setting: `learning rate 0.1` against 0.002."""
    lines = paper.text.split("\n")
    for setting in workspace.settings:
        words = setting.name.replace("_", " ").replace("-", " ")
        if not setting.configured or len(words) < 5 or paper.mentions(setting.value):
            continue
        for at, line in enumerate(lines, start=1):
            match = re.search(
                rf"{re.escape(words)}s?\s+(?:of\s+|is\s+|=\s*|:\s*)?(\d+(?:\.\d+)?)\b(?!\s*%)", line, re.IGNORECASE
            )
            said = _float(match.group(1)) if match else None
            if said is not None and not _near(said, setting.value):
                yield Suspicion(
                    "contradicted",
                    1.0,
                    f"the paper says {words} {said:g}, the code runs {setting.value:g}",
                    f"PAPER.md states a {words} of {said:g}, but {'.'.join(setting.path)} is {setting.value:g}: "
                    "what ran is not what is described.",
                    (setting.place, f"PAPER.md:{at}"),
                    workspace.set({setting: said}),
                )


def toward_usual(setting: Setting) -> float:
    """A value that one might rather expect: zero for a noise or a penalty, more for data, training and everything
    else."""
    if NOISE.search(setting.name) or DECAY.search(setting.name):
        return setting.value / 10
    return setting.value * 4 if isinstance(setting.value, int) else 1.0 if 0 < setting.value < 1 else setting.value * 3


def _near(one: float, two: float) -> bool:
    return abs(one - two) <= 1e-6 * max(1.0, abs(one))


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
