"""How evaluations, the leaderboard and transfer matrices look on a terminal."""

from collections.abc import Iterable, Iterator

from rich.markup import escape
from rich.table import Table

from gauntlet.report.leaderboard import Leaderboard
from gauntlet.report.transfers import TransferMatrix
from gauntlet.resources import Evaluation
from gauntlet.results.outcome import Accuracy, EvaluationOutcome
from gauntlet.spec.attacks import attack_label

_MISSING = "–"


def evaluations_table(evaluations: Iterable[Evaluation]) -> Table:
    """One line per evaluation, with what each attack leaves, or how far it is."""
    table = Table()
    table.add_column("evaluation", no_wrap=True, min_width=31)
    for heading in ("status", "attacks"):
        table.add_column(heading)
    for evaluation in evaluations:
        table.add_row(evaluation.id, evaluation.status, "\n".join(map(escape, _attacks(evaluation))))
    return table


def _attacks(evaluation: Evaluation) -> Iterator[str]:
    if evaluation.outcome is None:
        for progress in evaluation.attacks:
            yield f"{progress.label}: {progress.completed}/{progress.total}"
        return
    yield f"natural: {_percent(evaluation.outcome.natural.value)}"
    for found in evaluation.outcome.attacks:
        yield f"{attack_label(found.attack)}: {_percent(found.accuracy.value)}"


def outcome_table(outcome: EvaluationOutcome) -> Table:
    """Accuracy without and under each attack, and the worst case of each threat model."""
    table = Table(title=f"accuracy in per cent on {outcome.natural.n:,} images", title_justify="left")
    table.add_column("attack")
    for heading in ("accuracy", "95 % interval"):
        table.add_column(heading, justify="right")
    table.add_row("natural", *_cells(outcome.natural))
    for found in outcome.attacks:
        table.add_row(escape(attack_label(found.attack)), *_cells(found.accuracy))
    for worst in outcome.worst_cases:
        if len(worst.attacks) > 1:
            table.add_row(escape(f"worst case of {', '.join(worst.attacks)}"), *_cells(worst.accuracy))
    return table


def leaderboard_tables(leaderboard: Leaderboard) -> Iterator[Table]:
    """One table per protocol; published numbers stand below, without a rank."""
    for group in leaderboard.groups:
        table = Table(title=escape(f"{group.title} (protocol {group.protocol.id})"), title_justify="left")
        table.add_column("")
        table.add_column("checkpoint", no_wrap=True, min_width=31)
        table.add_column("name")
        for heading in ("natural", "robust", "95 %"):
            table.add_column(heading, justify="right")
        for entry in group.entries:
            table.add_row(
                str(entry.rank),
                entry.checkpoint,
                escape(entry.name) + (" [red]masked gradients?[/]" if entry.masking == "SUSPECT" else ""),
                _percent(entry.natural.value),
                *_cells(entry.robust),
            )
        for reference in group.references:
            natural = _MISSING if reference.natural is None else _percent(reference.natural)
            name = escape(f"{reference.name}, {reference.source}")
            table.add_row("", "[dim]published[/]", name, natural, _percent(reference.robust), "")
        yield table


def transfer_table(matrix: TransferMatrix) -> Table:
    """Accuracy of each target (column) under the examples made on each source (row)."""
    table = Table(title="accuracy in per cent; rows: made on, columns: shown to", title_justify="left")
    table.add_column("source", no_wrap=True)
    for number, _ in enumerate(matrix.targets, 1):
        table.add_column(str(number), justify="right")
    for number, (source, row) in enumerate(zip(matrix.sources, matrix.cells, strict=True), 1):
        table.add_row(f"{number} {source}", *(_MISSING if cell is None else _percent(cell.value) for cell in row))
    return table


def _cells(accuracy: Accuracy) -> tuple[str, str]:
    low, high = accuracy.interval
    return _percent(accuracy.value), f"{_percent(low)}–{_percent(high)}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}"
