"""Sabotage operators: small functions that find, in any codebase, places where one change could turn a finding.

An operator knows Python and the habits of research code (names such as `train`, `test`, `seed`, `decay`), but no
codebase: a run decides whether a change matters. So mutants of one codebase are fair to auditors that were developed on
other codebases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from cavesson.audit.red.operators import analysis, data, evaluation, training
from cavesson.audit.red.source import Mutation, TextFile

Area = Literal["data", "training", "evaluation", "analysis"]

Find = Callable[[TextFile], Iterator[Mutation]]


@dataclass(frozen=True, slots=True)
class Operator:
    """A way to sabotage.

    Attributes:
        area: part of the study.
        about: what the change does, to be read after "the change".
        find: yields the places in one file.
    """

    area: Area
    about: str
    find: Find


OPERATORS: dict[str, Operator] = {
    "leak-test": Operator("data", "uses held-out data where training data belong", data.leak_test),
    "test-on-train": Operator("data", "uses training data where held-out data belong", data.test_on_train),
    "share-seed": Operator("data", "gives two random streams that must differ the same seed", data.share_seed),
    "own-seed": Operator("data", "gives a random stream that must be shared a seed of its own", data.own_seed),
    "fewer-distinct": Operator("data", "draws from a fraction of the pool, so that rows repeat", data.fewer_distinct),
    "shift-labels": Operator("data", "breaks the pairing of inputs and labels in one place", data.shift_labels),
    "less-data": Operator("data", "shrinks a data set by a factor", data.less_data),
    "scale-setting": Operator("training", "changes a hyper-parameter by a factor", training.scale_setting),
    "no-regulariser": Operator("training", "sets a regulariser to zero", training.no_regulariser),
    "drop-term": Operator("training", "drops a term of a sum", training.drop_term),
    "short-training": Operator("training", "cuts a loop short", training.short_training),
    "stale-state": Operator("training", "takes the first state where the last belongs, or the reverse", training.stale),
    "share-object": Operator("training", "shares an object that each arm must make for itself", training.share_object),
    "hoist": Operator("training", "makes once, before a loop, what each round must make anew", training.hoist),
    "sink": Operator("training", "makes anew in each round what all rounds must share", training.sink),
    "ignore-condition": Operator("training", "treats both sides of a condition alike", training.ignore_condition),
    "drop-argument": Operator(
        "training", "does not pass a setting on, so that a default applies", training.drop_argument
    ),
    "filter-subset": Operator("evaluation", "evaluates on a part of the cases only", evaluation.filter_subset),
    "invert-comparison": Operator("evaluation", "turns a comparison round", evaluation.invert_comparison),
    "wrong-choice": Operator("evaluation", "picks the other end of a ranking", evaluation.wrong_choice),
    "swap-arms": Operator("evaluation", "swaps two of the compared arms behind their labels", evaluation.swap_arms),
    "swap-names": Operator("evaluation", "swaps two values that are unpacked together", evaluation.swap_names),
    "wrong-axis": Operator("analysis", "reduces along another axis", analysis.wrong_axis),
    "wrong-denominator": Operator("analysis", "drops or exchanges a denominator", analysis.wrong_denominator),
    "other-aggregate": Operator("analysis", "aggregates in another way", analysis.other_aggregate),
    "clip-metric": Operator("analysis", "clips, folds or rounds a metric", analysis.clip_metric),
}
"""Operators by name. No operator was written for a given codebase; execution decides."""
