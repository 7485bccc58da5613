"""Training epoch by epoch, as a reader meets it."""

import re
from collections.abc import Callable

import pytest

from gauntlet.rendering.html import to_html
from gauntlet.rendering.latex import to_latex
from gauntlet.rendering.markdown import to_markdown
from gauntlet.report.compared.equal_accuracy import equal_accuracy_summaries
from gauntlet.report.report import Report
from tests.reports import made_up


def test_accuracies_stand_by_epoch() -> None:
    """A line for each epoch that kept a checkpoint and for the last; the gap in signed points."""
    report = made_up({"training": {"epochs": 12, "checkpoint_every": 5}, "seeds": [0]})
    (section,) = re.findall(r"## By epoch\n(.*?)\n## ", to_markdown(report), re.DOTALL)
    lines = [line for line in section.splitlines() if line.startswith("| cross-entropy")]
    assert [line.split(" | ")[2] for line in lines] == ["5", "10", "12"]
    assert all(re.fullmatch(r"\| cross-entropy \| 0 \| \d+( \| \d+\.\d){3} \| [+−]\d\.\d \|", line) for line in lines)


@pytest.mark.parametrize(
    ("field", "values", "headed"),
    [
        ("adversary.eps", ["2/255", "4/255"], "FGSM"),
        ("adversary", [{"kind": "fgsm", "eps": "2/255"}, {"kind": "none", "eps": "4/255"}], "FGSM"),
        ("training.optimizer.lr", [0.1, 0.2], "FGSM 8/255"),
    ],
)
def test_a_budget_heads_accuracies_that_were_measured_at_it(field: str, values: list[object], headed: str) -> None:
    """Trials of a sweep over budgets have their own, and none of them need be the spec's."""
    report = made_up({"seeds": [0], "sweep": {"over": {field: values}, "metric": "accuracy"}})
    text = to_markdown(report)
    assert f"| objective | seed | epoch | train | natural | {headed} | gap |" in text
    assert f"| epochs | train | natural | {headed} | gap |" in text
    assert f">{headed} (test)<" in to_html(report)


def test_gaps_stand_over_all_epochs() -> None:
    """How many epochs, in how many per cent the gap was small, then mean, widest with its epoch, and last."""
    report = made_up({"seeds": [0]})
    first = report.gaps[0].model_copy(
        update={"epochs": 8, "small_epochs": 3, "mean": 0.021, "widest": 0.04, "widest_epoch": 7, "last": -0.001}
    )
    text = to_markdown(report.model_copy(update={"gaps": (first,)}))
    assert "| cross-entropy | 0 | 8 | 37.5 | +2.1 | +4.0 | 7 | −0.1 |" in text
    assert "The gap over epochs" not in to_markdown(made_up(curves=()))


def test_objectives_stand_at_equal_accuracy() -> None:
    """Epochs, accuracies and gaps of both, and the difference in FGSM accuracy; a dash where there is no such epoch."""
    report = made_up({"seeds": [0]})
    found = report.equal_accuracies[0]
    ours = found.objective_at.model_copy(
        update={"epoch": 9, "train_accuracy": 0.5, "test_fgsm_accuracy": 0.33, "generalisation_gap": 0.01}
    )
    theirs = ours.model_copy(update={"epoch": 3, "test_fgsm_accuracy": 0.3, "generalisation_gap": -0.002})
    both = found.model_copy(update={"moments": ("last",), "objective_at": ours, "baseline_at": theirs})
    alone = both.model_copy(update={"moments": ("highest_fgsm", "last"), "baseline_at": None})
    text = to_markdown(report.model_copy(update={"equal_accuracies": (both, alone)}))
    assert "| policy gradient / cross-entropy | 0 | train | 9 / 3 (last) | 50.0 / 50.0 |" in text
    assert "| 33.0 / 30.0 (+3.0) | +1.0 / −0.2 |" in text
    assert "| 9 / none (highest FGSM = last) | 50.0 / – |" in text
    assert "| 33.0 / – | +1.0 / – |" in text


def test_seeds_stand_together_at_equal_accuracy() -> None:
    """Whose difference, in what equal, over how many seeds: FGSM with its budget, and the gap; no p without a test."""
    report = made_up({"seeds": [0]})
    one = report.equal_accuracies[0]
    last = one.model_copy(
        update={
            "moments": ("last",),
            "objective_at": one.objective_at.model_copy(update={"test_fgsm_accuracy": 0.33}),
            "baseline_at": one.objective_at.model_copy(update={"test_fgsm_accuracy": 0.3}),
        }
    )
    (found,) = equal_accuracy_summaries([last], one.objective_at.epoch)
    assert "| compared | equal in | seeds | FGSM 8/255 | gap |" in to_markdown(report)
    assert "| compared | equal in | seeds | FGSM 8/255 | p | gap |" in to_markdown(made_up())
    text = to_markdown(report.model_copy(update={"equal_accuracy_summaries": (found,)}))
    assert "| policy gradient − cross-entropy | train | 1 | +3.0 | 0.0 |" in text


@pytest.mark.parametrize("render", [to_markdown, to_html, to_latex])
def test_every_form_compares_at_equal_accuracy(render: Callable[[Report], str]) -> None:
    """Where two objectives have a history the comparison is there, elsewhere nothing of it."""
    assert "it only learn more slowly" in render(made_up())
    assert "over the seeds where there was" in render(made_up())
    assert "it only learn more slowly" not in render(made_up(curves=()))
    assert "over the seeds where there was" not in render(made_up(curves=()))
