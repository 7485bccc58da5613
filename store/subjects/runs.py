"""Runs: what a worker writes while it trains, guarded by its attempt, and what the API shows of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import and_, delete, func, select, update
from sqlalchemy.orm import Session

from gauntlet import resources
from gauntlet.checks.description import DatasetDescription
from gauntlet.checks.sentences import describe
from gauntlet.resources import EventType, Status
from gauntlet.results.suspicions import of_average
from gauntlet.spec.checkpoint_card import CheckpointCard, Trained
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.kinds import Uploaded
from store import events, failpoints
from store.database import db_now
from store.events import News
from store.lookup import find
from store.models import Checkpoint, EpochMetrics, Evaluation, Run, new_id
from store.queue import controls, jobs, sweeps
from store.queue.jobs import Claim
from store.shown.pages import PageOf, newest_first, oldest_first
from store.storage import StoredFile
from store.subjects import deletions, following_evaluations


@dataclass(frozen=True)
class Note:
    """Something worth telling the run's owner; an `alarm` puts its numbers in doubt."""

    kind: str
    message: str
    epoch: int | None = None
    alarm: bool = False
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class KeptWeights:
    """A checkpoint's file, and what it says of itself: of which epoch it is, too."""

    file: StoredFile
    card: CheckpointCard


@dataclass(frozen=True)
class EpochRecord:
    """One epoch as it is stored. `state` and `weights` are in files that exist already, as far as any were written.

    The weights may be of an earlier epoch, which has been stored, and their average may be among them.
    """

    epoch: int
    metrics: Mapping[str, float]
    seconds: float
    images_per_second: float
    notes: Sequence[Note] = ()
    state: StoredFile | None = None
    weights: Sequence[KeptWeights] = ()


def get(session: Session, identifier: str, *, anew: bool = False) -> Run:
    """The run with that id; read `anew` as it is by now, where it was seen before in this transaction.

    Raises:
        NotFound: there is none.
    """
    return find(session, Run, "run", identifier, anew=anew)


def page(
    session: Session, *, experiment: str | None, statuses: Sequence[Status] = (), after: str | None, limit: int
) -> PageOf[Run]:
    """Runs, newest first; of one experiment if it is named, and only those that stand as one of the statuses."""
    query = select(Run)
    if statuses:
        query = query.where(Run.status.in_(statuses))
    if experiment is not None:
        query = query.where(Run.experiment_id == experiment)
    return newest_first(
        session, query, Run.id, after=after, limit=limit, parts=lambda row: len(row.spec["evaluation"]["attacks"])
    )


def metrics_page(session: Session, run_id: str, *, after: int | None, limit: int) -> PageOf[EpochMetrics]:
    """A run's epochs in order, from the one after `after`."""
    query = select(EpochMetrics).where(EpochMetrics.run_id == run_id)
    return oldest_first(session, query, EpochMetrics.epoch, after=after, limit=limit)


def cancel(session: Session, identifier: str) -> Run:
    """Cancel a run that has not ended.

    Raises:
        NotFound: there is none.
    """
    get(session, identifier)
    controls.cancel(session, Run, Run.id == identifier)
    return get(session, identifier, anew=True)


def pause(session: Session, identifier: str) -> Run:
    """Pause a run, or the evaluations that follow it, until they are resumed.

    Raises:
        NotFound: there is none.
    """
    get(session, identifier)
    # In this order: if the run ends meanwhile, its evaluations are there, or will be paused when it queues them.
    controls.pause(session, Run, Run.id == identifier)
    controls.pause(session, Evaluation, Evaluation.run_id == identifier)
    return get(session, identifier, anew=True)


def resume(session: Session, identifier: str) -> tuple[Run, int]:
    """Let a paused run, or the evaluations that follow it, go on; returns the run, and how many jobs wait for it.

    Raises:
        NotFound: there is none.
    """
    get(session, identifier)
    waiting = controls.resume(session, Run, Run.id == identifier)
    waiting += controls.resume(session, Evaluation, Evaluation.run_id == identifier)
    return get(session, identifier, anew=True), waiting


def note(session: Session, held: Claim, notes: Iterable[Note]) -> None:
    """Append events to the run. The caller holds the job in this transaction."""
    for item in notes:
        kind: EventType = "alarm" if item.alarm else "note"
        about = held.experiment, held.token, item.epoch, item.data
        events.tell(session, News(kind, item.kind, held.id, item.message, *about))


def rewind(session: Session, held: Claim, *, to_epoch: int) -> None:
    """Forget what lies after `to_epoch`, which this attempt will do again.

    A checkpoint that others stand on stays, and stands for that epoch from then on too.

    Raises:
        LeaseLost: the run is no longer this attempt's.
    """
    later = set(session.scalars(select(Checkpoint.id).where(Checkpoint.run_id == held.id, Checkpoint.epoch > to_epoch)))
    if later:
        # Before the run's row: whoever deletes has the turn first.
        deletions.take_turn_to_name(session)
    jobs.hold(session, held)
    session.execute(delete(EpochMetrics).where(EpochMetrics.run_id == held.id, EpochMetrics.epoch > to_epoch))
    forgotten = later - deletions.stood_on(session, later)
    session.execute(delete(Checkpoint).where(Checkpoint.id.in_(forgotten)))
    events.rewind(session, held.id, to_epoch=to_epoch)


def record_data(session: Session, held: Claim, described: DatasetDescription, *, resumed: bool) -> None:
    """Note what was read of the data set: at the first attempt, and where its pictures are not what they were.

    `resumed` says whether earlier epochs stay. The caller holds the job in this transaction.
    """
    before, read = session.get_one(Run, held.id).data, " ".join(describe(described))
    if before is not None and DatasetDescription.model_validate(before).content == described.content:
        return
    session.execute(update(Run).where(Run.id == held.id).values(data=described.model_dump(mode="json")))
    if before is not None and resumed:
        changed = f"The data set is not what earlier epochs were trained on. It is now: {read}"
        told = Note("data_changed", changed, alarm=True)
    else:
        told = Note("data", read)
    note(session, held, [told])


def recorded_files(session: Session, run_id: str) -> set[str]:
    """The paths of all files that rows of this run name."""
    paths = set(session.scalars(select(Checkpoint.path).where(Checkpoint.run_id == run_id)))
    state = session.scalar(select(Run.resume_path).where(Run.id == run_id))
    return paths | ({state} if state else set())


def forget_states_of_ended(session: Session, *, older_than_s: float) -> None:
    """Take the training states from runs that will not go on, though one that ended lately may be retried."""
    retriable = and_(Run.status.in_(("failed", "cancelled")), func.coalesce(Run.status_reason, "") != "diverged")
    kept = and_(retriable, Run.finished_at > db_now() - older_than_s)
    ended = update(Run).where(Run.status.not_in(jobs.ACTIVE), Run.resume_path.is_not(None), ~kept)
    session.execute(ended.values(resume_path=None, resume_sha256=None, resume_bytes=None))


def state_paths(session: Session) -> set[str]:
    """Where all training states lie that a run may go on from."""
    return set(session.scalars(select(Run.resume_path).where(Run.resume_path.is_not(None))))


def ended(session: Session) -> set[str]:
    """The ids of all runs that have ended."""
    return set(session.scalars(select(Run.id).where(Run.status.not_in(jobs.ACTIVE))))


def record_epoch(session: Session, held: Claim, record: EpochRecord) -> str | None:
    """Store an epoch's metrics, notes and files in one transaction; returns the path of a state file it replaces.

    Raises:
        LeaseLost: the run is no longer this attempt's.
    """
    jobs.hold(session, held, progressed=True)
    session.add(
        EpochMetrics(
            run_id=held.id,
            epoch=record.epoch,
            metrics=dict(record.metrics),
            seconds=record.seconds,
            images_per_second=record.images_per_second,
        )
    )
    note(session, held, record.notes)
    data = {"metrics": dict(record.metrics), "seconds": record.seconds, "images_per_second": record.images_per_second}
    about = held.experiment, held.token, record.epoch, data
    events.tell(session, News("epoch", "epoch", held.id, f"Epoch {record.epoch} is done.", *about))
    for weights in record.weights:
        _keep(session, held, weights)
    replaced = None if record.state is None else _replace_state(session, held, record.state)
    session.flush()
    failpoints.reach("epoch_recording")
    return replaced


def _keep(session: Session, held: Claim, weights: KeptWeights) -> None:
    """Make a checkpoint of them, unless their epoch has one of the same version."""
    assert isinstance(weights.card.origin, Trained), "A run's weights are trained."
    epoch, averaged = weights.card.origin.epoch, weights.card.origin.averaged
    if _has_checkpoint(session, held.id, epoch, averaged=averaged):
        return
    session.flush()
    metrics = session.get_one(EpochMetrics, (held.id, epoch)).metrics
    session.add(
        Checkpoint(
            id=new_id("ckpt"),
            created_at=db_now(),
            owner=session.get_one(Run, held.id).owner,
            dataset_id=_uploaded(weights.card),
            run_id=held.id,
            epoch=epoch,
            averaged=averaged,
            card=weights.card.model_dump(mode="json"),
            path=weights.file.path,
            sha256=weights.file.sha256,
            bytes=weights.file.bytes,
            metrics=of_average(metrics) if averaged else dict(metrics),
        )
    )


def _uploaded(card: CheckpointCard) -> str | None:
    """The uploaded data set that a checkpoint stands on; its experiment has it held."""
    return card.dataset.id if isinstance(card.dataset, Uploaded) else None


def _has_checkpoint(session: Session, run_id: str, epoch: int, *, averaged: bool) -> bool:
    of_epoch = select(Checkpoint.id).where(Checkpoint.run_id == run_id, Checkpoint.epoch == epoch)
    query = of_epoch.where(Checkpoint.averaged == averaged)
    return session.scalar(query) is not None


def record_state(session: Session, held: Claim, stored: StoredFile) -> str | None:
    """Note a training state within an epoch; returns the path of a state file it replaces.

    Raises:
        LeaseLost: the run is no longer this attempt's.
    """
    jobs.hold(session, held, progressed=True)
    return _replace_state(session, held, stored)


def _replace_state(session: Session, held: Claim, stored: StoredFile) -> str | None:
    before = session.scalar(select(Run.resume_path).where(Run.id == held.id))
    noted = {"resume_path": stored.path, "resume_sha256": stored.sha256, "resume_bytes": stored.bytes}
    session.execute(update(Run).where(Run.id == held.id).values(noted))
    # They are equal where a commit went through whose answer was lost: the file is in use and must not be deleted.
    return None if before == stored.path else before


def complete(session: Session, held: Claim) -> list[str]:
    """End a trained run and queue the evaluations its spec asks for; returns their ids to wake.

    If it was asked to pause as it ended, they are paused in its place.

    Raises:
        LeaseLost: the run is no longer this attempt's.
    """
    if jobs.finish(session, held, "succeeded") != "succeeded":
        return []
    run = session.get_one(Run, held.id)
    run.resume_path = run.resume_sha256 = run.resume_bytes = None
    checkpoints = session.scalars(
        select(Checkpoint).where(Checkpoint.run_id == held.id).order_by(Checkpoint.epoch)
    ).all()
    created = following_evaluations.queue(session, run, checkpoints)
    if run.pause_requested:
        controls.pause(session, Evaluation, Evaluation.run_id == run.id)
        return []
    return created


def show(run: Run) -> resources.Run:
    """The run as the API shows it."""
    return resources.Run(
        id=run.id,
        experiment=run.experiment_id,
        objective=run.objective,
        seed=run.seed,
        spec=RunSpec.model_validate(run.spec),
        trial=sweeps.trial_of(run),
        **jobs.shown(run),
    )


def show_metrics(row: EpochMetrics) -> resources.EpochMetrics:
    """One epoch as the API shows it."""
    return resources.EpochMetrics(
        epoch=row.epoch, metrics=row.metrics, seconds=row.seconds, images_per_second=row.images_per_second
    )
