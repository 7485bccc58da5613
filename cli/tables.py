"""How lists and results look on a terminal."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gauntlet.report.report import Report
from gauntlet.resources import Checkpoint, Classification, Experiment, Run
from gauntlet.spec.objective_labels import objective_title

_LIKELIEST = 3


def experiments_table(experiments: Iterable[Experiment]) -> Table:
    """One line per experiment."""
    table = _table("experiment", "name", "status", "jobs", "created")
    for experiment in experiments:
        progress = experiment.progress
        table.add_row(
            experiment.id,
            escape(experiment.name),
            experiment.status,
            f"{progress.completed}/{progress.total}",
            f"{experiment.created_at:%m-%d\u00a0%H:%M}",
        )
    return table


def runs_tables(runs: Iterable[Run]) -> Iterator[Table]:
    """One table per experiment, one line per run."""
    for experiment, its_runs in groupby(runs, key=lambda run: run.experiment):
        table = _table("run", "objective", "seed", "status", title=experiment)
        for run in its_runs:
            table.add_row(run.id, escape(run.objective), str(run.seed), escape(_status(run)))
        yield table


def checkpoints_table(checkpoints: Iterable[Checkpoint]) -> Table:
    """One line per checkpoint, with its accuracies on the test set during training; an imported one has none."""
    table = _table("checkpoint", "name", "test", "FGSM")
    for checkpoint in checkpoints:
        measured = (checkpoint.metrics.get("test_accuracy"), checkpoint.metrics.get("test_fgsm_accuracy"))
        accuracies = ["–" if value is None else f"{100 * value:.1f}" for value in measured]
        table.add_row(checkpoint.id, escape(checkpoint.name), *accuracies)
    return table


def report_table(report: Report) -> Table:
    """The paper's table: per cent, with 95 % Wilson intervals."""
    table = Table(title=f"{escape(report.name)}: accuracy in per cent, with 95 % intervals", title_justify="left")
    for heading in ("objective", "checkpoint"):
        table.add_column(heading, no_wrap=True)
    for heading in ("train", "natural", *(column.heading.replace(" ", "\n") for column in report.columns), "gap"):
        table.add_column(heading, justify="right")
    for row in report.rows:
        found = {"train_accuracy": row.train_accuracy, "natural_accuracy": row.natural_accuracy} | row.accuracies
        cells = [_cell(value, row.intervals.get(name)) for name, value in found.items()]
        objective = f"{escape(objective_title(row.objective))}\n[dim]seed {row.seed}[/]"
        checkpoint = f"epoch {row.epoch}\n[dim]{row.selection.replace('_', ' ')}[/]"
        table.add_row(objective, checkpoint, *cells, f"{100 * row.generalisation_gap:+.1f}")
    return table


def print_report(report: Report, console: Console) -> None:
    """The table, what makes its numbers suspect or is missing from it, and how the experiment stands."""
    if report.rows:
        console.print(report_table(report))
        console.print(escape(report.result), soft_wrap=True)
    for warning in report.warnings:
        console.print(f"[yellow]![/] {escape(warning)}")
    named = f"{escape(report.name)} ({report.experiment})"
    if not report.complete:
        console.print(f"{named} is {report.status}: the report is not complete.", soft_wrap=True)
    elif report.status != "succeeded":
        console.print(f"{named} {report.status}.", soft_wrap=True)


def classifications_table(seen: Sequence[Classification], names: Mapping[str, str] | None = None) -> Table:
    """What each checkpoint says of each image; `names` may call a checkpoint something other than its id."""
    table = _table("checkpoint", "image", "prediction", "likeliest classes")
    for item in seen:
        likeliest = "\n".join(
            f"{escape(c.label)}: {100 * c.probability:.1f} %" for c in item.probabilities[:_LIKELIEST]
        )
        table.add_row(
            escape((names or {}).get(item.checkpoint, item.checkpoint)),
            escape(item.image),
            escape(item.label),
            likeliest,
        )
    return table


def _table(identifier: str, *headings: str, title: str | None = None) -> Table:
    """A table whose first column, an id to be copied, is never cut."""
    table = Table(title=title, title_justify="left")
    table.add_column(identifier, no_wrap=True, min_width=30)
    for heading in headings:
        table.add_column(heading)
    return table


def _status(run: Run) -> str:
    if run.status == "running" and run.progress is not None:
        return f"{run.progress.phase}, {100 * run.progress.completed / max(1, run.progress.total):.0f} %"
    return f"{run.status} ({run.status_reason})" if run.status_reason else run.status


def _cell(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None or interval is None:
        return "–"
    return f"{100 * value:.1f}\n[dim]{100 * interval[0]:.0f}–{100 * interval[1]:.0f}[/]"
