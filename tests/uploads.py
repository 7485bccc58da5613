"""Uploaded data sets without a service: an archive that is received and recorded, and unpacked as a worker does it."""

from collections.abc import Mapping
from pathlib import Path

from gauntlet.spec.asked.uploads import SplitDraw
from store import dataset_files, files
from store.database import Database
from store.dataset_files import Incoming
from store.models import new_id
from store.storage import FolderStorage, Storage
from store.subjects import datasets
from store.subjects.datasets import Received
from tests.packing import two_splits, write_tar
from worker.beside.unpacker import Unpacker
from worker.settings import WorkerSettings


def receive(
    database: Database,
    storage: Storage,
    content: bytes,
    draw: SplitDraw | None = None,
    name: str = "pets",
    quota_bytes: int | None = None,
) -> str:
    """What the service does with an archive; the id."""
    incoming = Incoming(storage)
    incoming.write(content)
    incoming.sync()
    identifier = new_id("dset")
    incoming.keep(storage, identifier)
    with database.writing() as session:
        datasets.add(
            session, identifier, Received(name, incoming.sha256, incoming.bytes, draw=draw, quota_bytes=quota_bytes)
        )
    incoming.close()
    files.settle(storage, identifier)
    return identifier


def packed(folder: Path, pictures: Mapping[str, bytes] | None = None) -> bytes:
    """A tar of them; two splits of two classes by default."""
    return write_tar(folder / "packed.tar", two_splits() if pictures is None else pictures).read_bytes()


def unpack(database: Database, settings: WorkerSettings) -> None:
    """All that waits, in a process each."""
    Unpacker(database, settings).look()


def uploaded(database: Database, settings: WorkerSettings, content: bytes) -> str:
    """A data set that is ready."""
    identifier = receive(database, settings.storage, content)
    unpack(database, settings)
    with database.reading() as session:
        assert datasets.get(session, identifier).status == "ready"
    assert dataset_files.thumbnail(settings.storage, identifier, 0)
    return identifier


def left(storage: Storage, identifier: str) -> set[str]:
    """The files that a data set has in a folder."""
    assert isinstance(storage, FolderStorage)
    folder = storage.root / identifier
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
