"""Paper, code and results side by side: every quantity and procedure that the paper states, that the code has, and that
the stored results have. Where they differ, the paper describes something else than what ran."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from cavesson.audit.auditors.conclusion import Conclusion
from cavesson.audit.auditors.decision import Decision
from cavesson.audit.auditors.numbers import IDLE, chosen, values_in
from cavesson.audit.auditors.paper import Paper
from cavesson.audit.auditors.results import Results
from cavesson.audit.auditors.sources import Setting, Workspace
from cavesson.audit.auditors.textbook import PROCEDURES

Status = Literal["agrees", "differs", "code only", "paper only"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table.

    Attributes:
        what: `learning_rate`, `dropout`, `a number of the method`.
        paper: what the paper says of it, with the line.
        code: what the code has, with the place.
        status: whether the two agree.
        setting: the setting, if it is one.
        said: the number that the paper gives in its place, if one.
    """

    what: str
    paper: str
    code: str
    status: Status
    setting: Setting | None = None
    said: float | None = None

    def __str__(self) -> str:
        return f"{self.status:10}  {self.what:32}  paper: {self.paper or '-':40}  code: {self.code or '-'}"


def alignment(workspace: Workspace, paper: Paper, results: Results) -> tuple[Line, ...]:
    """The table of paper, code and results: settings, numbers that only the paper has, procedures, results."""
    return (
        *_settings(workspace, paper),
        *_paper_only(workspace, paper, results),
        *_procedures(workspace, paper),
        *_results(paper, results),
    )


def _settings(workspace: Workspace, paper: Paper) -> Iterator[Line]:
    for setting in chosen(workspace):
        if (
            setting.path[-1].isdigit()
            or IDLE.search(setting.name)
            or (not setting.configured and setting.value in (0, 1, 2, -1))
        ):
            continue
        shown, place = f"{setting.value:g}", setting.place
        near = _near_name(setting, paper)
        if paper.mentions(setting.value):
            yield Line(".".join(setting.path), shown, f"{shown} ({place})", "agrees", setting)
        elif near is not None:
            yield Line(
                ".".join(setting.path),
                f"{near[0]:g} (line {near[1]})",
                f"{shown} ({place})",
                "differs",
                setting,
                near[0],
            )
        else:
            yield Line(".".join(setting.path), "", f"{shown} ({place})", "code only", setting)


def _near_name(setting: Setting, paper: Paper) -> tuple[float, int] | None:
    """The number that the paper gives right beside the whole name of a setting, with its line."""
    words = setting.name.replace("-", "_").split("_")
    if len(setting.name) < 5 or setting.value in (0, 1):
        return None
    name = r"[\s_-]+".join(re.escape(word) for word in words)
    for at, sentence in paper.sentences:
        lowered = sentence.lower()
        for match in re.finditer(
            rf"\b{name}s?\b\s+(?:of\s+|is\s+|was\s+|=\s*|:\s*|to\s+)?`?(\d+(?:\.\d+)?(?:e-?\d+)?)\b(?!\s*%)|\b(\d+(?:\.\d+)?)\s+(?:\w+\s+)?{name}s?\b",
            lowered,
        ):
            value = float(match.group(1) or match.group(2))
            if value not in (0.0, 1.0):
                return value, at
    return None


def _paper_only(workspace: Workspace, paper: Paper, results: Results) -> Iterator[Line]:
    known = values_in(workspace.texts)
    reported = [*results.means.values(), *results.spreads.values()]
    for one in paper.method:
        value = abs(one.value)
        if one.spread or value <= 2 or any(_same(value, other) or _same(value, 100 * other) for other in known):
            continue
        if any(_same(value, a * b) for a in known[:80] for b in (2, 3, 4, 5, 10, 100)) or any(
            one.is_about(other) for other in reported
        ):
            continue
        yield Line("a number of the method", f"{one.value:g} (line {one.line})", "", "paper only")


def _procedures(workspace: Workspace, paper: Paper) -> Iterator[Line]:
    text = paper.text.lower()
    code = "\n".join(module.text for module in workspace.modules)
    code = re.sub(r'"""(?:.|\n)*?"""|#.*', "", code).lower()
    config = "\n".join(workspace.texts[name] for name in workspace.configs).lower()
    for procedure in PROCEDURES:
        said, done = procedure.stated.search(text), procedure.done.search(code) or procedure.done.search(config)
        if said or done:
            status: Status = "agrees" if said and done else "paper only" if said else "code only"
            yield Line(procedure.name, said.group() if said else "", done.group().strip() if done else "", status)


def _results(paper: Paper, results: Results) -> Iterator[Line]:
    if not results.stored:
        return
    values = [
        *results.means.values(),
        *results.spreads.values(),
        *(v for run in results.stored.values() for v in run.values()),
    ]
    for what, numbers in (("a number of the Conclusion", paper.conclusion), ("a number of a table", paper.tables)):
        for one in numbers:
            if (one.decimals or one.percent) and not any(one.is_about(value) for value in values):
                yield Line(what, f"{one.value:g} (line {one.line})", "no stored result", "paper only")


def _same(one: float, two: float) -> bool:
    return abs(one - two) <= 1e-6 * max(1.0, abs(one))


def misaligned(lines: tuple[Line, ...], workspace: Workspace, conclusion: Conclusion) -> Iterator[Decision]:
    """The lines that differ, as decisions; a stated value is the alternative."""
    for line in lines:
        if line.status == "differs" and line.setting is not None and line.said is not None:
            yield Decision("mistake", "contradicted", 0.7, f"the paper says {line.what} {line.said:g}, the code {line.setting.value:g}",
                           f"PAPER.md states {line.paper}, and {line.code} ran: what ran is not what is described.",
                           (line.setting.place,), workspace.set({line.setting: line.said}), 0.0)  # fmt: skip
        elif line.status == "code only" and line.setting is None:
            yield Decision(
                "step",
                "unstated_procedure",
                0.25,
                f"the paper does not mention {line.what}",
                f"The code has {line.code!r}; the paper does not speak of {line.what}.",
            )
        elif line.status == "paper only" and line.what in {one.name for one in PROCEDURES}:
            yield Decision(
                "step",
                "missing_procedure",
                0.3,
                f"no code for {line.what}",
                f"The paper says {line.paper!r}; no code of {line.what} is found.",
            )
    if conclusion.lost:
        yield Decision("mistake", "unsupported", min(0.8, 0.2 * len(conclusion.lost)), f"{len(conclusion.lost)} numbers of the Conclusion are in no stored result",
                       "The Conclusion has numbers that do not follow from the stored results.", tuple(f"PAPER.md:{one.line}" for one in conclusion.lost[:4]))  # fmt: skip


def shares(lines: tuple[Line, ...]) -> dict[str, float]:
    """How far the three agree, as shares: settings that the paper does not state, procedures on one side only, numbers of
    the paper without a result."""
    settings = [line for line in lines if line.setting is not None and line.setting.configured]
    procedures = [line for line in lines if line.what in {one.name for one in PROCEDURES}]
    lost = [line for line in lines if line.code == "no stored result"]
    return {
        "unstated": sum(line.status == "code only" for line in settings) / max(4, len(settings)),
        "one_sided": sum(line.status != "agrees" for line in procedures) / max(4, len(procedures)),
        "without_result": min(1.0, len(lost) / 10),
    }
