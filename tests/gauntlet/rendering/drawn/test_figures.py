"""The report's figures."""

import re
from collections import Counter
from itertools import combinations
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from gauntlet.rendering import FIGURES, FigureName
from gauntlet.rendering.drawn.figures import panels, to_svg
from gauntlet.rendering.drawn.svg import WIDTH
from gauntlet.rendering.markdown import to_markdown
from gauntlet.report.curves import RunCurve
from gauntlet.report.report import Report
from gauntlet.results.doubts import Doubt
from gauntlet.spec.runs.objective_labels import objective_title
from tests.reports import made_up

SVG = "{http://www.w3.org/2000/svg}"
# With something for each figure to draw.
EVERYTHING = {"evaluation": {"smoothing": {"sigma": 0.25}}}


def drawn(report: Report, name: FigureName) -> ET.Element:
    document = to_svg(report, name)
    assert document is not None
    return ET.fromstring(document)


def words(root: ET.Element) -> str:
    return "\n".join(root.itertext())


def test_a_run_without_an_epoch_takes_nothing_from_the_others_lines() -> None:
    """A library's user may give every run its curve; of one that has not begun there is none."""
    whole = made_up()
    empty = {name: () for name, values in whole.curves[0] if isinstance(values, tuple)}
    report = made_up(curves=[whole.curves[0].model_copy(update=empty | {"seed": 3, "run": "run_new"}), *whole.curves])
    assert report.curves == whole.curves
    assert to_svg(report, "training") == to_svg(whole, "training")


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_the_same_svg_every_time(name: FigureName) -> None:
    """Well-formed, named, on no ground, its ink recoloured on a dark screen; drawn twice it is equal."""
    document = to_svg(made_up(EVERYTHING), name)
    assert document is not None
    root = ET.fromstring(document)
    assert root.tag == f"{SVG}svg"
    assert (root.findtext(f"{SVG}title") or "").startswith("reward against cross-entropy: ")
    assert "prefers-color-scheme: dark" in document
    assert root.get("fill") == "currentColor"
    assert to_svg(made_up(EVERYTHING), name) == document


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_can_be_read_on_a_phone(name: FigureName) -> None:
    """A panel is no wider than a phone and stands alone; letters have 11 pixels or more and lie inside."""
    for panel in panels(made_up(EVERYTHING), name):
        root = ET.fromstring(f'<svg xmlns="http://www.w3.org/2000/svg">{panel.content}</svg>')
        letters = list(root.iter(f"{SVG}text"))
        assert letters
        assert min(float(each.get("font-size", 0)) for each in letters) >= 11
        assert all(0 <= float(each.get("x", -1)) <= WIDTH for each in letters)
        assert all(0 <= float(each.get("y", -1)) <= panel.height for each in letters)
    assert WIDTH <= 400


def test_a_figure_shows_what_it_is_about() -> None:
    """Objectives, metrics, budgets and classes are named in the figures' text."""
    told: dict[FigureName, tuple[str, ...]] = {
        "training": ("cross-entropy", "policy gradient", "train", "test", "FGSM 8/255 (test)", "epoch"),
        "gap": ("train − test, points",),
        "eps": ("cross-entropy, FGSM", "ε (L∞, of 255)"),
        "cost": ("seconds of training", "the worst of FGSM and AutoAttack at ε = 8/255 (L∞)", "right under attack"),
        "confusion": ("airplane", "policy gradient (best FGSM), AutoAttack at ε = 8/255 (L∞), per cent"),
    }
    for name, expected in told.items():
        text = words(drawn(made_up(), name))
        assert all(word in text for word in expected), (name, text)


def test_a_dot_stands_for_each_checkpoint() -> None:
    """12 epochs that keep every fifth and the last: three dots on each of three lines for each of two objectives."""
    few = drawn(made_up({"training": {"epochs": 12, "checkpoint_every": 5}}), "training")
    told = [dot.findtext(f"{SVG}title") or "" for dot in few.iter(f"{SVG}circle")]
    assert len(told) == 3 * 3 * 2
    assert [each.partition(":")[0] for each in told[:3]] == ["epoch 5", "epoch 10", "epoch 12"]


def test_no_mark_of_a_legend_can_be_taken_for_data() -> None:
    """The figure of cost has a point for each of six runs, and no other round thing."""
    root = drawn(made_up(), "cost")
    told = [dot.findtext(f"{SVG}title") for dot in root.iter(f"{SVG}circle")]
    assert told == [
        f"{objective}, seed {seed}" for objective in ("cross-entropy", "policy gradient") for seed in range(3)
    ]


@pytest.mark.parametrize("name", FIGURES)
def test_there_is_no_figure_of_nothing(name: FigureName) -> None:
    """Before anything is measured there is nothing to draw."""
    assert to_svg(made_up(rows=(), curves=(), costs=()), name) is None


def test_one_epoch_is_no_course_of_training() -> None:
    """Neither accuracies nor the gap have a line through one point."""
    first = [
        RunCurve(**{key: value[:1] if isinstance(value, tuple) else value for key, value in curve.model_dump().items()})
        for curve in made_up().curves
    ]
    one = made_up({"training": {"epochs": 1}}, curves=first)
    assert to_svg(one, "training") is None
    assert to_svg(one, "gap") is None


_LINES = {"train_accuracy": "train", "test_accuracy": "test", "test_fgsm_accuracy": "FGSM 8/255 (test)"}
_COLUMNS = (*_LINES, "train_adversarial_accuracy")


def measured(curve: RunCurve, columns: tuple[str, ...], epochs: int) -> RunCurve:
    """The first epochs of a curve, with nothing but these columns in them."""
    values = {
        name: (getattr(curve, name) if name in columns else (None,) * len(curve.epochs))[:epochs] for name in _COLUMNS
    }
    return curve.model_copy(update=values | {"epochs": curve.epochs[:epochs], "probe_accuracy": (), "overfitting": ()})


@pytest.mark.parametrize("epochs", [0, 1, 2])
@pytest.mark.parametrize("columns", [each for n in range(5) for each in combinations(_COLUMNS, n)])
def test_what_no_epoch_has_is_not_drawn(columns: tuple[str, ...], epochs: int) -> None:
    """A history may have any of its columns alone; what it lacks has neither a line nor a name."""
    report = made_up(curves=[measured(each, columns, epochs) for each in made_up().curves])
    lines = [name for name in _COLUMNS[:3] if name in columns and epochs > 1]
    if lines:
        names = [each.text for each in drawn(report, "training").iter(f"{SVG}text")]
        assert {"train", "test", "FGSM 8/255 (test)"}.intersection(names) == {_LINES[name] for name in lines}
    else:
        assert to_svg(report, "training") is None
    assert (to_svg(report, "gap") is None) == (len(lines) < 2 or "test_fgsm_accuracy" in lines[:2])
    assert all(to_svg(report, name) for name in ("eps", "cost", "confusion"))
    assert to_markdown(report)


@pytest.mark.parametrize("columns", [each for n in range(4) for each in combinations(_COLUMNS, n)])
@pytest.mark.parametrize("of", ["one objective", "one seed"])
def test_what_some_lack_takes_nothing_from_the_others(columns: tuple[str, ...], of: str) -> None:
    """Of an objective, or of one seed: the others' lines are there, and no name stands for no line."""
    whole = made_up().curves
    lacking = [each for each in whole if each.objective == whole[0].objective][: 1 if of == "one seed" else None]
    report = made_up(curves=[measured(each, columns, 12) if each in lacking else each for each in whole])
    for name in ("training", "gap"):
        assert all(panel.content.count("<polyline") > 1 for panel in panels(report, name))
    titles = [panel.title for panel in panels(report, "training")]
    has_lines = of == "one seed" or set(columns) & set(_LINES)
    assert len(titles) == (2 if has_lines else 1)


def test_whatever_the_legend_of_many_names_is_drawn() -> None:
    """Of six objectives the means alone are; of one whose seeds have no epoch in common, its other seeds."""
    report = made_up(many(6) | {"seeds": [0, 1]})
    assert gaps(report) == [1] * 6
    first, *rest = report.curves
    assert sum(each.objective == first.objective for each in rest) == 1
    lacking = made_up(many(6) | {"seeds": [0, 1]}, curves=[measured(first, ("train_accuracy",), 12), *rest])
    assert gaps(lacking) == [1] * 6


def gaps(report: Report) -> list[int]:
    """How many lines the figure of gaps has in each colour of its legend, which names all objectives."""
    (panel,) = panels(report, "gap")
    root = ET.fromstring(f'<svg xmlns="http://www.w3.org/2000/svg">{panel.content}</svg>')
    assert {objective_title(each) for each in report.objectives} <= set(words(root).splitlines())
    # The legend's own mark is one more.
    return [count - 1 for count in Counter(line.get("stroke") for line in root.iter(f"{SVG}polyline")).values()]


def test_one_budget_makes_no_curve() -> None:
    """Accuracy against ε needs several budgets of one attack."""
    assert to_svg(made_up({"evaluation": {"attacks": [{"kind": "fgsm", "eps": "8/255"}]}}), "eps") is None


def test_norms_have_panels_of_their_own() -> None:
    """L2 and L∞ budgets share no axis."""
    attacks = [{"kind": "fgsm", "eps": ["2/255", "8/255"]}, {"kind": "fgsm", "eps": ["0.01", "0.03"], "norm": "L2"}]
    report = made_up({"evaluation": {"attacks": attacks}})
    assert [panel.title for panel in panels(report, "eps")] == ["L∞", "L2"]
    text = words(drawn(report, "eps"))
    assert "ε (L2)" in text
    assert "ε (L∞, of 255)" in text
    assert "FGSM, ε = 0.03: " in text


def test_the_figure_of_cost_is_of_what_is_compared() -> None:
    """In a sweep that begins with another budget it is the budget of training that is named and drawn."""
    report = made_up({"evaluation": {"attacks": [{"kind": "fgsm", "eps": ["0", "4/255", "8/255"]}]}})
    assert [panel.title for panel in panels(report, "cost")] == ["FGSM at ε = 8/255 (L∞)"]


def test_what_is_in_doubt_is_marked_in_a_legend() -> None:
    """The objective's name says so wherever it is drawn."""
    doubt = Doubt(kind="masked_gradients", severity="warning", sentence="One sign.")
    first, *rest = made_up(EVERYTHING).rows
    report = made_up(EVERYTHING, rows=[first.model_copy(update={"doubts": (doubt,)}), *rest])
    for name in FIGURES:
        text = words(drawn(report, name))
        assert "cross-entropy (in doubt)" in text
        assert "policy gradient (in doubt)" not in text


def many(count: int) -> dict[str, Any]:
    kinds = [{"kind": "policy_gradient", "entropy_bonus": number / 100} for number in range(1, count)]
    return {"objectives": [{"kind": "cross_entropy"}, *kinds], "seeds": [0], "evaluation": {"samples": 20}}


def test_many_objectives_are_told_apart_or_left_out() -> None:
    """Sixteen have unlike marks; of twenty the first sixteen are drawn, and it is said."""
    root = drawn(made_up(many(20)), "cost")
    marks = {
        tuple(sorted(dot.attrib.items() - {("cx", dot.get("cx")), ("cy", dot.get("cy"))}))
        for dot in root.iter(f"{SVG}circle")
    }
    assert len(marks) == 16
    assert "the first 16 of 20 objectives" in words(root)
    assert len(panels(made_up(many(20)), "training")) == 16
    lines = drawn(made_up(many(20)), "gap").iter(f"{SVG}polyline")
    assert len({(line.get("stroke"), line.get("stroke-dasharray")) for line in lines}) == 16
    assert "objectives" not in words(drawn(made_up(many(16)), "cost"))


def test_a_long_name_is_cut_and_shown_whole_to_who_points_at_it() -> None:
    """80 characters do not fit: what is seen ends with an ellipsis, the title has all of it."""
    label = "a reward of one for the right class and nothing for any other, with a baseline"
    root = drawn(made_up({"objectives": [{"kind": "cross_entropy"}, {"kind": "ppo", "label": label}]}), "gap")
    (cut,) = (each for each in root.iter(f"{SVG}text") if each.findtext(f"{SVG}title") == label)
    assert re.fullmatch(r"a reward of one for .*…", "".join(cut.itertext()).removeprefix(label))


def test_a_very_long_training_is_drawn_with_as_many_points_as_can_be_seen() -> None:
    """3,000 epochs are 500 points a line, and the last of them is the last epoch."""
    epochs = tuple(range(1, 3001))
    curves = [
        RunCurve(
            run="run_0",
            objective="cross_entropy",
            seed=0,
            epochs=epochs,
            **dict.fromkeys(("train_accuracy", "test_accuracy", "test_fgsm_accuracy"), (0.5,) * 3000),
            train_adversarial_accuracy=(None,) * 3000,
        )
    ]
    root = drawn(made_up({"training": {"epochs": 3000, "checkpoint_every": 3000}}, curves=curves), "training")
    lengths = [len(line.get("points", "").split()) for line in root.iter(f"{SVG}polyline")]
    assert max(lengths) <= 501
    assert words(root).count("epoch 3000: 50.0 %") == 3
