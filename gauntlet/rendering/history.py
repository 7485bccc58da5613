"""What the renderings say of training, epoch by epoch. Plain text, as in `wording`."""

from collections.abc import Callable, Iterator

from gauntlet.rendering.wording import NOTHING, p_value, per_cent, points, selection_title
from gauntlet.report.curves import EpochAccuracies
from gauntlet.report.equal_accuracy import TOLERANCE, EqualAccuracy, EqualAccuracySummary, Matched
from gauntlet.report.gaps import SMALL_GAP, GapOverEpochs
from gauntlet.report.report import Report

EPOCH_HEADER = ("objective", "seed", "epoch", "train", "natural", "FGSM", "gap")
EPOCH_NOTE = (
    "As measured after the epochs that kept a checkpoint, and the last so far; natural and FGSM on the test set."
)
GAP_HEADER = ("objective", "seed", "epochs", "small", "mean", "widest", "at epoch", "last")
GAP_NOTE = (
    f"Train − natural accuracy in points over all epochs so far, and in how many per cent of them it was small: below "
    f"{100 * SMALL_GAP:g} points. A run that has learned little has a small gap for that reason alone."
)
EQUAL_HEADER = ("compared", "seed", "equal in", "epochs", "train", "natural", "FGSM", "gap")
EQUAL_NOTE = (
    "Is an objective more robust, or does it only learn more slowly? Each stands beside the epoch at which the first "
    "objective, of the same seed, was as accurate in training or on natural test images, as if it had been stopped "
    f"there, before it was most accurate; none where no such epoch ended within {100 * TOLERANCE:g} point. Seed by "
    "seed, the difference in FGSM accuracy, in points, is in brackets. The epoch of the highest FGSM accuracy is found "
    "on the test set, among all epochs, so that difference is flattered."
)
EQUAL_SUMMARY_HEADER = ("compared", "equal in", "seeds", "FGSM", "p", "gap")
EQUAL_SUMMARY_NOTE = (
    "At the last epoch of whole runs, over the seeds where there was one to stand beside it: the difference in FGSM "
    "accuracy, with the p of a paired t-test, and in the generalisation gap, in points with 95 % intervals."
)
_MATCHED: dict[Matched, str] = {"train_accuracy": "train", "test_accuracy": "natural"}


def epoch_cells(report: Report) -> Iterator[list[str]]:
    """For each run its accuracies at every epoch that kept a checkpoint, and at the last recorded one."""
    for curve in report.curves:
        accuracies = (curve.train_accuracy, curve.test_accuracy, curve.test_fgsm_accuracy)
        for epoch, train, test, fgsm in zip(curve.epochs, *accuracies, strict=True):
            if report.spec.training.keeps(epoch) or epoch == curve.epochs[-1]:
                gap = NOTHING if train is None or test is None else points(train - test)
                shown = [per_cent(value, None) for value in (train, test, fgsm)]
                yield [curve.objective, str(curve.seed), str(epoch), *shown, gap]


def gap_cells(found: GapOverEpochs) -> list[str]:
    """Whose, over how many epochs, in how many per cent of them it was small, and the mean, widest and last gap."""
    small = per_cent(found.small_epochs / found.epochs, None)
    widest = (points(found.widest), str(found.widest_epoch))
    return [found.objective, str(found.seed), str(found.epochs), small, points(found.mean), *widest, points(found.last)]


def equal_cells(found: EqualAccuracy) -> list[str]:
    """Who is compared, in what they are equal, at which epochs, and both sides' accuracies."""
    ours, theirs = found.objective_at, found.baseline_at
    moments = " = ".join(map(selection_title, found.moments))
    epochs = f"{ours.epoch} ({moments}) / {theirs.epoch if theirs else 'none'}"
    fgsm = _beside(found, lambda at: per_cent(at.test_fgsm_accuracy, None))
    if theirs is not None:
        fgsm += f" ({points(ours.test_fgsm_accuracy - theirs.test_fgsm_accuracy)})"
    return [
        f"{found.objective} / {found.baseline}",
        str(found.seed),
        _MATCHED[found.equal_in],
        epochs,
        _beside(found, lambda at: per_cent(at.train_accuracy, None)),
        _beside(found, lambda at: per_cent(at.test_accuracy, None)),
        fgsm,
        _beside(found, lambda at: points(at.generalisation_gap)),
    ]


def equal_summary_cells(found: EqualAccuracySummary) -> list[str]:
    """Who is compared, in what equal, over how many seeds, and the differences."""
    return [
        f"{found.objective} − {found.baseline}",
        _MATCHED[found.equal_in],
        str(len(found.seeds)),
        points(found.fgsm_difference.mean, found.fgsm_difference.interval),
        p_value(found.p),
        points(found.gap_difference.mean, found.gap_difference.interval),
    ]


def _beside(found: EqualAccuracy, show: Callable[[EpochAccuracies], str]) -> str:
    return f"{show(found.objective_at)} / {show(found.baseline_at) if found.baseline_at else NOTHING}"
