"""How evaluations, what they found, the leaderboard and transfer matrices are shown."""

from collections.abc import Iterable, Iterator, Sequence

from rich.text import Text

from cli.shown.listings import Cell, Column, Listing, print_listing
from cli.shown.tables import job_status
from cli.terminal import say, visible
from gauntlet.rendering import tables
from gauntlet.rendering.tabled.accuracy_tables import checks
from gauntlet.report.compared.leaderboard import Leaderboard
from gauntlet.report.compared.transfers import TransferMatrix
from gauntlet.report.numbers import NOTHING, counted, listed, per_cent
from gauntlet.resources import Evaluation
from gauntlet.results.accuracy import Accuracy
from gauntlet.results.corruptions import CorruptionOutcome
from gauntlet.results.doubts import Doubt
from gauntlet.results.margins import MarginOutcome
from gauntlet.results.outcome import EvaluationOutcome
from gauntlet.results.smoothing import SmoothingOutcome
from gauntlet.spec.evaluations.attack_titles import attack_heading, attack_title, budget
from gauntlet.spec.evaluations.attacks import attack_label
from gauntlet.spec.evaluations.corruptions import STRENGTH_TITLES
from gauntlet.spec.reading.texts import exactly

_SEVERITY_STYLES = {"error": "red", "warning": "yellow"}


def evaluations_listing(evaluations: Iterable[Evaluation]) -> Listing:
    """One row per evaluation: of what, how it stands, and what each attack leaves or how far it is."""
    return Listing(
        [
            Column("evaluation", "id"),
            Column("of checkpoint", "id", below=True),
            Column("name"),
            Column("data set"),
            Column("status"),
            Column("attacks"),
        ],
        [
            [
                evaluation.id,
                evaluation.checkpoint,
                evaluation.checkpoint_name,
                evaluation.dataset,
                job_status(evaluation),
                list(_attacks(evaluation)),
            ]
            for evaluation in evaluations
        ],
        empty="There are no evaluations.",
    )


def _attacks(evaluation: Evaluation) -> Iterator[str | Text]:
    outcome = evaluation.outcome
    if outcome is None:
        for progress in evaluation.attacks:
            yield f"{progress.label}: {progress.completed}/{progress.total}"
        return
    yield f"natural: {per_cent(outcome.natural.value)}"
    for found in outcome.attacks:
        yield f"{attack_label(found.attack)}: {per_cent(found.accuracy.value)}"
    if evaluation.doubts:
        yield Text(checks(None, evaluation.doubts), "yellow")


def print_outcome(evaluation: Evaluation) -> None:
    """What an evaluation found, what speaks against it, and what was seen of masked gradients."""
    outcome = evaluation.outcome
    if outcome is None:
        return
    print_listing(_outcome_listing(outcome))
    print_doubts(evaluation.doubts)
    if outcome.margins is not None:
        say(_margins(outcome.margins))
    if outcome.corruptions is not None:
        _print_corruptions(outcome.corruptions)
    if outcome.smoothing is not None:
        _print_certified(outcome.smoothing)
    if outcome.masking is not None:
        images = counted(outcome.masking.n, "image")
        say(f"Masked gradients: {outcome.masking.verdict} on {images}, by these checks.")
        print_listing(
            Listing(
                [Column("check"), Column("result"), Column("what was seen")],
                [
                    [check.name.replace("_", " "), check.result.replace("_", " "), check.sentence]
                    for check in outcome.masking.checks
                ],
            )
        )


def _margins(found: MarginOutcome) -> str:
    """How sure the model is of natural images, and how far their decisions lie."""
    sure = f"Mean confidence {per_cent(found.confidence)} %, {per_cent(found.given_up.value)} % of the images given up"
    median = found.distances.median if found.distances else None
    far = (
        "" if median is None else f"; on a straight line half of the right ones lie within {255 * median:.1f}/255 (L∞)"
    )
    return f"{sure}{far}."


def _print_corruptions(found: CorruptionOutcome) -> None:
    severities = list(found.severities)
    lines: list[list[Cell]] = [
        [
            of_one.kind.replace("_", " "),
            *(per_cent(of_one.severities[severity].value) for severity in severities),
            per_cent(of_one.mean.value),
        ]
        for of_one in found.kinds
    ]
    means = [per_cent(found.severities[severity].value) for severity in severities]
    print_listing(
        Listing(
            [
                Column("corruption"),
                *(Column(str(severity), "number") for severity in severities),
                Column("mean", "number"),
            ],
            [*lines, ["mean", *means, per_cent(found.mean.value)]],
            title=f"accuracy in per cent by severity, {STRENGTH_TITLES[found.strengths]} strengths",
        )
    )


def _print_certified(found: SmoothingOutcome) -> None:
    images = counted(found.protocol.n, "image")
    print_listing(
        Listing(
            [Column("radius (L2)", "number"), Column("accuracy", "number"), Column("95 % interval", "number")],
            [[exactly(point.radius), *_accuracy(point.accuracy)] for point in found.curve],
            title=f"certified accuracy in per cent on {images}, smoothed with σ = {exactly(found.sigma)}",
        )
    )


def print_doubts(doubts: Sequence[Doubt]) -> None:
    """A line for each reason not to take the numbers at their word."""
    for doubt in doubts:
        say(f"! {doubt.sentence}", style=_SEVERITY_STYLES[doubt.severity])


def _outcome_listing(outcome: EvaluationOutcome) -> Listing:
    rows: list[list[Cell]] = [["natural", *_accuracy(outcome.natural)]]
    rows += [[attack_heading(found.attack), *_accuracy(found.accuracy)] for found in outcome.attacks]
    titles = {attack_label(found.attack): attack_title(found.attack) for found in outcome.attacks}
    for worst in (worst for worst in outcome.worst_cases if len(worst.attacks) > 1):
        alike = listed([titles[label] for label in worst.attacks])
        rows.append([f"worst of {alike} at {budget(worst.norm, worst.eps)}", *_accuracy(worst.accuracy)])
    return Listing(
        [Column("attack"), Column("accuracy", "number"), Column("95 % interval", "number")],
        rows,
        title=f"accuracy in per cent on {counted(outcome.natural.n, 'image')}",
    )


def leaderboard_listing(leaderboard: Leaderboard) -> Listing:
    """The places of each protocol; published numbers stand below, without a rank."""
    rows: list[list[Cell]] = []
    for group in leaderboard.groups:
        title = f"{group.title} (protocol {group.protocol.id})"
        rows += [
            [
                title,
                str(entry.rank),
                entry.checkpoint,
                entry.name,
                per_cent(entry.natural.value),
                _with_interval(entry.robust),
                Text(visible(checks(entry.masking, entry.doubts)), "yellow" if entry.doubts else ""),
            ]
            for entry in group.entries
        ]
        rows += [
            [
                title,
                "",
                "published",
                f"{reference.name}, {reference.source}",
                per_cent(reference.natural),
                per_cent(reference.robust),
                "",
            ]
            for reference in group.references
        ]
    return Listing(
        [
            Column("measured by"),
            Column("rank", "number"),
            Column("checkpoint", "id"),
            Column("name"),
            Column("natural", "number"),
            Column("robust", "number"),
            Column("checks"),
        ],
        rows,
        about=2,
        grouped=True,
        empty="Nothing has been measured that could be ranked. `gauntlet evaluate CHECKPOINT` does so.",
    )


def transfer_listing(matrix: TransferMatrix) -> Listing:
    """Accuracy of each target (column) under the examples made on each source (row)."""
    targets = range(1, len(matrix.targets) + 1)
    return Listing(
        [Column("made on"), Column("checkpoint", "id"), *(Column(f"on {number}", "number") for number in targets)],
        [
            [str(number), source, *(NOTHING if cell is None else per_cent(cell.value) for cell in row)]
            for number, (source, row) in enumerate(zip(matrix.sources, matrix.cells, strict=True), 1)
        ],
        title="accuracy in per cent: of each checkpoint (column), shown the examples made on each (row)",
        about=2,
        split=True,
    )


def _accuracy(accuracy: Accuracy) -> tuple[str, str]:
    low, high = accuracy.interval
    return per_cent(accuracy.value), f"{per_cent(low)} to {per_cent(high)}"


def _with_interval(accuracy: Accuracy) -> tables.Cell:
    return tables.Cell(*_accuracy(accuracy))
