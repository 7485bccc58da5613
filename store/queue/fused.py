"""Runs that are claimed together, to be trained as one program in one slot; each has an attempt and a lease."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.runs.kinship import kin
from store.models import Run
from store.queue import jobs, turns
from store.queue.jobs import MOST_CRASHES, Claim

# Each has up to 10 kB of spec, and all claims wait for this one.
_MOST_LOOKED_AT: Final = 200


def claim_next(session: Session, worker: str, lease_s: float, *, most: int) -> tuple[Claim, ...]:
    """Take the job whose turn it is, and if it is a run those that are to be computed with it, `most` in all.

    They are waiting runs of its experiment, of the same priority, which are its kin, the older ones first. A run that
    may crash only once more is trained alone, so that neither its neighbours' fault nor want of room for all of them
    makes it fail. Nothing is taken where no job waits.
    """
    first = turns.claim_next(session, worker, lease_s)
    if first is None:
        return ()
    _part(session, first)
    mates = _mates(session, first, most - 1) if most > 1 and first.kind == "run" else ()
    taken = (jobs.claim(session, "run", mate, worker, lease_s, fused_with=first.id) for mate in mates)
    held = [mate for mate in taken if mate is not None]
    for mate in held:
        _part(session, mate)
    return first, *held


def _part(session: Session, held: Claim) -> None:
    """Runs still trained in the slot that an attempt before this one had are from now on in that of their oldest."""
    if held.kind != "run" or held.token == 1:
        return
    beside = select(Run.id).where(Run.status == "running", Run.fused_with == held.id).order_by(Run.id)
    # One whose row is locked keeps the name of the slot: all claims would wait for it, and whoever cancels many for us.
    left = session.scalars(beside.with_for_update(skip_locked=True)).all()
    if left:
        session.execute(update(Run).where(Run.id.in_(left)).values(fused_with=func.nullif(left[0], Run.id)))


def _mates(session: Session, first: Claim, most: int) -> Iterator[str]:
    run = session.execute(select(Run.spec, Run.priority, Run.crashes).where(Run.id == first.id)).one()
    kind = kin(RunSpec.model_validate(run.spec))
    if kind is None or run.crashes + 1 >= MOST_CRASHES:
        return
    beside = Run.experiment_id == first.experiment, Run.priority == run.priority, Run.crashes + 1 < MOST_CRASHES
    waiting = select(Run.id, Run.spec).where(*beside, *jobs.waiting(Run)).order_by(Run.id).limit(_MOST_LOOKED_AT)
    for identifier, spec in session.execute(waiting).all():
        if most > 0 and kin(RunSpec.model_validate(spec)) == kind:
            most -= 1
            yield identifier
