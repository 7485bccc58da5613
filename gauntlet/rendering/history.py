"""How training went, epoch by epoch, for a reader: accuracies, the gap, and objectives at equal accuracy."""

from collections.abc import Callable

from gauntlet.rendering.tables import (
    Cell,
    Table,
    estimate,
    numbers,
    objective_cell,
    p_cells,
    p_headings,
    pair_cell,
    words,
)
from gauntlet.report.compared.equal_accuracy import TOLERANCE, EqualAccuracy, EqualAccuracySummary, Matched
from gauntlet.report.compared.gaps import SMALL_GAP, GapOverEpochs
from gauntlet.report.curves import EpochAccuracies, RunCurve
from gauntlet.report.numbers import NOTHING, per_cent, points, selection_title
from gauntlet.report.report import Report
from gauntlet.spec.evaluations.attack_titles import short_budget

EPOCH_NOTE = (
    "As measured after the epochs that kept a checkpoint, and the last so far; natural and FGSM on the test set."
)
GAP_NOTE = (
    f"Train − natural accuracy in points over all epochs so far, and in how many per cent of them it was small: below "
    f"{100 * SMALL_GAP:g} points. A run that has learned little has a small gap for that reason alone."
)
EQUAL_NOTE = (
    "Is an objective more robust, or does it only learn more slowly? Each stands beside the epoch at which the first "
    "objective, of the same seed, was as accurate in training or on natural test images, as if it had been stopped "
    f"there, before it was most accurate; none where no such epoch ended within {100 * TOLERANCE:g} point. FGSM at the "
    "budget of training is the strongest attack that every epoch was measured under. Seed by seed, the difference in "
    "its accuracy, in points, is in parentheses. The epoch of the highest FGSM accuracy is found on the test set, "
    "among all epochs, so that difference is flattered."
)
EQUAL_SUMMARY_NOTE = (
    "At the last epoch of whole runs, over the seeds where there was one to stand beside it: the difference in FGSM "
    "accuracy and in the generalisation gap, in points."
)
_EQUAL_TEST_NOTE = " p is of a paired t-test of the FGSM accuracies{}."
_ADJUSTED_NOTE = ", and adjusted by Holm's method for all objectives"
# With a value of their own for one of these, a sweep's trials may be attacked at budgets of their own.
_BUDGETS = frozenset({"adversary", "adversary.eps", "adversary.norm"})
_MATCHED: dict[Matched, str] = {"train_accuracy": "train", "test_accuracy": "natural"}


def epoch_table(report: Report) -> Table:
    """For each run its accuracies at every epoch that kept a checkpoint, and at the last recorded one."""
    shown = [
        (curve, place)
        for curve in report.curves
        for place, epoch in enumerate(curve.epochs)
        if report.spec.training.keeps(epoch) or epoch == curve.epochs[-1]
    ]

    def line(found: tuple[RunCurve, int]) -> list[Cell]:
        curve, place = found
        train, test = curve.train_accuracy[place], curve.test_accuracy[place]
        gap = None if train is None or test is None else train - test
        accuracies = (per_cent(value) for value in (train, test, curve.test_fgsm_accuracy[place]))
        when = (str(curve.seed), str(curve.epochs[place]))
        return [objective_cell(report, curve.objective), *map(Cell, when), *map(Cell, accuracies), Cell(points(gap))]

    return Table.of(
        [*words("objective", "seed"), *numbers("epoch", "train", "natural", fgsm(report), "gap")], shown, line
    )


def gap_table(report: Report) -> Table:
    """Whose, over how many epochs, in how many per cent of them it was small, and the mean, widest and last gap."""

    def line(found: GapOverEpochs) -> list[Cell]:
        small = per_cent(found.small_epochs / found.epochs)
        gaps = (points(found.mean), points(found.widest), str(found.widest_epoch), points(found.last))
        whose = objective_cell(report, found.objective)
        return [whose, *map(Cell, (str(found.seed), str(found.epochs), small, *gaps))]

    columns = [
        *words("objective", "seed"),
        *numbers("epochs", "small, %", "mean", "widest", "at epoch", "last"),
    ]
    return Table.of(columns, report.gaps, line)


def equal_table(report: Report) -> Table:
    """Who is compared, in what they are equal, at which epochs, and both sides' accuracies."""

    def line(found: EqualAccuracy) -> list[Cell]:
        ours, theirs = found.objective_at, found.baseline_at
        moments = " = ".join(map(selection_title, found.moments))
        change = "" if theirs is None else points(ours.test_fgsm_accuracy - theirs.test_fgsm_accuracy)
        return [
            pair_cell(report, found.objective, found.baseline, "/"),
            Cell(str(found.seed)),
            Cell(_MATCHED[found.equal_in]),
            Cell(f"{ours.epoch} / {theirs.epoch if theirs else 'none'}", moments),
            Cell(_beside(found, lambda at: per_cent(at.train_accuracy))),
            Cell(_beside(found, lambda at: per_cent(at.test_accuracy))),
            Cell(_beside(found, lambda at: per_cent(at.test_fgsm_accuracy)), change),
            Cell(_beside(found, lambda at: points(at.generalisation_gap))),
        ]

    columns = [
        *words("compared", "seed", "equal in"),
        *numbers("epochs", "train", "natural", fgsm(report), "gap"),
    ]
    return Table.of(columns, report.equal_accuracies, line)


def equal_summary_table(report: Report) -> Table:
    """Who is compared, in what equal, over how many seeds, and the differences."""

    def line(found: EqualAccuracySummary) -> list[Cell]:
        return [
            pair_cell(report, found.objective, found.baseline, "−"),
            Cell(_MATCHED[found.equal_in]),
            Cell(str(len(found.seeds))),
            estimate(found.fgsm_difference, points),
            *p_cells(found, headed),
            estimate(found.gap_difference, points),
        ]

    headed = p_headings(report.equal_accuracy_summaries)
    columns = [*words("compared", "equal in"), *numbers("seeds", fgsm(report), *headed, "gap")]
    return Table.of(columns, report.equal_accuracy_summaries, line)


def equal_summary_note(report: Report) -> str:
    """What the differences at equal accuracy are of, and their tests, where there are any."""
    headings = p_headings(report.equal_accuracy_summaries)
    adjusted = _ADJUSTED_NOTE if len(headings) > 1 else ""
    return EQUAL_SUMMARY_NOTE + (_EQUAL_TEST_NOTE.format(adjusted) if headings else "")


def has_history(report: Report) -> bool:
    """Whether any run has more than one epoch behind it: one alone is no course of training."""
    return any(len(curve.epochs) > 1 for curve in report.curves)


def fgsm(report: Report) -> str:
    """What every epoch is attacked with, and its budget where all runs have the same."""
    adversary, sweep = report.spec.adversary, report.spec.sweep
    if sweep is not None and not _BUDGETS.isdisjoint(sweep.over):
        return "FGSM"
    return f"FGSM {short_budget(adversary.norm, adversary.eps)}"


def _beside(found: EqualAccuracy, show: Callable[[EpochAccuracies], str]) -> str:
    return f"{show(found.objective_at)} / {show(found.baseline_at) if found.baseline_at else NOTHING}"
