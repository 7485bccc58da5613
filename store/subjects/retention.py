"""Which checkpoints of an ended experiment go, if its owner said which stay (`gauntlet.spec.asked.retention`).

Only once all of it has ended: until then its evaluations may yet choose, or attack with, any of them. What something
stands on stays, as it does when somebody deletes by hand.
"""

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from gauntlet.resources import TERMINAL
from gauntlet.spec.asked.retention import Keep
from gauntlet.spec.experiment import ExperimentSpec
from store import events
from store.events import News
from store.models import Checkpoint, Evaluation, Experiment, Run
from store.shown import standings
from store.subjects import deletions

# Epochs named in one event; the rest are counted.
_MOST_TOLD = 20


def due(session: Session) -> list[str]:
    """The ended experiments with a `keep` that have checkpoints nobody evaluated."""
    evaluated = exists().where(Evaluation.checkpoint_id == Checkpoint.id)
    kept = select(Experiment.id).where(Experiment.keep.is_not(None), Experiment.status.in_(TERMINAL))
    loose = exists().where(Checkpoint.run_id == Run.id, Run.experiment_id == Experiment.id, ~evaluated)
    return list(session.scalars(kept.where(loose).order_by(Experiment.id)))


def prune(session: Session, experiment_id: str) -> int:
    """Delete the checkpoints of an ended experiment that its `keep` does not name; returns how many these are.

    Those of runs that failed or were cancelled stay too: a retry goes on with them.
    """
    deletions.take_turn_to_name(session)
    experiment = session.get(Experiment, experiment_id)
    if experiment is None or experiment.keep is None or standings.status_of(session, experiment_id) not in TERMINAL:
        return 0
    keep, spec = Keep.model_validate(experiment.keep), ExperimentSpec.model_validate(experiment.spec)
    accuracy = f"{spec.evaluation.select_on}_fgsm_accuracy"
    columns = select(Checkpoint.id, Checkpoint.run_id, Checkpoint.averaged, Checkpoint.epoch, Checkpoint.metrics)
    rows = columns.join(Run, Run.id == Checkpoint.run_id).where(Run.experiment_id == experiment_id)
    # A run that keeps its weights and their average has a best one of each.
    of_version: dict[tuple[str, bool], dict[int, tuple[str, float]]] = {}
    for identifier, run, averaged, epoch, metrics in session.execute(rows.where(Run.status == "succeeded")):
        of_version.setdefault((run or "", averaged), {})[epoch or 0] = identifier, metrics[accuracy]
    going = {
        identifier: (run, epoch)
        for (run, _), kept in of_version.items()
        for epoch, (identifier, _) in kept.items()
        if epoch not in keep.chosen({number: value for number, (_, value) in kept.items()})
    }
    stood_on = deletions.stood_on(session, list(going))
    by_run: dict[str, dict[str, int]] = {}
    for identifier, (run, epoch) in going.items():
        if identifier not in stood_on:
            by_run.setdefault(run, {})[identifier] = epoch
    for run, deleted in by_run.items():
        session.execute(delete(Checkpoint).where(Checkpoint.id.in_(deleted)))
        events.tell(session, News("note", "pruned", run, _told(sorted(set(deleted.values()))), experiment_id))
    return sum(map(len, by_run.values()))


def _told(epochs: list[int]) -> str:
    named = ", ".join(map(str, epochs[:_MOST_TOLD]))
    more = f" and {len(epochs) - _MOST_TOLD} more" if len(epochs) > _MOST_TOLD else ""
    return f"Checkpoints that the experiment does not keep are deleted: of epochs {named}{more}."
