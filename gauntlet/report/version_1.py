"""Reports as they were before November 2026: two attacks had a field of their own, without a budget.

What such a report derived from its rows and curves is derived anew; what was measured stays as it is.
"""

from collections.abc import Mapping
from typing import Any

from gauntlet.report.columns import attacked_accuracies
from gauntlet.report.report_row import ReportRow
from gauntlet.results.doubts import doubts
from gauntlet.results.outcome import EvaluationOutcome

_ATTACKS = ("fgsm_accuracy", "autoattack_accuracy")


def row_of_version_1(row: Mapping[str, Any]) -> ReportRow:
    """The row with every attack; doubts are of its evaluation, those of training stand in the report's warnings."""
    outcome = EvaluationOutcome.model_validate(row["outcome"])
    attacked = attacked_accuracies(outcome)
    intervals = {name: found for name, found in row["intervals"].items() if name not in _ATTACKS}
    return ReportRow.model_validate(
        {name: value for name, value in row.items() if name not in _ATTACKS}
        | {
            "accuracies": {key: accuracy.value for key, accuracy in attacked.items()},
            "intervals": intervals | {key: accuracy.interval for key, accuracy in attacked.items()},
            "masking": outcome.masking.verdict if outcome.masking else None,
            "doubts": doubts(outcome.findings, outcome.masking),
            "outcome": outcome,
        }
    )
