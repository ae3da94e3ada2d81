"""What else decides transfer: the study's training with one thing changed at a time, batch, adapter, optimizer, size or labels.

A change is an entry of a list in the config. Each is run with its own controls, as a dose that does damage moves more by itself.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from cavesson.findings.views import TableView
from cavesson.lab.recipe import Value
from cavesson.studies.fields import ModelName, TrainableName
from cavesson.studies.grid import Measured, Place
from cavesson.studies.sample import Sample
from cavesson.studies.shown import table
from cavesson.studies.transfer_readings import (
    AGREED,
    STRICT,
    beyond_controls,
    lost,
    phase,
    rose,
    runs_that,
    share_of,
)

AXES = "axes"
"""The part of the study that changes one thing at a time."""

AS_IS = "nothing"
"""The change beside which the others stand."""


class Change(Value):
    """What is changed of the study; what is left out stays as it is.

    Attributes:
        model: before anything is put in.
        teacher: who writes the plain answers on which blue trains; if it is the study's own model, the labels are its own.
        red, blue: settings of these phases; those of red hold for `thinking` as well. Of several learning rates the highest is run.
    """

    model: TrainableName | None = None
    teacher: ModelName | None = None
    red: dict[str, Any] = {}
    blue: dict[str, Any] = {}

    @property
    def parts(self) -> dict[str, Any]:
        """What is changed, by part of the study."""
        return {name: told for name in type(self).model_fields if (told := getattr(self, name))}


def one_at_a_time(m: Measured) -> TableView | None:
    """The rise of the alternate behaviour under each change, and how far it is from the rise without it."""
    found = phase(m, AXES).where(train=AGREED)
    return table(
        "One change at a time",
        "At the highest rate and last step. Rise: of the alternate behaviour on evaluation prompts. Beyond the controls: less the larger "
        "rise under own outputs and neutral data, with the same change. Changed: the rise minus that without the change, seed by seed "
        "and prompt by prompt. Rates of other optimizers and of adapters are not comparable.",
        {(place["setting"], place["change"], f"{place['lr']:g}"): place for place in found},
        {
            "rise": rose,
            "beyond the controls": lambda place: beyond_controls(m, place),
            "changed": partial(_changed, found),
            "strict": lambda place: share_of(runs_that(m, [place], STRICT)),
            "ability lost": lost,
        },
        first=("setting", "change", "rate"),
    )


def _changed(found: Measured, place: Place) -> Sample | None:
    if place["change"] == AS_IS:
        return None
    return rose(place) - rose(found.only(setting=place["setting"], change=AS_IS))
