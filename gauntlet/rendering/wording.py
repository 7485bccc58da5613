"""Numbers and sentences that the renderings share. Plain text: each rendering escapes what its own syntax needs."""

from collections.abc import Iterator, Sequence

from gauntlet.checks.sentences import describe
from gauntlet.report.paper import Beside, PaperRow
from gauntlet.report.report import Report
from gauntlet.report.report_row import ReportRow
from gauntlet.report.summaries import Comparison, Estimate, Metric, Summary
from gauntlet.results.outcome import WorstCase
from gauntlet.spec.attacks import AnyAttack, attack_title
from gauntlet.spec.eps import format_eps
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.kinds import dataset_title

NOTHING = "–"
NORMS = {"Linf": "L∞", "L2": "L2"}
COLUMNS: dict[Metric, str] = {
    "train_accuracy": "train",
    "natural_accuracy": "natural",
    "fgsm_accuracy": "FGSM",
    "autoattack_accuracy": "AutoAttack",
    "generalisation_gap": "gap",
}
# What stands above the cells that the functions below make.
ROW_HEADER = ("objective", "seed", "checkpoint", *COLUMNS.values())
SUMMARY_HEADER = ("objective", "checkpoint", "seeds", *COLUMNS.values())
COMPARISON_HEADER = ("compared", "checkpoint", "metric", "seeds", "difference", "p")
PAPER_HEADER = ("here", "in the paper", "natural", "FGSM", "AutoAttack")
ATTACK_HEADER = ("objective", "seed", "checkpoint", "attack", "n", "accuracy", "protocol")
MASKING_HEADER = ("objective", "seed", "checkpoint", "verdict", "check", "result", "what was seen")
COST_HEADER = ("objective", "seed", "device", "training, s", "evaluation, s")
_FEW_SEEDS = 5


def selection_title(selection: str) -> str:
    """Such as `best fgsm`."""
    return selection.replace("_", " ")


def attack_name(attack: AnyAttack) -> str:
    """An attack with its budget, such as `FGSM at ε = 8/255 (L∞)`."""
    return f"{attack_title(attack)} at {budget(attack)}"


def budget(threat: AnyAttack | WorstCase) -> str:
    """A budget with its norm, such as `ε = 8/255 (L∞)`."""
    return f"ε = {format_eps(threat.eps)} ({NORMS[threat.norm]})"


def per_cent(value: float | None, interval: tuple[float, float] | None) -> str:
    """A fraction in per cent with its interval."""
    if value is None:
        return NOTHING
    written = f"{100 * value:.1f}"
    return written if interval is None else f"{written} [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def points(value: float, interval: tuple[float, float] | None = None) -> str:
    """A difference of fractions in signed percentage points with its interval."""
    written = _signed(100 * value)
    return written if interval is None else f"{written} [{_signed(100 * interval[0])}, {_signed(100 * interval[1])}]"


def describe_data(report: Report) -> str:
    """What was read of the data set, in sentences; nothing before a run has read it."""
    return "" if report.dataset is None else " ".join(describe(report.dataset))


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def p_value(p: float | None) -> str:
    """A p to three digits, never a false zero."""
    if p is None:
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"  # noqa: PLR2004  # the last digit shown


def estimate(found: Estimate | None, metric: Metric) -> str:
    """A mean over seeds, in per cent or, of a difference, in points."""
    if found is None:
        return NOTHING
    show = points if metric == "generalisation_gap" else per_cent
    return show(found.mean, found.interval)


def row_cells(row: ReportRow) -> list[str]:
    """Objective, seed, checkpoint, and the row's column of every metric."""
    accuracies = [
        per_cent(getattr(row, metric), row.intervals.get(metric)) for metric in COLUMNS if metric.endswith("accuracy")
    ]
    checkpoint = f"epoch {row.epoch} ({selection_title(row.selection)})"
    gap = points(row.generalisation_gap, row.intervals.get("generalisation_gap"))
    return [row.objective, str(row.seed), checkpoint, *accuracies, gap]


def summary_cells(summary: Summary) -> list[str]:
    """Objective, selection, number of seeds, and the mean of every metric."""
    means = [estimate(getattr(summary, metric), metric) for metric in COLUMNS]
    return [summary.objective, selection_title(summary.selection), str(len(summary.seeds)), *means]


def comparison_cells(found: Comparison) -> list[str]:
    """What is compared, in which metric, over how many seeds, the difference and its p."""
    return [
        f"{found.objective} − {found.baseline}",
        selection_title(found.selection),
        COLUMNS[found.metric],
        str(len(found.seeds)),
        points(found.difference.mean, found.difference.interval),
        p_value(found.p),
    ]


def paper_cells(row: PaperRow) -> list[str]:
    """Our line, the paper's, and for each of its accuracies ours, the paper's and the difference in points."""
    epochs = ", ".join(map(str, sorted(set(row.epochs))))
    ours = f"{row.objective}, epoch {epochs} ({selection_title(row.selection)})"
    return [ours, row.published.name, *map(_beside, (row.natural, row.fgsm, row.autoattack))]


def _beside(found: Beside | None) -> str:
    if found is None:
        return NOTHING
    return f"{100 * found.ours.mean:.1f} / {100 * found.published:.2f} ({_signed(found.difference_points)})"


def attack_cells(report: Report) -> Iterator[list[str]]:
    """For each row and attack, and the worst case of several: whose, which, n, accuracy with interval, protocol."""
    for row in report.rows:
        whose = [row.objective, str(row.seed), f"epoch {row.epoch} ({selection_title(row.selection)})"]
        for found in row.outcome.attacks:
            accuracy = per_cent(found.accuracy.value, found.accuracy.interval)
            yield [*whose, attack_name(found.attack), str(found.accuracy.n), accuracy, found.protocol.id]
        for worst in (case for case in row.outcome.worst_cases if len(case.attacks) > 1):
            accuracy = per_cent(worst.accuracy.value, worst.accuracy.interval)
            of = f"worst case of {len(worst.attacks)} at {budget(worst)}"
            yield [*whose, of, str(worst.accuracy.n), accuracy, NOTHING]


MASKING_NOTE = (
    "Does a model look robust because attacks fail on it, not because none can succeed? A pass means that no sign of "
    "that was found in what was measured."
)


def masking_cells(report: Report) -> list[list[str]]:
    """For each row that was checked for masked gradients and each check: whose, the verdict, what was seen."""
    return [
        [
            row.objective,
            str(row.seed),
            f"epoch {row.epoch} ({selection_title(row.selection)})",
            row.outcome.masking.verdict,
            check.name.replace("_", " "),
            check.result.replace("_", " "),
            check.sentence,
        ]
        for row in report.rows
        if row.outcome.masking is not None
        for check in row.outcome.masking.checks
    ]


def per_class_cells(row: ReportRow) -> Iterator[list[str]]:
    """For each class of a row's test images: its name, how many there are, the share taken for it, then per attack."""
    counted = [row.outcome.confusion, *(found.confusion for found in row.outcome.attacks)]
    for position, name in enumerate(row.outcome.classes):
        of_class = [confusion[position] for confusion in counted if confusion is not None]
        if len(of_class) == len(counted) and (n := sum(of_class[0])):
            yield [name, str(n), *(f"{100 * counts[position] / n:.1f}" for counts in of_class)]


def cost_cells(report: Report) -> Iterator[list[str]]:
    """For each run: whose, where, and the seconds of its training and evaluation."""
    for cost in report.costs:
        seconds = (f"{cost.training_seconds:,.1f}", f"{cost.evaluation_seconds:,.1f}")
        yield [cost.objective, str(cost.seed), cost.device or NOTHING, *seconds]


def describe_training(spec: ExperimentSpec) -> str:
    """Data, network, adversary and length of training in a sentence."""
    optimizer = spec.training.optimizer
    held_out = ""
    if spec.evaluation.select_on == "validation":
        held_out = (
            f" Held out for validation: {spec.evaluation.validation_samples or 'a tenth'} of the training images."
        )
    return (
        f"Data set {dataset_title(spec.dataset)}, architecture {spec.architecture.kind}; FGSM adversarial training at "
        f"ε = {format_eps(spec.adversary.eps)}, {spec.training.epochs} epochs in batches of "
        f"{spec.training.batch_size}, {optimizer.kind} at {optimizer.lr:g}.{held_out}"
    )


def describe_evaluation(report: Report) -> str:
    """Attacks, number of images, and on what the best checkpoint was selected."""
    budgets = ", ".join(map(attack_name, report.spec.evaluation.attacks))
    images = f" on {report.rows[0].n} test images" if report.rows else ""
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


def caution(summaries: Sequence[Summary]) -> str:
    """What so many seeds can and cannot show."""
    fewest = min(len(summary.seeds) for summary in summaries)
    if fewest < 2:  # noqa: PLR2004  # a spread needs two
        return (
            "At least one objective has a single seed: its intervals speak of which test images were drawn, and "
            "nothing here says how much training it again would change. A difference between objectives may be "
            "chance."
        )
    few = f" {fewest} seeds are few: an effect must be large to show." if fewest < _FEW_SEEDS else ""
    return (
        f"Means over seeds with 95 % Student-t intervals, which speak of training again with other seeds on the same "
        f"data.{few}"
    )


def comparison_note(report: Report) -> str:
    """How to read the p values."""
    return (
        f"Differences in points, paired by seed; p is of a two-sided paired t-test, not adjusted for the "
        f"{len(report.comparisons)} comparisons shown."
    )


def paper_notes(report: Report) -> list[str]:
    """What the comparison with the paper rests on."""
    assert report.paper is not None
    one_run = "The paper's numbers are of one run each: how far another seed would have moved them is not known."
    return [f"Ours (mean over seeds) / the paper's (difference in points). {one_run}", *report.paper.departures]
