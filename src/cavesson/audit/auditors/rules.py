"""The rules that need no execution, with the weight that each deserves before any case is seen (log odds at full
strength)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from cavesson.audit.auditors import rules_data as data
from cavesson.audit.auditors import rules_metrics as metrics
from cavesson.audit.auditors import rules_settings as settings
from cavesson.audit.auditors.evidence import Suspicion
from cavesson.audit.auditors.paper import Paper
from cavesson.audit.auditors.results import Results
from cavesson.audit.auditors.sources import Workspace

Rule = Callable[[Workspace, Paper, Results], Iterator[Suspicion]]

RULES: tuple[Rule, ...] = (
    *(settings.undocumented, settings.unused, settings.unequal, settings.unusual, settings.short_training),
    *(settings.hidden_default, settings.unknown_number, settings.unsupported, settings.contradicted),
    *(data.test_in_training, data.same_generator, data.shared_draw, data.filtered, data.labels),
    *(data.whole_normalised, data.unused_argument),
    *(metrics.folded, metrics.denominator, metrics.swapped_arguments, metrics.asymmetric, metrics.shared_state),
    *(metrics.scaled, metrics.arm_order),
)

WEIGHTS: Mapping[str, float] = {
    "undocumented": 0.4, "unused": 0.6, "unequal": 0.5, "unusual": 0.7, "short_training": 0.6, "hidden_default": 0.8,
    "unknown_number": 0.3, "unsupported": 0.8, "unsupported_table": 0.5, "contradicted": 1.2,
    "test_in_training": 1.0, "test_in_selection": 1.0, "fixed_seed": 0.3, "same_generator": 0.3, "shared_draw": 0.5,
    "filtered": 0.5, "sliced": 0.3, "labels": 0.7, "whole_normalised": 0.7, "unused_argument": 0.5, "unused_value": 0.2,
    "folded": 1.2, "bounded": 0.3, "denominator": 0.6, "axis": 0.4, "swapped_arguments": 1.5, "asymmetric": 0.7,
    "shared_state": 0.5, "scaled": 0.4, "arm_order": 0.0,
}  # fmt: skip


def suspicions(workspace: Workspace, paper: Paper, results: Results) -> list[Suspicion]:
    """The suspicions of all rules against a workspace."""
    return [found for rule in RULES for found in rule(workspace, paper, results)]
