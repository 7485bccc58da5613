"""Data sets of which a copy may have to come first."""

import asyncio
import threading
from pathlib import Path

import pytest

from gauntlet.spec.kinds import AnyDataset, Digits, Uploaded
from service import storage_reads
from service.errors import ServiceError
from service.settings import ServiceSettings
from service.storage_reads import StorageReads

PETS = Uploaded(id="dset_a", image_size=12)


@pytest.fixture
def brought(monkeypatch: pytest.MonkeyPatch) -> list[AnyDataset]:
    """Which data sets were brought."""
    monkeypatch.setattr(storage_reads, "_WAITED_FOR_S", 0.01)
    return []


def test_a_data_set_comes_once_and_is_not_waited_for(
    brought: list[AnyDataset], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Who asks meanwhile is told to come again, and nothing else waits; then it is there."""
    there = threading.Event()

    def bring(_: ServiceSettings, dataset: AnyDataset) -> Path:
        brought.append(dataset)
        assert there.wait(90)
        return tmp_path / "copy"

    monkeypatch.setattr(ServiceSettings, "root_of", bring)

    async def ask() -> None:
        reads = StorageReads(ServiceSettings(home=tmp_path))
        for _ in range(2):
            with pytest.raises(ServiceError, match="being brought") as raised:
                await reads.root_of(PETS)
            assert (raised.value.status, raised.value.headers) == (503, {"Retry-After": "5"})
        assert await reads.root_of(Digits()) == tmp_path / "data"
        there.set()
        monkeypatch.setattr(storage_reads, "_WAITED_FOR_S", 90)
        assert await reads.root_of(PETS) == tmp_path / "copy"

    asyncio.run(ask())
    assert brought == [PETS]


def test_one_that_cannot_come_is_tried_anew(
    brought: list[AnyDataset], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever waits for it is told why."""

    def fail(_: ServiceSettings, dataset: AnyDataset) -> Path:
        brought.append(dataset)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ServiceSettings, "root_of", fail)
    monkeypatch.setattr(storage_reads, "_WAITED_FOR_S", 90)

    async def ask() -> None:
        reads = StorageReads(ServiceSettings(home=tmp_path))
        for _ in range(2):
            with pytest.raises(OSError, match="No space"):
                await reads.root_of(PETS)

    asyncio.run(ask())
    assert brought == [PETS, PETS]
