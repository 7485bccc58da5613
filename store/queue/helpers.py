"""Workers with nothing else to do compute batches of an evaluation that another worker holds.

A helper is a row that is there for as long as it helps; its writes touch nothing once that is gone. Who computes a
batch has taken it before, so that nobody else does; a batch is free again when its helper's row goes, or when another
attempt holds the evaluation. Whoever looks deletes the rows whose lease ran out by the database's clock.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, delete, exists, func, insert, or_, select, tuple_, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from gauntlet.results.protocol import IMPLEMENTATIONS
from store.database import db_now, take_turn
from store.errors import LeaseLost
from store.models import Evaluation, EvaluationBatch, EvaluationHelper, Event, TakenBatch, new_id
from store.queue import jobs
from store.queue.jobs import ACTIVE, Asked, Claim, Hold

# Each one's share of what is left. To load data and network takes a helper seconds.
_WORTH_S: Final = 10.0
# What an evaluation may have crashed of beside its helpers, and how long it is left alone then: such a crash and the
# pause after it cost it about a minute.
_SHORT_OF_MEMORY: Final = ("worker_lost", "out_of_memory")
_LEFT_ALONE_S: Final = 1_800.0
# More find no batch that is not somebody's.
_MOST: Final = 63
# SQLite takes about 32,000 values in one statement, and these come in pairs.
_AT_ONCE: Final = 1_000

_ID_SHOWN: Final = 6

_Key = tuple[str, int]


@dataclass(frozen=True)
class Help:
    """One helper of an evaluation; `id` guards every write of it, and `traceparent` is the evaluation's."""

    id: str
    evaluation: str
    experiment: str | None
    traceparent: str | None = None

    @property
    def job(self) -> str:
        """The evaluation's id, as of whoever works on it."""
        return self.evaluation

    @property
    def speaker(self) -> str:
        """Who speaks in the evaluation's log."""
        return f"helper {self.id[-_ID_SHOWN:]}"


Hand = Claim | Help
"""Who computes batches of an evaluation: its attempt, or a helper."""


@dataclass(frozen=True)
class Seen:
    """An evaluation as one look found it.

    `hands` compute it, `others` are the batches that others have taken, `found` those that were not known before.
    """

    hands: int
    others: frozenset[_Key]
    found: Sequence[EvaluationBatch]


def implementation(device_type: str) -> str:
    """Whose code attacks, on what kind of device: a seed gives other random numbers on a GPU than on a CPU."""
    return f"{IMPLEMENTATIONS}, {device_type}"


def any_wanted(session: Session) -> bool:
    """Whether a running evaluation may be worth some help: a look that waits for nobody."""
    long = Evaluation.status == "running", Evaluation.eta_s > _WORTH_S
    return session.scalar(select(Evaluation.id).where(*long).limit(1)) is not None


def claim(
    session: Session, worker: str, lease_s: float, device_type: str, *, but_not: Collection[str] = ()
) -> Help | None:
    """Help with the running evaluation that has the fewest hands, of these the one with the highest priority.

    Only one that is computed on such devices, has enough left to be worth it, does not keep all its pictures, and did
    not crash of late, as where memory is short; None where there is none.
    """
    take_turn(session, "helpers")
    hands = _helpers_of(Evaluation.id) + 1
    query = (
        select(Evaluation.id, Evaluation.experiment_id, Evaluation.traceparent)
        .where(
            Evaluation.status == "running",
            Evaluation.cancel_requested.is_(False),
            Evaluation.pause_requested.is_(False),
            Evaluation.implementation == implementation(device_type),
            # Batches whose pictures are kept are its own worker's.
            func.coalesce(Evaluation.spec["keep_images"].as_integer(), 0) < Evaluation.images,
            Evaluation.crashes == 0,
            ~_crashed_of_late(),
            # What it takes all of its hands still, shared with one more.
            Evaluation.eta_s * hands >= _WORTH_S * (hands + 1),
            hands <= _MOST,
            Evaluation.id.not_in(but_not),
        )
        .order_by(hands, Evaluation.priority, Evaluation.eta_s.desc(), Evaluation.id)
        .limit(1)
    )
    found = session.execute(query).one_or_none()
    if found is None:
        return None
    helped = Help(new_id("help"), found.id, found.experiment_id, found.traceparent)
    values = {"id": helped.id, "evaluation_id": found.id, "worker": worker, "lease_expires_at": db_now() + lease_s}
    session.execute(insert(EvaluationHelper).values(values))
    return helped


def count(session: Session | Connection, identifiers: Sequence[str]) -> dict[str, int]:
    """How many help with each evaluation, by id."""
    query = (
        select(EvaluationHelper.evaluation_id, func.count())
        .where(EvaluationHelper.evaluation_id.in_(identifiers), EvaluationHelper.lease_expires_at >= db_now())
        .group_by(EvaluationHelper.evaluation_id)
    )
    counted = {identifier: int(helpers) for identifier, helpers in session.execute(query)}
    return dict.fromkeys(identifiers, 0) | counted


def workers(session: Session) -> Sequence[str]:
    """The workers that help with anything."""
    alive = EvaluationHelper.lease_expires_at >= db_now()
    return session.scalars(select(EvaluationHelper.worker).where(alive).distinct()).all()


def renew(session: Session, helped: Help, lease_s: float) -> Asked | None:
    """Extend the lease; returns what somebody asked of the evaluation, of both the cancel.

    While the evaluation waits for another attempt, as after its worker was stopped, its helpers go on; not after a
    crash, so that the next attempt does not meet the same shortage of memory.

    Raises:
        LeaseLost: the helper is not one any more, or the evaluation has ended or crashed.
    """
    _hold(session, helped, lease_s)
    row = session.execute(
        select(Evaluation.status, Evaluation.cancel_requested, Evaluation.pause_requested).where(
            Evaluation.id == helped.evaluation
        )
    ).one()
    if row.cancel_requested:
        return "cancel"
    return "pause" if row.pause_requested or row.status == "paused" else None


def hold(session: Session, hand: Hand, *, progressed: bool = False) -> None:
    """Lock whose write follows, so that it is written by one that may or not at all.

    Raises:
        LeaseLost: the evaluation is no longer this attempt's, or the helper is not one any more.
    """
    if isinstance(hand, Claim):
        jobs.hold(session, hand, progressed=progressed)
    else:
        _hold(session, hand, None)


def holds(session: Session, helpers: Sequence[Help]) -> dict[Help, Hold]:
    """Whether each still helps, and its lease runs or ran out by the database's clock."""
    expired = select(EvaluationHelper.id, EvaluationHelper.lease_expires_at < db_now())
    rows = session.execute(expired.where(EvaluationHelper.id.in_([helped.id for helped in helpers])))
    found: Mapping[str, Hold] = {identifier: "expired" if over else "kept" for identifier, over in rows}
    return {helped: found.get(helped.id, "gone") for helped in helpers}


def any_expired(session: Session) -> bool:
    """Whether a lease of a job or of a helper has run out: a look that waits for nobody."""
    models = jobs.JOB_MODELS.values()
    lost = (exists().where(model.status == "running", model.lease_expires_at < db_now()) for model in models)
    return bool(session.scalar(select(or_(*lost, exists().where(EvaluationHelper.lease_expires_at < db_now())))))


def leave(session: Session, helped: Help) -> None:
    """Help no more; the batches that it took are free again."""
    session.execute(delete(EvaluationHelper).where(EvaluationHelper.id == helped.id))


def forget_expired(session: Session, *where: ColumnElement[bool], at: float | None = None) -> int:
    """Delete the helpers whose lease ran out, now or by `at` (as `jobs.reclaim_expired` has it); returns how many.

    One whose row is locked is left for the next time: it may be stopped in the middle of a write.
    """
    expired = select(EvaluationHelper.id).where(EvaluationHelper.lease_expires_at < (at or db_now()), *where)
    over = delete(EvaluationHelper).where(EvaluationHelper.id.in_(expired.with_for_update(skip_locked=True)))
    return len(session.execute(over.returning(EvaluationHelper.id)).all())


def begin(session: Session, held: Claim, *, alone: bool) -> None:
    """Free what earlier attempts had taken; `alone` sends the helpers away.

    The evaluation is held.
    """
    if alone:
        session.execute(delete(EvaluationHelper).where(EvaluationHelper.evaluation_id == held.id))
    session.execute(delete(TakenBatch).where(TakenBatch.evaluation_id == held.id, TakenBatch.helper_id.is_(None)))


def forget_ended(session: Session) -> None:
    """Forget what attempts had taken of evaluations that have ended, and who helped with them."""
    ended = select(Evaluation.id).where(Evaluation.status.not_in(ACTIVE))
    session.execute(delete(TakenBatch).where(TakenBatch.evaluation_id.in_(ended)))
    session.execute(delete(EvaluationHelper).where(EvaluationHelper.evaluation_id.in_(ended)))


def take(session: Session, hand: Hand, stage: str, numbers: Sequence[int], most: int) -> list[int]:
    """Take at most so many of these batches to compute them, in their order: of those that nobody has, and none did.

    What it had taken already is among them, as where the answer to a commit was lost.

    Raises:
        LeaseLost: the evaluation is no longer this attempt's, or the helper is not one any more.
    """
    identifier = hand.job
    # Not by the evaluation's row: one that is stopped in here must not hold up its heartbeat.
    take_turn(session, f"batches of {identifier}")
    hold(session, hand)
    taken = select(TakenBatch.batch, TakenBatch.helper_id).where(
        TakenBatch.evaluation_id == identifier, TakenBatch.stage == stage
    )
    ours = None if isinstance(hand, Claim) else hand.id
    others, mine = set[int](), set[int]()
    for row in session.execute(taken):
        (mine if row.helper_id == ours else others).add(row.batch)
    # After those that are taken: one is recorded and freed in one transaction.
    done = set(
        session.scalars(
            select(EvaluationBatch.batch).where(
                EvaluationBatch.evaluation_id == identifier, EvaluationBatch.stage == stage
            )
        )
    )
    free = [number for number in numbers if number not in others and number not in done][:most]
    session.add_all(
        TakenBatch(evaluation_id=identifier, stage=stage, batch=number, helper_id=ours)
        for number in free
        if number not in mine
    )
    return free


def free(session: Session, hand: Hand, stage: str, batch: int) -> None:
    """Note that a taken batch is recorded, in the same transaction."""
    key = TakenBatch.evaluation_id == hand.job, TakenBatch.stage == stage, TakenBatch.batch == batch
    session.execute(delete(TakenBatch).where(*key))


def look(session: Session, hand: Hand, known: Collection[_Key]) -> Seen:
    """What others do and did; `known` are the batches, by stage and number, of which nobody needs to be told."""
    identifier = hand.job
    forget_expired(session, EvaluationHelper.evaluation_id == identifier)
    helpers = session.scalar(select(_helpers_of(identifier)))
    ours = None if isinstance(hand, Claim) else hand.id
    taken = select(TakenBatch.stage, TakenBatch.batch).where(
        TakenBatch.evaluation_id == identifier, TakenBatch.helper_id.is_distinct_from(ours)
    )
    others = frozenset((stage, batch) for stage, batch in session.execute(taken))
    done = select(EvaluationBatch.stage, EvaluationBatch.batch).where(EvaluationBatch.evaluation_id == identifier)
    fresh = [key for key in map(tuple, session.execute(done)) if key not in known]
    found: list[EvaluationBatch] = []
    for first in range(0, len(fresh), _AT_ONCE):
        key = tuple_(EvaluationBatch.stage, EvaluationBatch.batch)
        rows = select(EvaluationBatch).where(
            EvaluationBatch.evaluation_id == identifier, key.in_(fresh[first : first + _AT_ONCE])
        )
        found += session.scalars(rows)
    return Seen((helpers or 0) + 1, others, found)


def _helpers_of(identifier: InstrumentedAttribute[str] | str) -> ColumnElement[int]:
    return select(func.count(EvaluationHelper.id)).where(EvaluationHelper.evaluation_id == identifier).scalar_subquery()


def _crashed_of_late() -> ColumnElement[bool]:
    """Of an evaluation, whose own row forgets its crashes as soon as it gets further."""
    return exists().where(
        Event.subject == Evaluation.id,
        Event.type == "status",
        Event.kind == "queued",
        Event.data["reason"].as_string().in_(_SHORT_OF_MEMORY),
        Event.created_at > db_now() - _LEFT_ALONE_S,
    )


def _hold(session: Session, helped: Help, lease_s: float | None) -> None:
    active = exists().where(Evaluation.id == helped.evaluation, Evaluation.status.in_(ACTIVE), Evaluation.crashes == 0)
    until = EvaluationHelper.lease_expires_at if lease_s is None else db_now() + lease_s
    held = update(EvaluationHelper).where(EvaluationHelper.id == helped.id, active).values(lease_expires_at=until)
    if session.execute(held.returning(EvaluationHelper.id)).one_or_none() is None:
        raise LeaseLost(f"{helped.id} no longer helps with the evaluation {helped.evaluation}.")
