"""How lists and results look on a terminal."""

from collections.abc import Iterable, Sequence

from rich.table import Table

from gauntlet.eps import format_eps
from gauntlet.report import Report
from gauntlet.resources import Classification, Experiment, Run

_LIKELIEST = 3


def experiments_table(experiments: Iterable[Experiment]) -> Table:
    """One line per experiment."""
    table = Table("experiment", "name", "status", "jobs", "created")
    for experiment in experiments:
        progress = experiment.progress
        table.add_row(
            experiment.id,
            experiment.name,
            experiment.status,
            f"{progress.completed}/{progress.total}",
            f"{experiment.created_at:%Y-%m-%d %H:%M}",
        )
    return table


def runs_table(runs: Iterable[Run]) -> Table:
    """One line per run."""
    table = Table("run", "experiment", "objective", "seed", "status", "progress")
    for run in runs:
        done = (
            run.progress and f"{100 * run.progress.completed / max(1, run.progress.total):.0f} % {run.progress.phase}"
        )
        status = f"{run.status} ({run.status_reason})" if run.status_reason else run.status
        table.add_row(run.id, run.experiment, run.objective, str(run.seed), status, done or "")
    return table


def report_table(report: Report) -> Table:
    """The paper's table: per cent, with 95 % Wilson intervals."""
    eps = {attack.kind: format_eps(attack.eps) for attack in reversed(report.spec.evaluation.attacks)}
    table = Table(title=f"{report.name}: accuracy in per cent, with 95 % intervals", title_justify="left")
    for heading in ("objective", "seed", "checkpoint"):
        table.add_column(heading, no_wrap=True)
    attacked = (f"FGSM\n{eps.get('fgsm', '')}", f"AutoAttack\n{eps.get('autoattack', '')}")
    for heading in ("train", "natural", *attacked, "gap"):
        table.add_column(heading, justify="right")
    for row in report.rows:
        accuracies = ("train_accuracy", "natural_accuracy", "fgsm_accuracy", "autoattack_accuracy")
        cells = [_cell(getattr(row, name), row.intervals.get(name)) for name in accuracies]
        checkpoint = f"epoch {row.epoch}\n[dim]{row.selection.replace('_', ' ')}[/]"
        table.add_row(row.objective, str(row.seed), checkpoint, *cells, f"{100 * row.generalisation_gap:+.1f}")
    return table


def classifications_table(seen: Sequence[Classification]) -> Table:
    """What each checkpoint says of each image."""
    table = Table("image", "checkpoint", "prediction", "likeliest classes")
    table.columns[1].no_wrap = True
    for item in seen:
        likeliest = "\n".join(f"{c.label}: {100 * c.probability:.1f} %" for c in item.probabilities[:_LIKELIEST])
        table.add_row(item.image, item.checkpoint, item.label, likeliest)
    return table


def _cell(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None or interval is None:
        return "–"
    return f"{100 * value:.1f}\n[dim]{100 * interval[0]:.0f}–{100 * interval[1]:.0f}[/]"
