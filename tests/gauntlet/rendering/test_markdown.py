"""The report as Markdown."""

import re
from typing import Any

import pytest

from gauntlet.rendering.markdown import to_markdown
from gauntlet.report.report import Report
from tests.reports import made_up

_ROW = re.compile(
    r"\| cross_entropy \| 0 \| epoch 12 \(best fgsm\) \| \d+\.\d \[\d+\.\d, \d+\.\d\] \|.*"
    r" \| [+−]\d\.\d \[[+−]\d\.\d, [+−]\d\.\d\] \|"
)


def test_markdown_has_the_papers_table_in_per_cent() -> None:
    """The table has a line per row: accuracies with intervals and the signed gap."""
    lines = to_markdown(made_up()).splitlines()
    assert lines[0] == "# reward against cross-entropy"
    header = lines.index("| objective | seed | checkpoint | train | natural | FGSM | AutoAttack | gap |")
    assert lines[header + 1] == "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |"
    assert _ROW.fullmatch(lines[header + 2])
    assert len([line for line in lines if line.startswith("| cross_entropy | 0 | epoch 12 (best fgsm) | ")]) == 7


def test_a_column_nobody_asked_for_is_a_dash() -> None:
    """Without AutoAttack its column has nothing to show."""
    text = to_markdown(made_up({"evaluation": {"attacks": [{"kind": "fgsm", "eps": "8/255"}]}}))
    assert re.search(r"\| – \| [+−]\d\.\d \[[^]]+\] \|\n", text)


def test_markdown_says_how_it_was_measured() -> None:
    """Data set, training budget, attacks with exact budgets and n are told."""
    text = to_markdown(made_up())
    for told in ("cifar10", "ε = 8/255", "12 epochs", "batches of 32", "rmsprop at 0.0001", "on 500 test images"):
        assert told in text
    assert "FGSM at ε = 16/255 (L∞), AutoAttack at ε = 8/255 (L∞)" in text
    assert "worst case of 2 at ε = 8/255 (L∞)" in text


@pytest.mark.parametrize(
    ("evaluation", "told"),
    [
        ({}, ["The best checkpoint was selected on the test set, as in the paper."]),
        ({"select": ["last"]}, []),
        (
            {"select_on": "validation"},
            [
                "Held out for validation: a tenth of the training images.",
                "The best checkpoint was selected on the validation set, not on the test set as in the paper.",
            ],
        ),
        (
            {"select_on": "validation", "validation_samples": 70, "select": ["last"]},
            ["Held out for validation: 70 of the training images."],
        ),
    ],
    ids=["test", "test, last only", "validation", "validation, last only"],
)
def test_markdown_says_what_selected_and_what_was_held_out(evaluation: dict[str, Any], told: list[str]) -> None:
    """The set that chose the best checkpoint is named where one was chosen, held-out images wherever there are any."""
    shown = made_up({"dataset": {"name": "digits"}, "evaluation": evaluation})
    assert shown.selected_on == evaluation.get("select_on", "test")
    text = to_markdown(shown)
    assert [line for line in told if line in text] == told
    assert text.count("selected on") + text.count("Held out") == len(told)


@pytest.mark.parametrize(
    ("seeds", "told"),
    [([4], "a single seed"), ([0, 1, 2], "3 seeds are few"), ([0, 1, 2, 3, 4], "with other seeds on the same data.\n")],
)
def test_markdown_is_honest_about_the_number_of_seeds(seeds: list[int], told: str) -> None:
    """One seed shows nothing of seeds, a few show little, and it is said in words."""
    assert told in to_markdown(made_up({"seeds": seeds}))


def test_markdown_doubts_a_validation_set_that_weights_have_seen() -> None:
    """Where training began with another run's weights, what is held out now may have been trained on then."""
    began, doubt = (
        {"initial_checkpoint": "ckpt_01jqzv7m4t8x2c5n9p0r3s6w1y"},
        "may have seen images of the validation set",
    )
    validation = {"select_on": "validation"}
    assert doubt in to_markdown(made_up({"training": began, "evaluation": validation}))
    assert doubt not in to_markdown(made_up({"training": began}))
    assert doubt not in to_markdown(made_up({"evaluation": validation}))


def test_markdown_sets_our_numbers_beside_the_papers() -> None:
    """The paper's numbers stand beside ours with the difference, and what differs from the paper is told."""
    text = to_markdown(made_up())
    assert re.search(r"\| policy_gradient, epoch 12 \(best fgsm\) \| RL, epoch 220 \| \d+\.\d / 52\.85 \([+−]", text)
    assert "Training is for 12 epochs, not 220." in text
    assert "Beside the paper" not in to_markdown(made_up({"dataset": {"name": "digits"}}))


def test_markdown_says_what_is_missing_or_suspect() -> None:
    """An unfinished experiment and every warning are told, a finished one without warnings says neither."""
    told = to_markdown(made_up(complete=False, status="running", rows=(), warnings=("Run 1 diverged.",)))
    assert "The experiment is running: rows may still be missing." in told
    assert "- Run 1 diverged." in told
    finished = to_markdown(made_up())
    assert "may still be missing" not in finished
    assert "Warnings" not in finished


def test_a_name_with_markup_stays_text() -> None:
    """A viewer that allows HTML in Markdown gets none from a name."""
    report: Report = made_up({"name": "<script>alert(1)</script> & co"})
    assert to_markdown(report).startswith("# &lt;script>alert(1)&lt;/script> &amp; co\n")
