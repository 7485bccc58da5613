"""The table of a sweep's trials."""

from gauntlet.rendering.tables import Cell, Table, numbers, words
from gauntlet.report.numbers import per_cent
from gauntlet.report.sweeps import RankedTrial, SweepResult

SWEEP_NOTE = (
    "Trials by the metric after their last epoch, a mean over seeds, in per cent; those that were trained to their end "
    "come first, then those that came further."
)


def sweep_table(found: SweepResult) -> Table:
    """A line for each trial, by objective and rank; the metric in per cent."""
    metric = found.metric.replace("_", " ").replace("fgsm", "FGSM")
    columns = [*numbers("rank"), *words("trial"), *numbers("runs", "epochs", metric), *words("end")]
    return Table.of(columns, found.trials, lambda trial: _line(trial, found))


def _line(trial: RankedTrial, found: SweepResult) -> list[Cell]:
    selected = trial.label in found.selected
    end = "stopped early" if trial.stopped else "trained to its end" if trial.complete else "not at its end"
    return [
        Cell(str(trial.rank)),
        Cell(trial.label, "selected" if selected else ""),
        Cell(str(trial.runs)),
        Cell(str(trial.epochs)),
        Cell(per_cent(trial.value)),
        Cell(end),
    ]
