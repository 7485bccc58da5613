"""/v1/datasets: archives of pictures that become data sets, and what else specs may name."""

import logging
import math
from functools import partial
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends, File, Form, Response, UploadFile
from fastapi import Path as PathParameter
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from gauntlet.resources import Dataset, DatasetDetails, Page, ProblemError
from gauntlet.spec.asked.notes import Notes
from gauntlet.spec.asked.uploads import MOST_SEED, SplitDraw
from gauntlet.spec.kinds import AnyDataset
from gauntlet.spec.reading.messages import printable
from gauntlet.spec.reading.texts import Label
from service import local_datasets
from service.dependencies import (
    WHOLE,
    After,
    AllowanceDep,
    CallerDep,
    ClassifierDep,
    DatabaseDep,
    Limit,
    LyingDep,
    OwnerDep,
    SettingsDep,
    StorageReadsDep,
)
from service.errors import ServiceError, invalid_fields
from service.pictures.classification import NotClassified
from service.pictures.png import as_png
from service.requests.answers import MAY_BE_REFUSED
from service.requests.forms import INTO_STORAGE
from service.requests.routing import Route
from service.transport.admission import Gate
from store import dataset_files, files
from store.accounts.owners import require_may_change
from store.accounts.quotas import Allowance
from store.database import Database
from store.dataset_files import Incoming
from store.errors import QuotaExceeded
from store.models import new_id
from store.storage import Storage
from store.subjects import datasets
from store.subjects.datasets import Received

router = APIRouter(prefix="/v1/datasets", tags=["datasets"], route_class=Route)

# Each fills the disk, and takes half a core to hash, as fast as it comes.
UPLOADS = Gate(
    2,
    "Other archives are being uploaded, or wait for a storage that does not answer; try again in half a minute.",
    retry_after_s=20,
)

# A page of them is asked for at once; each takes milliseconds.
THUMBNAILS = Gate(64, "Other small pictures are being looked for; try again in a second.", retry_after_s=1, at_once=2)

logger = logging.getLogger(__name__)

_TestFraction = Annotated[
    float | None,
    Form(gt=0, lt=1, description="How much of each class is for test, where the archive holds class folders."),
]
_Seed = Annotated[
    int | None, Form(ge=0, le=MOST_SEED, description="Decides, with the pictures' contents, which those are; 0."), WHOLE
]
_Number = Annotated[int, Field(ge=0, le=1_000), WHOLE]


_THERE: dict[int | str, dict[str, Any]] = {200: {"description": "It was uploaded before.", "model": Dataset}}


@router.post("", status_code=202, dependencies=[Depends(UPLOADS)], responses=_THERE)
async def upload_dataset(
    archive: Annotated[
        UploadFile,
        File(description="A zip or tar of `train/CLASS/…` and `test/CLASS/…`, or of `CLASS/…`."),
        INTO_STORAGE,
    ],
    name: Annotated[Label, Form(description="What lists and reports call it.")],
    database: DatabaseDep,
    settings: SettingsDep,
    reads: StorageReadsDep,
    owner: OwnerDep,
    allowance: AllowanceDep,
    response: Response,
    notes: Annotated[Notes, Form()] = "",
    test_fraction: _TestFraction = None,
    seed: _Seed = None,
) -> Dataset:
    """Upload pictures. They are unpacked by a worker; the same archive again is answered with what there is (200)."""
    incoming = archive.file
    assert isinstance(incoming, Incoming)
    received = Received(
        name=name,
        sha256=incoming.sha256,
        bytes=incoming.bytes,
        notes=notes,
        draw=_draw(test_fraction, seed),
        owner=owner,
        quota_bytes=allowance.quotas.bytes or None,
    )
    # One piece of work, which a client that leaves does not break off.
    kept = await reads.write(partial(_keep, incoming, received, database, settings.storage, allowance))
    response.status_code = 202 if kept.is_new else 200
    response.headers["Location"] = f"/v1/datasets/{kept.dataset.id}"
    return kept.dataset


class _Kept(NamedTuple):
    dataset: Dataset
    is_new: bool


def _keep(incoming: Incoming, received: Received, database: Database, storage: Storage, allowance: Allowance) -> _Kept:
    """Keep the archive for a new data set, unless there is one of it."""
    identifier = new_id("dset")
    with database.reading() as session:
        is_kept = not datasets.is_known(session, received)
    if is_kept:
        # Before the transaction, for it may take minutes. If the commit fails the files stay, for it may go through and
        # its answer be lost. A worker deletes what has no row.
        incoming.keep(storage, identifier)
    try:
        shown = _record(database, identifier, received, allowance, is_kept=is_kept)
        if shown is None:
            # The other was deleted meanwhile.
            is_kept = True
            incoming.keep(storage, identifier)
            shown = _record(database, identifier, received, allowance, is_kept=True)
    except QuotaExceeded:
        dataset_files.withdraw(storage, identifier)
        raise
    assert shown is not None
    is_new = shown.id == identifier
    if is_new:
        files.settle(storage, identifier)
        logger.info("Data set %s (%s) is to be unpacked: %d bytes.", identifier, received.name, received.bytes)
    elif is_kept:
        # Another request came with the same meanwhile.
        dataset_files.withdraw(storage, identifier)
    return _Kept(shown, is_new)


def _record(
    database: Database, identifier: str, received: Received, allowance: Allowance, *, is_kept: bool
) -> Dataset | None:
    """The data set that there is of the archive, else a new one; None where there is none and nothing is kept for one.

    Raises:
        QuotaExceeded: its owner has used up a quota.
    """
    with database.writing() as session:
        row = datasets.same(session, received)
        if row is None:
            if not is_kept:
                return None
            row = datasets.add(session, identifier, received)
            allowance.take_upload(session)
            allowance.require_bytes(session)
        return datasets.show(row)


def _draw(test_fraction: float | None, seed: int | None) -> SplitDraw | None:
    if test_fraction is not None:
        return SplitDraw(test_fraction=test_fraction, seed=seed or 0)
    if seed is not None:
        message = "This draws test images, and none are drawn without test_fraction."
        raise invalid_fields([ProblemError(pointer="/seed", message=message)])
    return None


@router.get("")
def list_datasets(database: DatabaseDep, lying: LyingDep, limit: Limit = 20, after: After = None) -> Page[Dataset]:
    """Uploaded data sets, newest first; then the bundled digits, and what lies in the data root."""
    shown: list[Dataset] = []
    if after is None or not local_datasets.is_one(after):
        with database.reading() as session:
            uploads = datasets.page(session, after=after, limit=limit)
            shown = [datasets.show(row) for row in uploads.rows]
        if uploads.has_more:
            return Page(data=tuple(shown), has_more=True, next=shown[-1].id)
        after = None
    others = local_datasets.listed(lying, after=after)
    room = limit - len(shown)
    shown += others[:room]
    has_more = len(others) > room
    return Page(data=tuple(shown), has_more=has_more, next=shown[-1].id if has_more else None)


@router.get("/{dataset_id}")
def get_dataset(dataset_id: str, database: DatabaseDep, settings: SettingsDep, lying: LyingDep) -> DatasetDetails:
    """All that is known of one: classes, counts and sizes, what was passed over, small pictures."""
    if local_datasets.is_one(dataset_id):
        return local_datasets.details(settings, lying, dataset_id)
    with database.reading() as session:
        return datasets.show_details(session, datasets.get(session, dataset_id))


@router.get(
    "/{dataset_id}/thumbnails/{number}.png",
    response_class=Response,
    dependencies=[Depends(THUMBNAILS)],
    responses={200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def get_thumbnail(
    dataset_id: str,
    number: Annotated[_Number, PathParameter()],
    database: DatabaseDep,
    settings: SettingsDep,
    classifier: ClassifierDep,
    reads: StorageReadsDep,
    lying: LyingDep,
) -> Response:
    """A small picture of a data set, at most 96 pixels wide and high; of one without an upload, class by class."""
    if local_datasets.is_one(dataset_id):
        dataset = await run_in_threadpool(local_datasets.named, lying, dataset_id)
        return await _example(settings, classifier, local_datasets.at_thumbnail_size(dataset), number)
    identifier = await run_in_threadpool(_known, database, dataset_id)
    try:
        picture = await reads.thumbnail(identifier, number)
    except FileNotFoundError:
        raise ServiceError(404, "not-found", f"The data set {identifier} has no small picture {number}.") from None
    return Response(picture, media_type="image/png")


async def _example(settings: SettingsDep, classifier: ClassifierDep, dataset: AnyDataset, number: int) -> Response:
    order = {"dataset": dataset.model_dump(mode="json"), "data_root": str(settings.data_root), "example": number}
    try:
        found = await classifier.find_image(order, size=math.prod(dataset.image_shape))
    except NotClassified as error:
        raise ServiceError(404, "not-found", printable(str(error))) from error
    return Response(await run_in_threadpool(as_png, found, dataset.image_shape), media_type="image/png")


def _known(database: Database, dataset_id: str) -> str:
    with database.reading() as session:
        return datasets.get(session, dataset_id).id


@router.delete("/{dataset_id}", status_code=204, responses=MAY_BE_REFUSED)
def delete_dataset(dataset_id: str, database: DatabaseDep, caller: CallerDep) -> Response:
    """Delete an uploaded data set that no experiment or checkpoint needs; its files go within minutes."""
    with database.writing() as session:
        require_may_change(caller, datasets.get(session, dataset_id))
        datasets.delete(session, dataset_id)
    logger.info("Data set %s is deleted by its user.", dataset_id)
    return Response(status_code=204)
