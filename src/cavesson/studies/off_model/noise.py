"""H3: the student moved as far as SFT moved it in other directions; which moves there are, and what they are compared on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from cavesson.findings.views import CurveView, SeriesView, TableView
from cavesson.sampling.matched_noise import FARTHEST, is_match
from cavesson.stats import Estimate, difference_over_seeds, mean_over_seeds

if TYPE_CHECKING:
    from cavesson.studies.off_model.results import OffModelResults

Shape = Literal["noise", "noise of SFT's spectrum", "shuffled SFT"]


class Noise(NamedTuple):
    """One move of the weights, of the kinds of `cavesson.sampling.matched_noise.NoisedLike`.

    Attributes:
        shape: Gaussian noise; moves of the singular values of SFT in random directions; or the way that SFT on the same
            answers with all their words shuffled goes.
        match: whether it is as long as SFT's, tensor by tensor, or costs as much loss on own chat answers.
        times: how much longer it is made.
    """

    shape: Shape
    match: Literal["distance", "loss"]
    times: float = 1.0

    def __str__(self) -> str:
        longer = "" if self.times == 1 else f", {self.times:g} times as far"
        return f"{self.shape}, same {self.match}{longer}"


SHAPES: tuple[Shape, ...] = ("noise", "noise of SFT's spectrum", "shuffled SFT")

MATCHED = tuple(Noise(shape, match) for shape in SHAPES for match in ("distance", "loss"))  # type: ignore[arg-type]
"""The moves that hypothesis H3 is judged by."""

NOISES = (*MATCHED, *(Noise(shape, "distance", times) for shape in SHAPES[:2] for times in (2.0, 4.0, 8.0)))
"""All moves: beside them, how the benchmarks fall along two random directions."""


def noise_gap(results: OffModelResults, noise: Noise) -> Estimate | None:
    """Accuracy after that move minus after the SFT that it is matched to; None if it was not run, or there is no match."""
    tables, plain = results.noise.get(noise), results.plain
    if not tables or plain is None or unmatched(results, noise) is not None:
        return None
    moved = np.stack([scores.array(results.reasoning) for scores in tables])
    return difference_over_seeds(moved, plain.array(results.reasoning, plain.last))


def unmatched(results: OffModelResults, noise: Noise) -> str | None:
    """Why no length of that move costs as much loss on own chat answers as SFT did, in some seed; None if in all one does."""
    scale = next((one for one in results.scales.get(noise, ()) if not is_match(one)), None)
    if scale is None:
        return None
    if scale == 0:
        return "SFT did not raise the loss on own chat answers, so that noise of the same loss is none"
    return f"even {FARTHEST:g} times as far it does not cost as much loss on own chat answers as SFT"


def table(results: OffModelResults) -> Iterator[TableView]:
    """Every benchmark after each matched move, beside SFT."""
    plain = results.plain
    if not results.noise or plain is None:
        return
    labels = results.cells[0].scores[0].evals
    rows: list[list[Estimate | str | None]] = [
        [f"SFT on {plain.teacher}", "1", *(plain.rate(label, plain.last) for label in labels)]
    ]
    for noise in (one for one in MATCHED if one in results.noise):
        rates = (_rate(results, noise, label) for label in labels)
        rows.append([str(noise), _times(results, noise), *rates])
    yield TableView(
        title="Weight noise matched to SFT",
        caption=(
            "Moves as far, tensor by tensor, as SFT moved the student, or scaled until the loss on the student's own chat answers "
            "is what SFT made of it: Gaussian noise on every weight; moves of the singular values of SFT's own with random "
            "singular vectors; and the way that SFT goes when the words of all answers are shuffled. Distance: in those of SFT; "
            "of moves matched by loss, of each seed."
        ),
        columns=["weights", "distance", *labels],
        rows=rows,
        shade="good",
    )


def _times(results: OffModelResults, noise: Noise) -> str:
    """How far the move goes, or that it matches nothing."""
    scales = results.scales.get(noise, (noise.times,))
    return " / ".join(f"{one:.2g}" if is_match(one) else "no match" for one in scales)


def curves(results: OffModelResults) -> Iterator[CurveView]:
    """The benchmarks along each random direction: whether any distance of noise looks like SFT."""
    plain = results.plain
    if plain is None:
        return
    for shape in SHAPES:
        times = [one.times for one in results.noise if one.shape == shape and one.match == "distance"]
        if len(times) < 2:
            continue
        yield CurveView(
            title=f"Along a random direction ({shape}) from {plain.student}",
            caption=f"Distance 1 is that of SFT on {plain.teacher}; at 0 stands the untouched student.",
            x_label="distance, in those of SFT",
            y_label="accuracy",
            series=[
                SeriesView(
                    name=label,
                    x=[0.0, *times],
                    rates=[
                        plain.rate(label, 0),
                        *(_rate(results, Noise(shape, "distance", one), label) for one in times),
                    ],
                )
                for label in plain.scores[0].evals
            ],
        )


def _rate(results: OffModelResults, noise: Noise, label: str) -> Estimate:
    return mean_over_seeds([scores.array(label) for scores in results.noise[noise]])
