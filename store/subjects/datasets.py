"""Uploaded data sets: what a request makes, what others may stand on, and what the API shows of it."""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, and_, func, not_, select
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session, defer

from gauntlet import resources
from gauntlet.checks.description import DatasetContents, DatasetDescription
from gauntlet.checks.faults import Fault
from gauntlet.checks.names import counted
from gauntlet.spec.asked.uploads import SplitDraw
from gauntlet.spec.kinds import SPLITS, AnyDataset, Split, Uploaded, dataset_title
from store import events
from store.database import db_now, take_turn
from store.errors import NotFound, Refused, RequestUnfit
from store.events import News
from store.lookup import find
from store.models import Checkpoint, Dataset, Experiment
from store.shown.pages import PageOf, newest_first
from store.times import as_datetime

_NAMED = 5


@dataclass(frozen=True)
class Received:
    """An archive that was received, and what was said of it."""

    name: str
    sha256: str
    bytes: int
    notes: str = ""
    draw: SplitDraw | None = None
    owner: str | None = None
    quota_bytes: int | None = None

    @property
    def request_sha256(self) -> str:
        """Equal for archives that become the same data set."""
        draw = self.draw.model_dump() if self.draw else None
        return hashlib.sha256(json.dumps([self.sha256, draw]).encode()).hexdigest()


def same(session: Session, received: Received) -> Dataset | None:
    """The data set that is made of the same archive in the same way, unless that failed."""
    # Of requests that come at once, each sees what those before it stored.
    take_turn(session, f"datasets {received.request_sha256}")
    return session.scalars(_alike(received)).one_or_none()


def is_known(session: Session, received: Received) -> bool:
    """Whether there is one at this moment; `same` says it for good."""
    return session.scalars(_alike(received)).one_or_none() is not None


def _alike(received: Received) -> Select[Dataset]:
    alike = (Dataset.request_sha256 == received.request_sha256, Dataset.status != "failed")
    return select(Dataset).where(*alike, Dataset.deleted_at.is_(None)).order_by(Dataset.id).limit(1)


def add(session: Session, identifier: str, received: Received) -> Dataset:
    """Record an archive that is kept already, to be unpacked."""
    dataset = Dataset(
        id=identifier,
        created_at=session.scalar(select(db_now())),
        owner=received.owner,
        quota_bytes=received.quota_bytes,
        name=received.name,
        notes=received.notes,
        draw=received.draw.model_dump() if received.draw else None,
        archive_sha256=received.sha256,
        archive_bytes=received.bytes,
        request_sha256=received.request_sha256,
    )
    session.add(dataset)
    session.flush()
    events.tell(session, News("status", "unpacking", identifier, "The data set is to be unpacked."))
    return dataset


def get(session: Session, identifier: str) -> Dataset:
    """The uploaded data set with that id.

    Raises:
        NotFound: there is none, or it was deleted.
    """
    dataset = find(session, Dataset, "data set", identifier)
    if dataset.deleted_at is not None:
        raise NotFound("data set", identifier)
    return dataset


def page(session: Session, *, after: str | None, limit: int) -> PageOf[Dataset]:
    """Uploaded data sets, newest first, without their contents."""
    query = select(Dataset).where(Dataset.deleted_at.is_(None)).options(defer(Dataset.contents, raiseload=True))
    return newest_first(session, query, Dataset.id, after=after, limit=limit)


def delete(session: Session, identifier: str) -> None:
    """Delete a data set that nothing stands on; its files go with the sweeper.

    Raises:
        NotFound: there is none.
        Refused: an experiment or a checkpoint names it.
    """
    # Whoever would stand on it waits here, and then finds that it is gone.
    session.execute(select(Dataset.id).where(Dataset.id == identifier).with_for_update())
    dataset = get(session, identifier)
    standing = [
        told
        for model, noun in ((Experiment, "experiment"), (Checkpoint, "checkpoint"))
        if (told := _standing(session, model, noun, identifier))
    ]
    if standing:
        raise Refused(f"The data set {identifier} is needed by {' and '.join(standing)}: delete these first.")
    dataset.deleted_at = session.scalar(select(db_now()))
    session.flush()
    events.tell(session, News("status", "deleted", identifier, "The data set is deleted."))


def _standing(session: Session, model: type[Experiment] | type[Checkpoint], noun: str, identifier: str) -> str | None:
    ours = model.dataset_id == identifier
    count = session.scalar(select(func.count()).select_from(model).where(ours)) or 0
    if not count:
        return None
    names = session.scalars(select(model.id).where(ours).order_by(model.id).limit(_NAMED)).all()
    more = ", …" if count > len(names) else ""
    return f"{counted(count, noun)} ({', '.join(names)}{more})"


def deleted(session: Session) -> list[str]:
    """The ids of data sets that were deleted, and whose files may still be there."""
    return list(session.scalars(select(Dataset.id).where(Dataset.deleted_at.is_not(None))))


def forget(session: Session, identifier: str, *, arriving_s: float) -> bool:
    """Remove the row of a deleted data set, whose files are gone; whether it was.

    One that a worker had begun to unpack stays for so long: what that one sends may arrive after the others were
    deleted, and without a row nobody would know whose it is.
    """
    begun = and_(Dataset.status == "unpacking", Dataset.attempt > 0)
    may_arrive = and_(begun, Dataset.deleted_at > db_now() - arriving_s)
    ours = (Dataset.id == identifier, Dataset.deleted_at.is_not(None), not_(may_arrive))
    return session.execute(sql_delete(Dataset).where(*ours).returning(Dataset.id)).one_or_none() is not None


def statuses(session: Session, identifiers: Collection[str]) -> dict[str, str]:
    """How those of them stand that are there."""
    query = select(Dataset.id, Dataset.status).where(Dataset.id.in_(identifiers))
    return {row.id: row.status for row in session.execute(query)}


def stand_on(session: Session, dataset: AnyDataset) -> str | None:
    """Hold a data set so that what this transaction makes may stand on it; its id, None where it is no uploaded one.

    Raises:
        RequestUnfit: it is not there, or not ready.
    """
    if not isinstance(dataset, Uploaded):
        return None
    # Its deletion waits until this transaction is through, and then sees what stands on it.
    row = session.scalar(select(Dataset).where(Dataset.id == dataset.id).with_for_update(read=True))
    if fault := _why_not(row, dataset.id):
        raise RequestUnfit([Fault(kind="dataset_unavailable", pointer="/dataset/id", message=fault)])
    return dataset.id


def titled(session: Session, dataset: AnyDataset) -> AnyDataset:
    """The same with the name that it was uploaded under as its title, unless it has one."""
    if not isinstance(dataset, Uploaded) or dataset.title is not None:
        return dataset
    name = session.scalar(select(Dataset.name).where(Dataset.id == dataset.id))
    return dataset if name is None else dataset.model_copy(update={"title": name})


def seen(
    session: Session, dataset: AnyDataset, found: DatasetDescription | None, splits: Sequence[Split] = SPLITS
) -> DatasetDescription | None:
    """What is known of a data set: of an uploaded one what its row says, of another what was `found`."""
    return describe(session, dataset, splits) if isinstance(dataset, Uploaded) else found


def describe(session: Session, dataset: Uploaded, splits: Sequence[Split] = SPLITS) -> DatasetDescription:
    """What is known of an uploaded data set; a fault where it is not there, or not ready."""
    row = session.get(Dataset, dataset.id)
    title = dataset_title(dataset)
    if fault := _why_not(row, dataset.id):
        return DatasetDescription(dataset=title, faults=(fault,))
    assert row is not None
    known = DatasetContents.model_validate(row.contents).description
    changes: dict[str, object] = {split: None for split in SPLITS if split not in splits}
    if changes:
        changes["in_both"] = None
    return known.model_copy(update={"dataset": title, "fit": dataset.fit, **changes})


def _why_not(row: Dataset | None, identifier: str) -> str | None:
    """Why a data set cannot be used, if it cannot."""
    if row is None or row.deleted_at is not None:
        return f"There is no data set with the id {identifier!r}."
    match row.status:
        case "ready":
            return None
        case "failed":
            return f"The data set {identifier} could not be made of its archive: {row.status_detail}"
        case _:
            return f"The data set {identifier} is still being unpacked. Ask again when it is ready."


def show(dataset: Dataset) -> resources.Dataset:
    """The data set as lists show it."""
    progress = None
    if dataset.phase is not None and dataset.status == "unpacking":
        progress = resources.Progress(
            phase=dataset.phase, completed=dataset.completed, total=dataset.total, unit="files", eta_s=None
        )
    return resources.Dataset(
        id=dataset.id,
        created_at=as_datetime(dataset.created_at),
        owner=dataset.owner,
        name=dataset.name,
        status=dataset.status,
        status_reason=dataset.status_reason,
        status_detail=dataset.status_detail,
        progress=progress,
        spec=Uploaded(id=dataset.id, title=dataset.name),
        classes=dataset.classes,
        train_images=dataset.train_images,
        test_images=dataset.test_images,
        bytes=dataset.bytes,
        sha256=dataset.sha256,
    )


def show_details(session: Session, dataset: Dataset) -> resources.DatasetDetails:
    """All of it."""
    details = resources.DatasetDetails(
        **dict(show(dataset)),
        finished_at=as_datetime(dataset.finished_at),
        notes=dataset.notes,
        split=None if dataset.draw is None else SplitDraw.model_validate(dataset.draw),
        archive_bytes=dataset.archive_bytes,
        archive_sha256=dataset.archive_sha256,
    )
    if dataset.contents is None:
        return details
    contents = DatasetContents.model_validate(dataset.contents)
    alike = (Dataset.sha256 == dataset.sha256, Dataset.id != dataset.id, Dataset.deleted_at.is_(None))
    return details.model_copy(
        update={
            "description": contents.description,
            "skipped": contents.skipped,
            "sizes": contents.sizes,
            "thumbnails": tuple(
                resources.DatasetThumbnail(
                    label=each.label, image=each.image, path=f"/v1/datasets/{dataset.id}/thumbnails/{number}.png"
                )
                for number, each in enumerate(contents.thumbnails)
            ),
            "same_as": tuple(session.scalars(select(Dataset.id).where(*alike).order_by(Dataset.id).limit(20))),
        }
    )
