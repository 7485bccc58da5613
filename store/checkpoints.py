"""Checkpoints: queries, and what the API shows of them."""

from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from gauntlet import resources
from store.lookup import find
from store.models import Checkpoint
from store.pages import PageOf, newest_first
from store.times import as_datetime


def get(session: Session, identifier: str) -> Checkpoint:
    """The checkpoint with that id, its run loaded.

    Raises:
        NotFound: there is none.
    """
    return find(session, Checkpoint, "checkpoint", identifier, joinedload(Checkpoint.run))


def page(session: Session, *, run: str | None, after: str | None, limit: int) -> PageOf[Checkpoint]:
    """Checkpoints, newest first; of one run if it is named."""
    query = select(Checkpoint).options(joinedload(Checkpoint.run))
    if run is not None:
        query = query.where(Checkpoint.run_id == run)
    return newest_first(session, query, Checkpoint.id, after=after, limit=limit)


def file_of(checkpoint: Checkpoint, storage: Path) -> Path:
    """Where the checkpoint's weights lie."""
    return storage / checkpoint.path


def show(checkpoint: Checkpoint) -> resources.Checkpoint:
    """The checkpoint as the API shows it."""
    return resources.Checkpoint(
        id=checkpoint.id,
        created_at=as_datetime(checkpoint.created_at),
        experiment=checkpoint.run.experiment_id,
        run=checkpoint.run_id,
        objective=checkpoint.run.objective,
        seed=checkpoint.run.seed,
        epoch=checkpoint.epoch,
        sha256=checkpoint.sha256,
        bytes=checkpoint.bytes,
        metrics=checkpoint.metrics,
    )
