"""Margins of the natural images, as a reader meets them."""

from collections.abc import Callable

import pytest

from gauntlet.rendering.html import to_html
from gauntlet.rendering.markdown import to_markdown
from gauntlet.report.report import Report
from gauntlet.results.margins import ImageMargin, margin_outcome
from tests.reports import made_up


def with_margins(report: Report) -> Report:
    """The same, whose first row's images have margins: two right ones and a wrong one."""
    first, *others = report.rows
    attacks = [found.attack for found in first.outcome.attacks]
    margins = [
        ImageMargin(0.5, 0.5, 1.0, 255.0, 4.0),
        ImageMargin(0.9, 0.9, 4.0, 51.0, 2.0),
        ImageMargin(0.05, 0.7, -2.0, 80.0, 3.0),
    ]
    outcome = first.outcome.model_copy(update={"margins": margin_outcome(margins, 10, attacks)})
    return report.model_copy(update={"rows": (first.model_copy(update={"outcome": outcome}), *others)})


@pytest.mark.parametrize("render", [to_markdown, to_html])
def test_a_report_says_how_sure_how_far_and_how_steep(render: Callable[[Report], str]) -> None:
    """Confidence 70 %, a third given up; margins 1 and 4, slopes 1 and 0.2, distances of 1 and 20 levels."""
    report = made_up()
    assert "How sure" not in render(report)
    text = render(with_margins(report))
    for said in ("How sure, how far, how steep", "70.0", "48.3", "33.3", "1 to 4", "0.2 to 1", "1 to 20"):
        assert said in text
