"""The report as Markdown."""

import re
from typing import Any

import pytest

from gauntlet.rendering.markdown import to_markdown
from gauntlet.report.summaries import summaries
from gauntlet.results.doubts import Doubt
from tests.reports import made_up

_ACCURACY = r"\d+\.\d \(\d+\.\d to \d+\.\d\)"
_ROW = re.compile(
    rf"\| cross-entropy \| 0 \| epoch 12 \(best FGSM\)( \| {_ACCURACY}){{8}} \| "
    r"\+\d\.\d \([+−]?\d\.\d to [+−]?\d\.\d\) \|"
)


def test_markdown_has_the_papers_table_in_per_cent() -> None:
    """A line per row, a column per attack and budget and for the worst of two: accuracies with intervals, the gap."""
    lines = to_markdown(made_up()).splitlines()
    assert lines[0] == "# reward against cross-entropy"
    attacked = "FGSM 8/255 | AutoAttack 8/255 | worst case 8/255 | FGSM 2/255 | FGSM 4/255 | FGSM 16/255"
    header = lines.index(f"| objective | seed | checkpoint | train | natural | {attacked} | gap |")
    assert lines[header + 1] == "| --- | --- | --- |" + " ---: |" * 9
    assert _ROW.fullmatch(lines[header + 2])
    assert [line.split(" | ")[:2] for line in lines[header + 2 : header + 8]] == [
        [f"| {objective}", seed] for objective in ("cross-entropy", "policy gradient") for seed in "012"
    ]


def test_the_result_opens_the_report() -> None:
    """Right below the name, before anything else."""
    report = made_up()
    assert to_markdown(report).splitlines()[2] == f"**{report.result}**"


def test_what_nobody_asked_for_has_no_column() -> None:
    """Without AutoAttack there is no column of it, no worst case, and no dash in a line of accuracies."""
    text = to_markdown(made_up({"evaluation": {"attacks": [{"kind": "fgsm", "eps": "8/255"}]}}))
    assert "AutoAttack" not in text
    assert "worst case" not in text
    assert "–" not in text


def test_many_attacks_stand_in_several_tables() -> None:
    """Eight budgets do not fit beside each other: the one that objectives are compared in stands in the first table."""
    sweep = [{"kind": "fgsm", "eps": [f"{level}/255" for level in (1, 2, 3, 4, 5, 6, 7, 8)]}]
    text = to_markdown(made_up({"evaluation": {"attacks": sweep}}))
    first, second = re.findall(r"^\| objective \| seed \| checkpoint .*", text, re.MULTILINE)
    assert first.startswith("| objective | seed | checkpoint | train | natural | FGSM 8/255 | FGSM 1/255 |")
    assert second == "| objective | seed | checkpoint | FGSM 6/255 | FGSM 7/255 |"


def test_averages_have_lines_and_means_of_their_own() -> None:
    """Beside those of the weights, never together with them; how they came about stands below the name."""
    report = made_up({"training": {"averaging": {"decay": 0.99}}})
    averages = tuple(row.model_copy(update={"selection": "average_best_fgsm"}) for row in report.rows)
    means = tuple(summaries([*report.rows, *averages]))
    assert [len(mean.seeds) for mean in means] == [3] * 2 * len(report.summaries)
    text = to_markdown(report.model_copy(update={"rows": (*report.rows, *averages), "summaries": means}))
    assert text.count("epoch 12 (best FGSM, averaged)") == text.count("epoch 12 (best FGSM)") > 0
    assert "Beside the weights their moving average (decay 0.99) is kept, selected by its own accuracies" in text


def test_one_seed_has_no_mean_and_no_p() -> None:
    """Nothing is said over seeds, and no column of p without a test; the images' interval stands instead."""
    text = to_markdown(made_up({"seeds": [4]}))
    assert "## Over seeds" not in text
    assert "| p |" not in text
    assert re.search(r"\| worst case 8/255 \| 1 \| −\d\.\d \(−\d+\.\d to [+−]\d\.\d\) \|", text)
    assert "speaks of the test images alone" in text
    with_seeds = to_markdown(made_up())
    assert "## Over seeds" in with_seeds
    assert "| difference | p |" in with_seeds
    assert "Holm" not in with_seeds
    three = to_markdown(made_up({"objectives": [{"kind": kind} for kind in ("cross_entropy", "ppo", "a2c")]}))
    assert "| difference | p | p, adjusted |" in three
    assert "Adjusted by Holm's method for all that is compared in the same accuracy" in three


def test_no_interval_leaves_the_scale() -> None:
    """Two seeds at 10 and 90 per cent under attack tell nothing of their mean, and no number says more than that."""
    two = made_up({"seeds": [0, 1]})
    apart = [
        row.model_copy(update={"accuracies": row.accuracies | {two.headline: (0.1, 0.9)[row.seed]}}) for row in two.rows
    ]
    text = to_markdown(made_up({"seeds": [0, 1]}, rows=apart))
    assert "| 50.0 (0.0 to 100.0) |" in text
    shown = [float(found.replace("−", "-")) for found in re.findall(r"[+−]?\d+\.\d(?= to |\))", text)]
    assert len(shown) > 50
    assert -100 <= min(shown) < max(shown) <= 100


def test_one_minus_sign_is_used() -> None:
    """No number is led by a hyphen."""
    text = to_markdown(made_up())
    assert "−" in text
    assert not re.search(r"(?<![\w-])-\d", text)


def test_what_is_in_doubt_stands_beside_the_number() -> None:
    """The row is marked with the reason's name, a sound one as passed; the reason is told in full."""
    doubt = Doubt(kind="random_output", severity="warning", sentence="Two passes differ.")
    first, *rest = made_up({"evaluation": {"masking": {"samples": 10}}}).rows
    sound = [row.model_copy(update={"masking": "PASS", "doubts": ()}) for row in rest]
    text = to_markdown(made_up(rows=[first.model_copy(update={"doubts": (doubt,)}), *sound]))
    assert re.search(r"^\| cross-entropy \| 0 \|.* \| in doubt: random output \|$", text, re.MULTILINE)
    assert re.search(r"^\| cross-entropy \| 1 \|.* \| passed \|$", text, re.MULTILINE)
    assert "- cross-entropy, seed 0, epoch 12: Two passes differ." in text
    assert "In doubt: cross-entropy (random output)." in text
    assert "| checks |" not in to_markdown(made_up()), "nothing was looked for"


def test_a_long_report_says_what_it_leaves_out() -> None:
    """Of 310 lines 300 are shown, and where the others are is told."""
    first, *_ = made_up().rows
    rows = [first.model_copy(update={"seed": seed}) for seed in range(310)]
    text = to_markdown(made_up(rows=rows))
    assert len(re.findall(r"^\| cross-entropy \| \d+ \| epoch 12 \(best", text, re.MULTILINE)) == 300
    assert "The first 300 of 310 lines; CSV and JSON have all." in text


def test_markdown_says_how_it_was_measured() -> None:
    """Data set, training budget, attacks with exact budgets, n and the protocols are told."""
    report = made_up()
    text = to_markdown(report)
    for told in ("cifar10", "ε = 8/255", "12 epochs", "batches of 128", "rmsprop at 0.0001", "on 500 test images"):
        assert told in text
    assert "FGSM at ε = 16/255 (L∞), AutoAttack at ε = 8/255 (L∞)" in text
    protocol = report.rows[0].outcome.attacks[1].protocol.id
    assert f"| FGSM 2/255 | fgsm&#64;2/255 | {protocol} | 500 |" in text
    assert "1 epoch in batches" in to_markdown(made_up({"training": {"epochs": 1}}))


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


@pytest.mark.parametrize(("seeds", "told"), [([0, 1, 2], "3 seeds are few"), ([0, 1, 2, 3, 4], "on the same data.\n")])
def test_markdown_is_honest_about_the_number_of_seeds(seeds: list[int], told: str) -> None:
    """A few seeds show little, and it is said in words."""
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
    assert re.search(r"\| policy gradient \(epoch 12, best FGSM\) \| RL, epoch 220 \| \d+\.\d / 52\.85 \([+−]", text)
    assert "Training is for 12 epochs, not 220." in text
    assert "Beside the paper" not in to_markdown(made_up({"dataset": {"name": "digits"}}))


def test_an_attack_of_the_papers_that_was_not_asked_for_has_no_column() -> None:
    """AutoAttack at 4/255 is none of the paper's."""
    attacks = [{"kind": "fgsm", "eps": "8/255"}, {"kind": "autoattack", "eps": "4/255"}]
    text = to_markdown(made_up({"evaluation": {"attacks": attacks}}))
    assert "| here | in the paper | natural | FGSM 8/255 |\n" in text


def test_markdown_says_what_is_missing_or_suspect() -> None:
    """An unfinished experiment and every warning are told, a finished one without warnings says neither."""
    told = to_markdown(made_up(complete=False, status="running", rows=(), warnings=("Run 1 diverged.",)))
    assert "The experiment is running: this may change." in told
    assert "- Run 1 diverged." in told
    finished = to_markdown(made_up())
    assert "this may change" not in finished
    assert "Warnings" not in finished
