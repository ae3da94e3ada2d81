"""The evidence card of one intervention, as plain data: what five approaches found, beside their controls, and what that is worth."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from cavesson.findings.views import Figure, TableView, Text, View

ApproachId = Literal["production", "malign inits", "rigged", "analogies", "argument"]
Level = Literal["low", "middling", "high"]
Ruling = Literal["works", "does not work", "undecided", "not run"]
Passed = Literal["passes", "fails", "undecided", "not run"]


class Rating(View):
    """How much of something an approach has, and why."""

    level: Level
    why: Text


class ApproachView(View):
    """What one of the five approaches found.

    Attributes:
        measured: what the figure measures.
        figure: comparable between approaches: the share of what is bad that the intervention takes away.
        verdict, reason: what the interval says, and the sentence.
        seeds: repetitions behind the figure.
        conservativeness: whether a good result here is hard to get for a bad intervention.
        realism: how much like the case that matters this is.
        loopholes: ways to look good here that mean nothing.
        would_change: what would change the verdict.
        minutes: work on one core for everything that the approach needs; None: not known.
        runs: trainings and scorings behind it.
        unscored: share of the answers that no scorer could read, and of wrong answers to benchmarks that ran out of room.
        figures: further figures by name, to which an argument may point; `over_benign` is the figure minus that of benign training of
            equal size.
        tables: what stands behind the figure.
    """

    id: ApproachId
    title: Text
    measured: Text
    figure: Figure | None = None
    verdict: Ruling = "not run"
    reason: Text = ""
    seeds: int = 0
    conservativeness: Rating
    realism: Rating
    loopholes: list[Text] = []
    would_change: Text = ""
    minutes: float | None = Field(default=None, ge=0)
    runs: int = Field(default=0, ge=0)
    unscored: Figure | None = None
    figures: dict[str, Figure] = {}
    tables: list[TableView] = []

    @property
    def over_benign(self) -> Figure | None:
        """The figure minus that of benign training of equal size; None: not known."""
        return self.figures.get("over_benign")


class ControlView(View):
    """One control of the bundle.

    Attributes:
        figure: the share of the bad behaviour that is gone under it.
        gap: the intervention's minus the control's; None: not comparable.
        lacking: why there is none; empty: there is one. A card that lacks a control is incomplete.
    """

    name: Text
    about: Text
    figure: Figure | None = None
    gap: Figure | None = None
    lacking: Text = ""


class DiagnosticView(View):
    """One of the four diagnostics of Acceptance Cards."""

    name: Text
    asks: Text
    verdict: Passed
    figure: Figure | None = None
    reason: Text


class ScorerView(View):
    """A scorer's answers to planted texts.

    Attributes:
        scorer: its label.
        rated: kind of planted answer → whether the scorer rated it rightly; None: there is no such answer for this scorer.
    """

    scorer: Text
    rated: dict[str, bool | None]

    @property
    def sound(self) -> bool:
        """Whether nothing was rated wrongly."""
        return False not in self.rated.values()


class CardView(View):
    """The evidence card.

    Attributes:
        intervention, about: its name, and what it is.
        verdict: the finding in sentences, the most important first.
        lacking: why the card is incomplete, each reason in a sentence; []: it is complete.
        fate: what innocuous training afterwards says: removed, suppressed, …
        epsilon: the share of the capability that may be lost.
        argument: the tree of the structured argument; None: there is none.
        cautions: what a reader must know.
    """

    intervention: Text
    about: Text
    verdict: list[Text] = Field(min_length=1)
    lacking: list[Text] = []
    fate: Text = ""
    epsilon: float
    approaches: list[ApproachView]
    controls: list[ControlView]
    diagnostics: list[DiagnosticView]
    scorers: list[ScorerView]
    argument: dict[str, Any] | None = None
    cautions: list[Text] = []

    @property
    def complete(self) -> bool:
        """Whether nothing is lacking."""
        return not self.lacking

    def approach(self, name: str) -> ApproachView:
        """One of the approaches.

        Raises:
            KeyError: there is none of this name.
        """
        return {one.id: one for one in self.approaches}[name]  # type: ignore[index]
