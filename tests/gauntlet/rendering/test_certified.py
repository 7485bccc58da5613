"""Certified accuracy, as a reader meets it."""

import csv
from collections.abc import Callable

import pytest

from gauntlet.rendering import draw
from gauntlet.rendering.csv import to_csv
from gauntlet.rendering.html import to_html
from gauntlet.rendering.latex import to_latex
from gauntlet.rendering.markdown import to_markdown
from gauntlet.report.report import Report
from tests.reports import made_up

ASKED = {"evaluation": {"smoothing": {"sigma": 0.25, "radii": [0, 0.5, 0.25]}}}


@pytest.mark.parametrize("render", [to_markdown, to_html, to_latex])
def test_the_curve_stands_with_what_it_rests_on(render: Callable[[Report], str]) -> None:
    """Accuracies by radius and how sure a certificate is; an experiment that did not ask has none of it."""
    report = made_up(ASKED)
    found = report.rows[0].outcome.smoothing
    assert found is not None
    assert [point.radius for point in found.curve] == [0, 0.25, 0.5]
    text = render(report)
    for said in ("L2 0.25", f"{100 * found.curve[1].accuracy.value:.1f}", "10,000 draws", "0.1"):
        assert said in text
    assert "Certified" not in render(made_up())


def test_a_noise_and_radii_stand_with_all_their_digits() -> None:
    """Two that agree in six digits are two."""
    text = to_markdown(made_up({"evaluation": {"smoothing": {"sigma": 12 / 255, "radii": [0.1, 0.10000001]}}}))
    for said in (str(12 / 255), "L2 0.1 ", "L2 0.10000001 ", "a chance of 0.1 %"):
        assert said in text


def test_it_is_drawn_and_in_the_csv() -> None:
    """A line falls with the radius; each point has its line, with protocol and fingerprint."""
    report = made_up(ASKED)
    assert "radius (L2)" in (draw(report, "certified") or "")
    assert draw(made_up(), "certified") is None
    found = report.rows[0].outcome.smoothing
    assert found is not None
    lines = [line for line in csv.DictReader(to_csv(report).splitlines()) if line["checkpoint"] == "ckpt_0"]
    certified = [line for line in lines if line["attack"] == "certified, sigma 0.25"]
    assert [(line["norm"], line["eps"]) for line in certified] == [("L2", "0"), ("L2", "0.25"), ("L2", "0.5")]
    assert [float(line["accuracy"]) for line in certified] == [point.accuracy.value for point in found.curve]
    assert {line["fingerprint"] for line in certified} == {found.fingerprint}
