"""Accuracy on corrupted images, as a reader meets it."""

import csv
from collections.abc import Callable

import pytest

from gauntlet.rendering.csv import to_csv
from gauntlet.rendering.html import to_html
from gauntlet.rendering.latex import to_latex
from gauntlet.rendering.markdown import to_markdown
from gauntlet.report.report import Report
from tests.reports import made_up

ASKED = {"evaluation": {"corruptions": {"kinds": ["fog", "contrast"], "severities": [1, 3]}}}


@pytest.mark.parametrize("render", [to_markdown, to_html, to_latex])
def test_every_rendering_has_kinds_severities_and_mean(render: Callable[[Report], str]) -> None:
    """With whose strengths and what is missing; an experiment that did not ask has no such table."""
    report = made_up(ASKED)
    found = report.rows[0].outcome.corruptions
    assert found is not None
    text = render(report)
    for said in (
        f"{100 * found.mean.value:.1f}",
        "fog",
        "contrast",
        "CIFAR-10-C",
        "Motion blur, snow and frost",
    ):
        assert said in text.replace("&#39;", "'")
    assert "Motion blur" not in render(made_up())


def test_the_csv_has_a_line_for_each_and_one_for_the_mean() -> None:
    """With the interval, the protocol and the fingerprint of each number."""
    report = made_up(ASKED)
    found = report.rows[0].outcome.corruptions
    assert found is not None
    lines = [line for line in csv.DictReader(to_csv(report).splitlines()) if line["checkpoint"] == "ckpt_0"]
    corrupted = {line["attack"]: line for line in lines if line["attack"].startswith("cifar10-c")}
    assert list(corrupted) == [
        *(f"cifar10-c {kind} {severity}" for kind in ("fog", "contrast") for severity in (1, 3)),
        "cifar10-c mean",
    ]
    mean = corrupted["cifar10-c mean"]
    assert float(mean["accuracy"]) == found.mean.value
    assert (float(mean["low"]), float(mean["high"])) == found.mean.interval
    assert (mean["protocol"], mean["fingerprint"]) == (found.protocol.id, found.fingerprint)
