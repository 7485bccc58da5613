"""The report as sections in the order in which a reader wants them: first the answer, then what it rests on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gauntlet.rendering import history, wording
from gauntlet.rendering.tabled import (
    accuracy_tables,
    certified_tables,
    corruption_tables,
    evidence_tables,
    margin_tables,
    sweep_tables,
)
from gauntlet.rendering.tables import Table
from gauntlet.report.numbers import selection_title
from gauntlet.report.report import Report
from gauntlet.report.report_row import ReportRow
from gauntlet.spec.runs.objective_labels import objective_title

_MOST_CLASS_TABLES = 20


@dataclass(frozen=True)
class Folded:
    """A table that is only looked at by those who want it, and what it is of."""

    title: str
    table: Table


@dataclass(frozen=True)
class Section:
    """A heading, what is said of its tables, and the tables; `listed` are sentences that stand as a list."""

    title: str
    notes: Sequence[str] = ()
    listed: Sequence[str] = ()
    tables: Sequence[Table] = ()
    folded: Sequence[Folded] = field(default_factory=tuple)


def answer(report: Report, *, across: int) -> Iterator[Section]:
    """What was found; `across` accuracies under attack fit beside each other."""
    if report.sweep is not None and report.sweep.trials:
        yield Section("The sweep", [sweep_tables.SWEEP_NOTE], tables=[sweep_tables.sweep_table(report.sweep)])
    if report.rows:
        tables = accuracy_tables.result_tables(report, across=across)
        yield Section("Accuracy of every run", [wording.describe_evaluation(report)], tables=tables)
    if report.warnings:
        yield Section("Warnings", listed=report.warnings)
    if accuracy_tables.has_several_seeds(report):
        tables = accuracy_tables.summary_tables(report, across=across)
        yield Section("Over seeds", [wording.caution(report)], tables=tables)
    if report.comparisons:
        table = accuracy_tables.comparison_table(report)
        yield Section("Objectives compared", [wording.comparison_note(report)], tables=[table])
    if (corruptions := corruption_tables.corruption_table(report)) is not None:
        yield Section("Corruptions", [corruption_tables.corruption_note(report)], tables=[corruptions])
    if (certified := certified_tables.certified_table(report)) is not None:
        yield Section("Certified accuracy", [certified_tables.certified_note(report)], tables=[certified])
    if report.paper is not None and report.paper.rows:
        source = f"Source: {report.paper.rows[0].published.source}."
        table = accuracy_tables.paper_table(report, report.paper.rows)
        yield Section("Beside the paper", [*wording.paper_notes(report), source], tables=[table])
    if report.equal_accuracies:
        yield from _at_equal_accuracy(report)


def evidence(report: Report) -> Iterator[Section]:
    """What the answer rests on: the course of training, checks, protocols, classes, cost."""
    if report.gaps and history.has_history(report):
        yield Section("The gap over epochs", [history.GAP_NOTE], tables=[history.gap_table(report)])
    if report.curves:
        folded = [Folded("Accuracies by epoch", history.epoch_table(report))]
        yield Section("By epoch", [history.EPOCH_NOTE], folded=folded)
    if (masking := evidence_tables.masking_table(report)) is not None:
        yield Section("Masked gradients", [wording.MASKING_NOTE], folded=[Folded("Every check", masking)])
    if (margins := margin_tables.margin_table(report)) is not None:
        folded = [Folded("Every checkpoint", margins)]
        yield Section("How sure, how far, how steep", [margin_tables.MARGIN_NOTE], folded=folded)
    if report.rows:
        protocols = evidence_tables.protocol_table(report)
        yield Section("Protocols", [wording.PROTOCOL_NOTE], tables=[protocols])
    if classes := list(_by_class(report)):
        left_out = len(report.rows) - _MOST_CLASS_TABLES
        more = (
            [f"The first {_MOST_CLASS_TABLES} of {len(report.rows)} lines; the JSON has all."] if left_out > 0 else []
        )
        yield Section("By class", [wording.CLASS_NOTE, *more], folded=classes)
    if report.costs:
        yield Section("Cost", tables=[evidence_tables.cost_table(report)])


def row_title(row: ReportRow) -> str:
    """Whose numbers they are, in words."""
    named = f"{objective_title(row.objective)}, seed {row.seed}, epoch {row.epoch} ({selection_title(row.selection)})"
    return f"{named}, in doubt" if row.doubts else named


def _at_equal_accuracy(report: Report) -> Iterator[Section]:
    notes, tables = [history.EQUAL_NOTE], []
    if report.equal_accuracy_summaries:
        notes.append(history.equal_summary_note(report))
        tables.append(history.equal_summary_table(report))
    yield Section(
        "At equal accuracy", notes, tables=tables, folded=[Folded("Seed by seed", history.equal_table(report))]
    )


def _by_class(report: Report) -> Iterator[Folded]:
    for row in report.rows[:_MOST_CLASS_TABLES]:
        if (table := evidence_tables.class_table(report, row)) is not None:
            yield Folded(row_title(row), table)
