"""The most robust checkpoint of each experiment, for lists: what a report would say, without putting one together."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from gauntlet.report.columns import columns, headline
from gauntlet.resources import BestResult
from gauntlet.results.outcome import WorstCase
from gauntlet.spec.experiment import ExperimentSpec
from store.models import Evaluation, Run


def best_results(session: Session, specs: Mapping[str, ExperimentSpec]) -> dict[str, BestResult]:
    """By experiment, of those that have any result: the largest accuracy in its headline, of all that was evaluated.

    Only the small parts of the outcomes are read: one with confusions has ten times as many bytes.
    """
    outcome = Evaluation.outcome
    found = session.execute(
        select(
            Evaluation.experiment_id,
            Evaluation.checkpoint_id,
            Run.objective,
            Run.seed,
            outcome["worst_cases"].label("worst_cases"),
            outcome["masking"]["verdict"].label("masking"),
        )
        .join(Run, Run.id == Evaluation.run_id)
        .where(Evaluation.experiment_id.in_(specs), outcome.is_not(None))
        .order_by(Evaluation.id)
    ).all()
    wanted = {
        identifier: headline(columns(spec.evaluation), spec.adversary.norm, spec.adversary.eps)
        for identifier, spec in specs.items()
    }
    best: dict[str, BestResult] = {}
    for row in found:
        column = wanted[row.experiment_id]
        worst = _of_column(row.worst_cases, set(column.attacks))
        before = best.get(row.experiment_id)
        if worst is not None and (before is None or worst.accuracy.value > before.robust.value):
            best[row.experiment_id] = BestResult(
                objective=row.objective,
                seed=row.seed,
                checkpoint=row.checkpoint_id,
                attack=column.name,
                robust=worst.accuracy,
                suspect=row.masking == "SUSPECT",
            )
    return best


def _of_column(worst_cases: Sequence[Any], attacks: set[str]) -> WorstCase | None:
    """The worst case of exactly these attacks: one attack is its own."""
    found = (WorstCase.model_validate(worst) for worst in worst_cases)
    return next((worst for worst in found if set(worst.attacks) == attacks), None)
