"""The verdict on masked gradients, as a reader meets it."""

from collections.abc import Callable

import pytest

from gauntlet.rendering.html import to_html
from gauntlet.rendering.markdown import to_markdown
from gauntlet.report.report import Report
from tests.reports import made_up


@pytest.mark.parametrize("render", [to_markdown, to_html])
def test_the_verdict_stands_with_its_checks(render: Callable[[Report], str]) -> None:
    """Every check has its line with result and sentence; an experiment that did not ask has no such section."""
    report = made_up({"evaluation": {"masking": {"samples": 100}}})
    text = render(report)
    masking = report.rows[0].outcome.masking
    assert masking is not None
    assert "Masked gradients" in text
    assert "not measured" in text
    assert masking.verdict in text
    (zero,) = (check for check in masking.checks if check.name == "zero_gradient")
    assert zero.sentence.split("'")[0][:40] in text
    assert "Masked gradients" not in render(made_up())
