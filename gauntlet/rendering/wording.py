"""Sentences that the renderings share. Plain text: each rendering escapes what its own syntax needs."""

from collections.abc import Sequence
from typing import assert_never

from gauntlet.checks.description import DatasetDescription
from gauntlet.checks.sentences import describe
from gauntlet.report.numbers import counted, listed, selection_title
from gauntlet.report.report import Report
from gauntlet.report.summaries import Comparison
from gauntlet.spec.evaluations.attack_titles import attack_name, budget
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.kinds import dataset_title
from gauntlet.spec.runs.adversaries import (
    AdversarySpec,
    FgsmAdversary,
    FgsmRsAdversary,
    NFgsmAdversary,
    NoAdversary,
    PgdAdversary,
)
from gauntlet.spec.runs.objective_labels import objective_title

_FEW_SEEDS = 5
_MOST_NAMED_ATTACKS = 12
MASKING_NOTE = (
    "Does a model look robust because attacks fail on it, not because none can succeed? A pass means that no sign of "
    "that was found in what was measured."
)
PROTOCOL_NOTE = "Two accuracies may be compared only where their protocols are equal."
CLASS_NOTE = "Per cent of each true class that is taken for it; a class has few images, so single numbers say little."


def describe_training(spec: ExperimentSpec) -> str:
    """Data, network, adversary and length of training in a sentence."""
    optimizer = spec.training.optimizer
    held_out = ""
    if spec.evaluation.select_on == "validation":
        held_out = (
            f" Held out for validation: {spec.evaluation.validation_samples or 'a tenth'} of the training images."
        )
    schedule, norm = spec.training.schedule.kind, spec.adversary.norm
    paced = "" if schedule == "constant" else f" with a {schedule.replace('_', '-')} schedule"
    changed = "" if spec.training.augmentation is None else " of augmented images"
    behind = "" if spec.normalisation is None else " behind a normalisation"
    averaging, averaged = spec.training.averaging, ""
    if averaging is not None and averaging.keep != "weights":
        decay = f"(decay {averaging.decay:g})"
        kept = (
            f"Checkpoints hold the weights' moving average {decay} and are selected by its accuracies"
            if averaging.keep == "average"
            else f"Beside the weights their moving average {decay} is kept, selected by its own accuracies and attacked"
        )
        averaged = f" {kept}; curves are of the weights."
    swept = "" if spec.sweep is None else f" Each trial of the sweep has its own {listed(list(spec.sweep.over))}."
    return (
        f"Data set {dataset_title(spec.dataset)}, architecture {spec.architecture.kind}{behind}; "
        f"{_trained(spec.adversary)} {budget(norm, spec.adversary.eps)}, {counted(spec.training.epochs, 'epoch')} in "
        f"batches of {spec.training.batch_size}{changed}, {optimizer.kind} at {optimizer.lr:g}{paced}."
        f"{held_out}{averaged}{swept}"
    )


def _trained(adversary: AdversarySpec) -> str:
    """How, up to the budget."""
    match adversary:
        case NoAdversary():
            return "natural training, measured at"
        case FgsmAdversary():
            return "FGSM adversarial training at"
        case FgsmRsAdversary():
            return "adversarial training with FGSM from random starts at"
        case NFgsmAdversary():
            return "adversarial training with N-FGSM at"
        case PgdAdversary():
            return f"adversarial training with PGD of {counted(adversary.steps, 'step')} at"
        case _:
            assert_never(adversary)


def describe_data(dataset: DatasetDescription) -> str:
    """What was read of the data set, in sentences."""
    return " ".join(describe(dataset))


def describe_evaluation(report: Report) -> str:
    """Attacks, number of images, and on what the best checkpoint was selected."""
    attacks = report.spec.evaluation.attacks
    many = len(attacks) > _MOST_NAMED_ATTACKS
    budgets = f"{len(attacks)} attacks" if many else ", ".join(map(attack_name, attacks))
    images = f" on {counted(report.rows[0].n, 'test image')}" if report.rows else ""
    selected = ""
    if "best_fgsm" in report.spec.evaluation.select:
        selected = {
            "test": " The best checkpoint was selected on the test set, as in the paper.",
            "validation": " The best checkpoint was selected on the validation set, not on the test set as in the "
            "paper.",
        }[report.selected_on]
        if report.selected_on == "validation" and report.spec.training.initial_checkpoint is not None:
            selected += " The weights that training began with may have seen images of the validation set."
    return (
        f"Evaluated{images} under {budgets}. Accuracies in per cent with 95 % Wilson intervals; gap is train − natural "
        f"accuracy of the whole test set, in points, with Newcombe's interval.{selected}"
    )


def caution(report: Report) -> str:
    """What so many seeds can and cannot show."""
    fewest = min(len(summary.seeds) for summary in report.summaries)
    means = (
        "Means over seeds with 95 % intervals (Student's, on the logits), which speak of training again with other "
        "seeds on the same data."
    )
    if fewest < 2:  # noqa: PLR2004  # a spread needs two
        few = " At least one objective has a single seed, of which nothing is known in that respect."
    else:
        few = f" {fewest} seeds are few: an effect must be large to show." if fewest < _FEW_SEEDS else ""
    return means + few


def comparison_note(report: Report) -> str:
    """What is compared, and how to read the differences and their p."""
    tested = any(found.p is not None for found in report.comparisons)
    several = any(found.p_adjusted != found.p for found in report.comparisons)
    # None of a comparison that an earlier version made, whose intervals are of 95 % each.
    of_images = [found for found in report.comparisons if found.image_interval is not None]
    together = [found.image_interval_of or 1 for found in of_images]
    told = [f"Differences in points, paired by seed; robustness is compared in {report.headline_column().name}."]
    if tested:
        told.append("Intervals are Student's, on Fisher's z; p is of a two-sided paired t-test.")
    if several:
        told.append(
            "Adjusted by Holm's method for all that is compared in the same accuracy, a p below 0.05 is hardly chance."
        )
    if together:
        most = max(together)
        held = f", and so wide that all {most} of an accuracy hold together with 95 %" if most > 1 else ""
        told.append(
            f"With one seed an interval is Newcombe's{_paired(report, of_images)}{held}. It speaks of the test images "
            "alone: training again may change the difference, or turn it."
        )
    return " ".join(told)


def _paired(report: Report, of_images: Sequence[Comparison]) -> str:
    """Whether these comparisons' intervals are paired by image, and which are not where others are."""
    apart = [found for found in of_images if found.images_apart is None]
    if not apart:
        return ", paired by image"
    if len(apart) == len(of_images):
        return ""
    names = {"natural_accuracy": "natural accuracy", report.headline: report.headline_column().name}
    # Of one checkpoint each usually, and of all its accuracies: what is the same of all is not said.
    places = [(found.objective, found.selection) for found in of_images]
    several = len({found.selection for found in of_images}) > 1
    told = []
    for objective, selection in dict.fromkeys((found.objective, found.selection) for found in apart):
        where = f" ({selection_title(selection)})" if several else ""
        of_it = [names[one.metric] for one in apart if (one.objective, one.selection) == (objective, selection)]
        what = f" in {listed(of_it)}" if len(of_it) < places.count((objective, selection)) else ""
        told.append(f"{objective_title(objective)}{where}{what}")
    return (
        f", paired by image but for {listed(told)}: there it is of two samples, and wider, for the evaluations do not "
        "tell which of the same images are right"
    )


def paper_notes(report: Report) -> list[str]:
    """What the comparison with the paper rests on."""
    assert report.paper is not None
    one_run = "The paper's numbers are of one run each: how far another seed would have moved them is not known."
    several = any(len(row.seeds) > 1 for row in report.paper.rows)
    ours = "Ours (mean over seeds)" if several else "Ours"
    return [f"{ours} / the paper's (difference in points). {one_run}", *report.paper.departures]
