"""What an experiment shows: derived from its runs and evaluations, never edited.

This JSON is the truth; `gauntlet.rendering` makes pages, tables and figures of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, TypeAdapter, model_validator

from gauntlet.checks.description import DatasetDescription
from gauntlet.report.columns import Column, columns, headline
from gauntlet.report.compared.equal_accuracy import (
    EqualAccuracy,
    EqualAccuracySummary,
    equal_accuracies,
    equal_accuracy_summaries,
)
from gauntlet.report.compared.gaps import GapOverEpochs, gaps_over_epochs
from gauntlet.report.compared.paper import PaperComparison, beside_the_paper
from gauntlet.report.compared.protocols import beside_autoattack
from gauntlet.report.curves import RunCurve
from gauntlet.report.report_row import ReportRow, of_first_selection
from gauntlet.report.result import doubts_in_words, in_words
from gauntlet.report.summaries import Comparison, Summary, comparisons, summaries
from gauntlet.report.sweeps import SweepResult, sweep_warnings
from gauntlet.report.version_1 import row_of_version_1
from gauntlet.spec.evaluations.attacks import AnyAttack, attack_label
from gauntlet.spec.evaluations.evaluation import SelectOn
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
    """An experiment's results so far; `complete` once nothing of it can change any more.

    `result` is the outcome in words. `objectives` are their names in the spec's order, the first being the others'
    baseline. `columns` are the accuracies under attack that every row has, and `headline` the key of the one that
    objectives are compared in. `warnings` has every row's doubts, and what is missing.
    """

    object: Literal["report"] = "report"
    version: Literal[2] = 2
    experiment: str
    name: str
    status: str
    complete: bool
    result: str
    selected_on: SelectOn
    spec: ExperimentSpec
    dataset: DatasetDescription | None  # None before a run has read it
    objectives: tuple[str, ...]
    columns: tuple[Column, ...]
    headline: str
    rows: tuple[ReportRow, ...]
    summaries: tuple[Summary, ...]
    comparisons: tuple[Comparison, ...]
    equal_accuracies: tuple[EqualAccuracy, ...]
    equal_accuracy_summaries: tuple[EqualAccuracySummary, ...]
    gaps: tuple[GapOverEpochs, ...]
    paper: PaperComparison | None
    # An earlier client knows none.
    sweep: SweepResult | None = Field(default=None, exclude_if=lambda sweep: sweep is None)
    curves: tuple[RunCurve, ...]
    costs: tuple[RunCost, ...]
    warnings: tuple[str, ...]

    def headline_column(self) -> Column:
        """The accuracy that objectives are compared in."""
        return next(column for column in self.columns if column.key == self.headline)

    def compared_attacks(self) -> list[AnyAttack]:
        """The attacks of the headline: one, or those of which it is the worst case."""
        labels = self.headline_column().attacks
        return [attack for attack in self.spec.evaluation.attacks if attack_label(attack) in labels]

    @cached_property
    def in_doubt(self) -> frozenset[str]:
        """The objectives of which a row is in doubt: a mean, a curve or a comparison of them is so too."""
        return frozenset(row.objective for row in self.rows if row.doubts)

    @model_validator(mode="wrap")
    @classmethod
    def _read_version_1(cls, document: Any, validate: ModelWrapValidatorHandler[Self]) -> "Self | Report":
        if not isinstance(document, Mapping) or document.get("version") != 1:
            return validate(document)
        costs = TypeAdapter(tuple[RunCost, ...]).validate_python(document["costs"])
        whole = assemble(
            experiment=document["experiment"],
            name=document["name"],
            status=document["status"],
            complete=document["complete"],
            spec=ExperimentSpec.model_validate(document["spec"]),
            objectives=dict.fromkeys(cost.objective for cost in costs),
            rows=[row_of_version_1(row) for row in document["rows"]],
            curves=TypeAdapter(tuple[RunCurve, ...]).validate_python(document["curves"]),
            costs=costs,
        )
        return whole.model_copy(update={"warnings": tuple(document["warnings"])})


def assemble(
    *,
    experiment: str,
    name: str,
    status: str,
    complete: bool,
    spec: ExperimentSpec,
    dataset: DatasetDescription | None = None,
    objectives: Iterable[str] = (),
    rows: Sequence[ReportRow],
    curves: Iterable[RunCurve] = (),
    costs: Iterable[RunCost] = (),
    sweep: SweepResult | None = None,
    warnings: Iterable[str] = (),
) -> Report:
    """A report with everything that follows from its rows and curves.

    Args:
        experiment: a name for it, any text.
        complete: whether nothing of it can change any more.
        rows: one for each run and selection, as `report_row` makes them.
        curves: accuracies by epoch; of a run without an epoch there is nothing to draw.
        objectives: what the runs call the spec's objectives, of a sweep its trials, in its order; by default as they
            are called today.
        warnings: what to say beyond the rows' doubts.
    """
    named = tuple(objectives) or tuple(dict.fromkeys(label for label, _ in spec.runs()))
    shown = columns(spec.evaluation)
    judged = headline(shown, spec.adversary.norm, spec.adversary.eps)
    selected = f"{sweep.result} " if sweep is not None and sweep.trials else ""
    summed, drawn = tuple(summaries(rows)), tuple(curve for curve in curves if curve.epochs)
    compared = comparisons(rows, named[0], judged.key)
    equal = tuple(equal_accuracies(drawn, named[0]))
    return Report(
        experiment=experiment,
        name=name,
        status=status,
        complete=complete,
        result=" ".join(
            [
                selected
                + in_words(judged, of_first_selection(rows, spec.evaluation), compared, None if complete else status),
                *beside_autoattack(rows),
            ]
        ),
        selected_on=spec.evaluation.select_on,
        spec=spec,
        dataset=dataset,
        objectives=named,
        columns=shown,
        headline=judged.key,
        rows=tuple(rows),
        summaries=summed,
        comparisons=compared,
        equal_accuracies=equal,
        equal_accuracy_summaries=equal_accuracy_summaries(equal, spec.training.epochs),
        gaps=tuple(gaps_over_epochs(drawn)),
        paper=beside_the_paper(spec, named, summed, rows),
        sweep=sweep,
        curves=drawn,
        costs=tuple(costs),
        warnings=(*doubts_in_words(rows), *(sweep_warnings(sweep) if sweep else ()), *warnings),
    )
