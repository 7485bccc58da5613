"""Checkpoints: queries, and what the API shows of them."""

from collections.abc import Iterable
from typing import assert_never

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from gauntlet import resources
from gauntlet.spec.checkpoint_card import CheckpointCard, Imported, Trained
from gauntlet.spec.runs.objective_labels import objective_title
from store.database import db_now
from store.lookup import find
from store.models import Checkpoint
from store.shown.pages import PageOf, newest_first
from store.storage import StoredFile
from store.subjects import datasets
from store.times import as_datetime


def get(session: Session, identifier: str) -> Checkpoint:
    """The checkpoint with that id, its run loaded.

    Raises:
        NotFound: there is none.
    """
    return find(session, Checkpoint, "checkpoint", identifier, joinedload(Checkpoint.run))


def cards(session: Session, identifiers: Iterable[str]) -> dict[str, CheckpointCard | None]:
    """What each of these checkpoints says of itself; None where there is none with that id."""
    wanted = set(identifiers)
    found = select(Checkpoint.id, Checkpoint.card).where(Checkpoint.id.in_(wanted))
    known = {row.id: CheckpointCard.model_validate(row.card) for row in session.execute(found)}
    return {identifier: known.get(identifier) for identifier in wanted}


def page(session: Session, *, run: str | None, after: str | None, limit: int) -> PageOf[Checkpoint]:
    """Checkpoints, newest first; of one run if it is named."""
    query = select(Checkpoint).options(joinedload(Checkpoint.run))
    if run is not None:
        query = query.where(Checkpoint.run_id == run)
    return newest_first(session, query, Checkpoint.id, after=after, limit=limit, parts=_tens_of_classes)


def _tens_of_classes(row: Checkpoint) -> int:
    # A class is a word.
    return len(row.card["classes"]) // 10


def add_imported(
    session: Session, identifier: str, card: CheckpointCard, weights: StoredFile, *, owner: str | None = None
) -> Checkpoint:
    """Record imported weights, whose file exists already.

    Raises:
        RequestUnfit: its data set is an uploaded one that is not there or not ready.
    """
    card = card.model_copy(update={"dataset": datasets.titled(session, card.dataset)})
    checkpoint = Checkpoint(
        id=identifier,
        created_at=session.scalar(select(db_now())),
        owner=owner,
        dataset_id=datasets.stand_on(session, card.dataset),
        card=card.model_dump(mode="json"),
        path=weights.path,
        sha256=weights.sha256,
        bytes=weights.bytes,
        metrics={},
        run=None,
    )
    session.add(checkpoint)
    session.flush()
    return checkpoint


def paths_of(session: Session, identifiers: Iterable[str]) -> dict[str, str]:
    """Where the weights of these checkpoints lie, below the storage's root; of those that there are."""
    found = select(Checkpoint.id, Checkpoint.path).where(Checkpoint.id.in_(set(identifiers)))
    return {row.id: row.path for row in session.execute(found)}


def paths(session: Session) -> set[str]:
    """Where all checkpoints' weights lie, below the storage's root."""
    return set(session.scalars(select(Checkpoint.path)))


def existing(session: Session, identifiers: Iterable[str]) -> set[str]:
    """Those of the ids that are checkpoints'."""
    return set(session.scalars(select(Checkpoint.id).where(Checkpoint.id.in_(identifiers))))


def card_of(checkpoint: Checkpoint) -> CheckpointCard:
    """What the checkpoint says of itself."""
    return CheckpointCard.model_validate(checkpoint.card)


def show(checkpoint: Checkpoint) -> resources.Checkpoint:
    """The checkpoint as the API shows it; its run is loaded."""
    run, card = checkpoint.run, card_of(checkpoint)
    return resources.Checkpoint(
        id=checkpoint.id,
        created_at=as_datetime(checkpoint.created_at),
        owner=checkpoint.owner,
        name=name_of(checkpoint),
        experiment=run.experiment_id if run else None,
        run=checkpoint.run_id,
        objective=run.objective if run else None,
        seed=run.seed if run else None,
        epoch=checkpoint.epoch,
        sha256=checkpoint.sha256,
        bytes=checkpoint.bytes,
        card=card,
        metrics=checkpoint.metrics,
        labels=tuple(checkpoint.labels or ()),
        notes=checkpoint.notes or "",
    )


def name_of(checkpoint: Checkpoint) -> str:
    """What a reader knows the checkpoint by; its run is loaded."""
    card, run = card_of(checkpoint), checkpoint.run
    match card.origin:
        case Imported(name=name):
            return name
        case Trained(spec=spec, epoch=epoch, averaged=averaged):
            objective = run.objective if run else spec.objective.kind
            return f"{objective_title(objective)}, seed {spec.seed}, epoch {epoch}{', averaged' if averaged else ''}"
        case _:
            assert_never(card.origin)
