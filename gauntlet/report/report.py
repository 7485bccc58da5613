"""What an experiment shows: derived from its runs and evaluations, never edited.

This JSON is the truth; `gauntlet.rendering` makes pages, tables and figures of it.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from gauntlet.checks.description import DatasetDescription
from gauntlet.report.curves import RunCurve
from gauntlet.report.equal_accuracy import (
    EqualAccuracy,
    EqualAccuracySummary,
    equal_accuracies,
    equal_accuracy_summaries,
)
from gauntlet.report.gaps import GapOverEpochs, gaps_over_epochs
from gauntlet.report.paper import PaperComparison, beside_the_paper
from gauntlet.report.report_row import ReportRow
from gauntlet.report.summaries import Comparison, Summary, comparisons, summaries
from gauntlet.spec.evaluation import SelectOn
from gauntlet.spec.experiment import ExperimentSpec


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RunCost(_Value):
    """What a run took on its `device`, None before one had it: in seconds, of recorded epochs and attacked batches."""

    run: str
    objective: str
    seed: int
    device: str | None
    training_seconds: float
    evaluation_seconds: float


class Report(_Value):
    """An experiment's results so far; `complete` once nothing of it can change any more."""

    object: Literal["report"] = "report"
    version: Literal[1] = 1
    experiment: str
    name: str
    status: str
    complete: bool
    selected_on: SelectOn
    spec: ExperimentSpec
    dataset: DatasetDescription | None = None  # None before a run has read it, and in an earlier service's report
    rows: tuple[ReportRow, ...]
    summaries: tuple[Summary, ...]
    comparisons: tuple[Comparison, ...]
    equal_accuracies: tuple[EqualAccuracy, ...] = ()  # an earlier service's report has none
    equal_accuracy_summaries: tuple[EqualAccuracySummary, ...] = ()  # likewise
    gaps: tuple[GapOverEpochs, ...] = ()  # likewise
    paper: PaperComparison | None
    curves: tuple[RunCurve, ...]
    costs: tuple[RunCost, ...]
    warnings: tuple[str, ...]


def assemble(
    *,
    experiment: str,
    name: str,
    status: str,
    complete: bool,
    spec: ExperimentSpec,
    dataset: DatasetDescription | None = None,
    rows: Sequence[ReportRow],
    curves: Iterable[RunCurve] = (),
    costs: Iterable[RunCost] = (),
    warnings: Iterable[str] = (),
) -> Report:
    """A report with everything that follows from its rows and curves.

    The first objective of the spec is the others' baseline.
    """
    summed, drawn = tuple(summaries(rows)), tuple(curves)
    baseline = spec.objective_labels()[0]
    equal = tuple(equal_accuracies(drawn, baseline))
    return Report(
        experiment=experiment,
        name=name,
        status=status,
        complete=complete,
        selected_on=spec.evaluation.select_on,
        spec=spec,
        dataset=dataset,
        rows=tuple(rows),
        summaries=summed,
        comparisons=tuple(comparisons(rows, baseline)),
        equal_accuracies=equal,
        equal_accuracy_summaries=tuple(equal_accuracy_summaries(equal, spec.training.epochs)),
        gaps=tuple(gaps_over_epochs(drawn)),
        paper=beside_the_paper(spec, summed, rows[0].n if rows else None),
        curves=drawn,
        costs=tuple(costs),
        warnings=tuple(warnings),
    )
