"""The report's figures."""

import re
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest

from gauntlet.rendering import FIGURES, FigureName
from gauntlet.rendering.figures import to_svg
from tests.reports import made_up


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_the_same_svg_every_time(name: FigureName) -> None:
    """Well-formed, named, without a ground or a date, its ink recoloured on a dark screen; drawn twice it is equal."""
    document = to_svg(made_up(), name)
    assert document is not None
    root = ET.fromstring(document)
    assert root.tag.endswith("svg")
    assert "reward against cross-entropy" in "".join(root.itertext())
    assert "prefers-color-scheme: dark" in document
    assert "currentColor" in document
    assert "fill: #ffffff" not in document
    assert "dc:date" not in document
    assert to_svg(made_up(), name) == document


def test_a_figure_shows_what_it_is_about() -> None:
    """Objectives, metrics, budgets and classes are named in the figures' text."""
    for name, told in (
        ("training", ("cross_entropy", "policy_gradient", "train", "test", "FGSM (test)", "epoch")),
        ("gap", ("train − test, points",)),
        ("eps", ("cross_entropy, FGSM", "ε (L∞, of 255)")),
        ("cost", ("seconds of training", "right under the worst of FGSM and AutoAttack at ε = 8/255 (L∞), per cent")),
        ("confusion", ("airplane", "AutoAttack at ε = 8/255 (L∞)")),
    ):
        document = to_svg(made_up(), name)  # type: ignore[arg-type]  # names as the test writes them
        assert document is not None
        text = "".join(ET.fromstring(document).itertext())
        assert all(word in text for word in told), (name, text)


def test_a_dot_stands_for_each_checkpoint() -> None:
    """12 epochs that keep every fifth and the last: three dots on each of three lines for each of two objectives."""
    few = to_svg(made_up({"training": {"epochs": 12, "checkpoint_every": 5}}), "training")
    assert few is not None
    # The other uses are the ticks' marks.
    dots = re.findall(r'<g clip-path="[^"]*">\s*((?:<use [^>]*/>\s*)+)</g>', few)
    assert [group.count("<use") for group in dots] == [3] * 6


@pytest.mark.parametrize("name", FIGURES)
def test_there_is_no_figure_of_nothing(name: FigureName) -> None:
    """Before anything is measured there is nothing to draw."""
    assert to_svg(made_up(rows=(), curves=(), costs=()), name) is None


def test_one_budget_makes_no_curve() -> None:
    """Accuracy against ε needs several budgets of one attack."""
    assert to_svg(made_up({"evaluation": {"attacks": [{"kind": "fgsm", "eps": "8/255"}]}}), "eps") is None


def test_norms_have_panels_of_their_own() -> None:
    """L2 and L∞ budgets share no axis."""
    attacks = [{"kind": "fgsm", "eps": ["2/255", "8/255"]}, {"kind": "fgsm", "eps": ["0.01", "0.03"], "norm": "L2"}]
    document = to_svg(made_up({"evaluation": {"attacks": attacks}}), "eps")
    assert document is not None
    assert "ε (L2)" in document
    assert "ε (L∞, of 255)" in document


def test_many_objectives_with_long_names_fit() -> None:
    """Five variants of the reward, whose labels say how they differ, have every figure, without a warning."""
    objectives = [{"kind": "policy_gradient", "action": action} for action in ("sample", "argmax")]
    objectives += [one | {"baseline": "batch_mean", "entropy_bonus": 0.01} for one in objectives]
    report = made_up({"objectives": [{"kind": "cross_entropy"}, *objectives], "seeds": [0]})
    for name in FIGURES:
        document = to_svg(report, name)
        assert document is not None
    training = to_svg(report, "training")
    assert training is not None
    assert "".join(ET.fromstring(training).itertext()).count("policy gradient") == 3


def test_the_api_starts_without_what_draws() -> None:
    """Importing the service's app loads neither matplotlib nor scipy nor jinja's templates."""
    check = (
        "import sys, service.app; sys.exit(bool({'matplotlib', 'scipy', 'gauntlet.rendering.html'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
