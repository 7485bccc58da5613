"""Jobs that are done again: a new row takes the place of one that failed or was cancelled, whose status never changes.

Of what stands at one place of an experiment (an objective with a seed, or an evaluation of its checkpoint) the row that
has no `retried_by` counts, in the experiment's status and in its report.
"""

from sqlalchemy import insert, literal, select, update
from sqlalchemy.orm import Session

from store import events
from store.database import Database, db_now
from store.errors import Refused
from store.events import News
from store.models import Checkpoint, EpochMetrics, Evaluation, Event, Run, new_id
from store.queue.jobs import JobModel
from store.storage import Storage
from store.subjects import deletions, evaluations, runs
from store.traces import spans

_RETRIED = ("failed", "cancelled")
# Its next attempt would come to the same.
_NOT_CONTINUED = "diverged"


def find_lost_state(database: Database, identifier: str, storage: Storage) -> str | None:
    """Where the state of the run lies that is to be retried, if its file is gone.

    Asked before `retry_run` and not within it, for there all that would retry or delete waits, and a bucket may take
    seconds to answer.

    Raises:
        NotFound: there is no such run.
        OSError: the storage does not answer.
    """
    with database.reading() as session:
        run = runs.get(session, identifier)
    is_retried = run.status in _RETRIED and run.retried_by is None
    if not is_retried or run.resume_path is None or storage.holds(run.resume_path):
        return None
    return run.resume_path


def retry_run(session: Session, identifier: str, lost_state: str | None) -> tuple[Run, bool]:
    """Queue a run in the place of one that failed or was cancelled; returns it, and whether it is a new one.

    It goes on from the last saved state, if that is there and the failure was no divergence: what was recorded so far
    is copied, and the checkpoints become its own. Asked twice, the first retry is returned.

    Args:
        lost_state: what `find_lost_state` says of it.

    Raises:
        NotFound: there is no such run.
        Refused: it has not ended, or it succeeded.
    """
    deletions.take_turn_to_name(session)
    run = runs.get(session, identifier)
    retry = new_id("run")
    if not _take(session, Run, identifier, retry):
        session.refresh(run)
        return runs.get(session, _earlier_retry(run)), False
    session.refresh(run)
    new = Run(
        id=retry,
        created_at=session.scalar(select(db_now())),
        owner=run.owner,
        experiment_id=run.experiment_id,
        ordinal=run.ordinal,
        priority=run.priority,
        objective=run.objective,
        seed=run.seed,
        spec=run.spec,
        trial=run.trial,
        retry_of=run.id,
    )
    spans.follow([run.traceparent])
    session.add(new)
    session.flush()
    # A state that was saved since the look is there.
    has_state = run.resume_path is not None and run.resume_path != lost_state
    continues = has_state and run.status_reason != _NOT_CONTINUED
    if continues:
        _hand_over(session, run, new)
    events.tell_queued(session, [new])
    how = "continues from its last saved state" if continues else "starts over"
    why = run.status_reason or run.status
    told = f"This run takes the place of {run.id}, which {run.status} ({why}), and {how}."
    events.tell(session, News("note", "retry", new.id, told, run.experiment_id))
    return new, True


def retry_evaluation(session: Session, identifier: str) -> tuple[Evaluation, bool]:
    """Queue an evaluation in the place of one that failed or was cancelled; returns it, and whether it is a new one.

    The batches that are done are taken over by it as by any other evaluation that attacks the same weights alike.

    Raises:
        NotFound: there is no such evaluation.
        Refused: it has not ended, or it succeeded.
    """
    deletions.take_turn_to_name(session)
    evaluation = evaluations.get(session, identifier)
    retry = new_id("eval")
    if not _take(session, Evaluation, identifier, retry):
        session.refresh(evaluation)
        return evaluations.get(session, _earlier_retry(evaluation)), False
    new = Evaluation(
        id=retry,
        created_at=session.scalar(select(db_now())),
        owner=evaluation.owner,
        experiment_id=evaluation.experiment_id,
        run_id=evaluation.run_id,
        checkpoint_id=evaluation.checkpoint_id,
        priority=evaluation.priority,
        selection=evaluation.selection,
        spec=evaluation.spec,
        retry_of=evaluation.id,
    )
    spans.follow([evaluation.traceparent])
    session.add(new)
    session.flush()
    events.tell_queued(session, [new])
    return new, True


def _take(session: Session, model: JobModel, identifier: str, retry: str) -> bool:
    """Give the job's place to its retry; of two that ask at once one gets it."""
    free = update(model).where(model.id == identifier, model.status.in_(_RETRIED), model.retried_by.is_(None))
    return session.execute(free.values(retried_by=retry).returning(model.id)).one_or_none() is not None


def _earlier_retry(job: Run | Evaluation) -> str:
    if job.retried_by is None:
        kind = "run" if isinstance(job, Run) else "evaluation"
        raise Refused(f"The {kind} {job.id} is {job.status}; only what failed or was cancelled can be retried.")
    return job.retried_by


def _hand_over(session: Session, run: Run, new: Run) -> None:
    """Let the new run have the state, the checkpoints and what was read, and a copy of epochs and notes."""
    new.data = run.data
    new.resume_path, new.resume_sha256, new.resume_bytes = run.resume_path, run.resume_sha256, run.resume_bytes
    run.resume_path = run.resume_sha256 = run.resume_bytes = None
    session.flush()
    epochs = EpochMetrics.epoch, EpochMetrics.metrics, EpochMetrics.seconds, EpochMetrics.images_per_second
    copied = select(literal(new.id), *epochs).where(EpochMetrics.run_id == run.id)
    session.execute(insert(EpochMetrics).from_select(["run_id", *(column.key for column in epochs)], copied))
    # Not copied: it may have been evaluated, or trained on from, under its id.
    session.execute(update(Checkpoint).where(Checkpoint.run_id == run.id).values(run_id=new.id))
    noted = select(Event).where(Event.subject == run.id, Event.type.in_(events.NOTES)).order_by(Event.id)
    for note in session.scalars(noted):
        about = note.experiment_id, note.attempt, note.epoch, note.data
        events.tell(session, News(note.type, note.kind, new.id, note.message, *about))
