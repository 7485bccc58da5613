"""Reports as an earlier service wrote them."""

import json
from pathlib import Path

import pytest

from gauntlet.report.columns import attacked_accuracies
from gauntlet.report.report import Report
from gauntlet.report.version_1 import row_of_version_1

RECORDS = Path(__file__).parents[3] / "benchmarks"
_NOT_UNDER_ATTACK = {"natural_accuracy", "train_accuracy", "generalisation_gap"}


@pytest.mark.parametrize(
    ("record", "headline", "lines"),
    [("reproduction/results/gpu", "worst_case@8/255", 6), ("rewards/digits", "worst_case@32/255", 39)],
)
def test_a_report_of_version_1_is_read(record: str, headline: str, lines: int) -> None:
    """Its rows keep what they said, and have every attack; what follows from them is derived anew."""
    document = json.loads((RECORDS / record / "report.json").read_text())
    assert document["version"] == 1
    report = Report.model_validate(document)
    assert (report.version, report.headline, len(report.rows)) == (2, headline, lines)
    budget = headline.partition("@")[2]
    for row, before in zip(report.rows, document["rows"], strict=True):
        assert row.accuracies[f"fgsm@{budget}"] == before["fgsm_accuracy"]
        assert row.accuracies[f"autoattack@{budget}"] == before["autoattack_accuracy"]
        kept = {name: tuple(found) for name, found in before["intervals"].items() if name in _NOT_UNDER_ATTACK}
        attacked = {key: each.interval for key, each in attacked_accuracies(row.outcome).items()}
        assert row.intervals == kept | attacked
        assert row.intervals[f"fgsm@{budget}"] == tuple(before["intervals"]["fgsm_accuracy"])
        assert row.masking == before["outcome"]["masking"]["verdict"]
        assert any(doubt.kind == "masked_gradients" for doubt in row.doubts) == (row.masking == "SUSPECT")
        assert (row.generalisation_gap, row.objective) == (before["generalisation_gap"], before["objective"])
    assert report.warnings == tuple(document["warnings"])
    assert report.objectives[0] == "cross_entropy"
    assert len(report.objectives) == len(report.spec.objectives)
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_a_row_that_was_never_looked_at_for_masked_gradients_has_no_verdict() -> None:
    """Neither does it doubt them."""
    row = json.loads((RECORDS / "rewards/digits/report.json").read_text())["rows"][0]
    found = row_of_version_1(row | {"outcome": row["outcome"] | {"masking": None}})
    assert (found.masking, found.doubts) == (None, ())
