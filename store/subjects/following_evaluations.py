"""The evaluations that follow a run: on which of its checkpoints, and with examples of which others."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from gauntlet.spec.evaluations.evaluation import EvaluationSpec, Selected, Selection, SelectOn, of_averages
from gauntlet.spec.experiment import RunSpec
from store import events
from store.database import db_now
from store.models import Checkpoint, Evaluation, Run, new_id

# A few other models tell as much as many, and each costs a PGD.
_MOST_SOURCES = 4


def queue(session: Session, run: Run, checkpoints: Sequence[Checkpoint]) -> list[str]:
    """Queue the evaluations that a run's spec asks for, one per selected checkpoint; returns their ids.

    Where a run keeps the weights and their average, whatever is selected is selected of each. Where masked gradients
    are looked for, examples are also made on the experiment's other checkpoints.
    """
    spec = RunSpec.model_validate(run.spec).evaluation
    selected: dict[str, list[Selected]] = {}
    beside: dict[str, Sequence[Checkpoint]] = {}
    for alike in _versions(checkpoints):
        both = len(alike) < len(checkpoints)
        for selection in spec.select:
            chosen = _selected(selection, spec.select_on, alike)
            name = of_averages(selection) if both and chosen.averaged else selection
            selected.setdefault(chosen.id, []).append(name)
            beside[chosen.id] = alike
    created = [
        Evaluation(
            id=new_id("eval"),
            created_at=db_now(),
            owner=run.owner,
            priority=run.priority,
            experiment_id=run.experiment_id,
            run_id=run.id,
            checkpoint_id=checkpoint,
            traceparent=run.traceparent,
            selection=list(selections),
            spec=_with_sources(session, run, spec.of_one(), checkpoint, beside[checkpoint]).model_dump(mode="json"),
        )
        for checkpoint, selections in selected.items()
    ]
    session.add_all(created)
    session.flush()
    events.tell_queued(session, created)
    return [evaluation.id for evaluation in created]


def _with_sources(
    session: Session, run: Run, spec: EvaluationSpec, target: str, checkpoints: Sequence[Checkpoint]
) -> EvaluationSpec:
    if spec.masking is None or spec.masking.sources:
        return spec
    others = [checkpoint.id for checkpoint in reversed(checkpoints) if checkpoint.id != target][:1]
    others += _last_of_other_runs(session, run)
    masking = spec.masking.model_copy(update={"sources": tuple(others[:_MOST_SOURCES])})
    return spec.model_copy(update={"masking": masking})


def _last_of_other_runs(session: Session, run: Run) -> list[str]:
    """The last checkpoints of the experiment's runs that have been trained, in the runs' order: of two, the weights."""
    kept = (
        select(Checkpoint.run_id, Checkpoint.id)
        .join(Run, Run.id == Checkpoint.run_id)
        .where(Run.experiment_id == run.experiment_id, Run.id != run.id, Run.status == "succeeded")
        .order_by(Run.ordinal, Checkpoint.epoch, Checkpoint.averaged.desc())
    )
    last = {row.run_id: row.id for row in session.execute(kept)}
    return list(last.values())


def _versions(checkpoints: Sequence[Checkpoint]) -> list[list[Checkpoint]]:
    """Those of the weights and those of the average, as far as there are any, each in their order."""
    of_each = [[one for one in checkpoints if one.averaged == averaged] for averaged in (False, True)]
    return [alike for alike in of_each if alike]


def _selected(selection: Selection, select_on: SelectOn, checkpoints: Sequence[Checkpoint]) -> Checkpoint:
    """The checkpoint that a selection means, from a run's of one version in order of epoch; of equals the earliest."""
    if selection == "last":
        return checkpoints[-1]
    return max(checkpoints, key=lambda checkpoint: checkpoint.metrics[f"{select_on}_fgsm_accuracy"])
