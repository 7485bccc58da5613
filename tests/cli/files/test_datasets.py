"""`gauntlet datasets` against a service; what a worker does is done by the test."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from cli.shown.dataset_tables import datasets_listing
from cli.shown.listings import print_listing
from gauntlet.client import AsyncGauntletClient, GauntletClient, GauntletClientError
from gauntlet.resources import Dataset
from gauntlet.spec.kinds import Digits
from store.database import Database
from tests.cli.conftest import file, screen, written
from tests.e2e.system import System
from tests.packing import class_folders, two_splits, write_zip
from tests.uploads import unpack
from worker.settings import WorkerSettings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures in class folders, and a text beside them."""
    for name, content in (class_folders(["cat", "dog"], 5, first=700) | {"notes.txt": b""}).items():
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "pets"


def test_a_folder_is_uploaded_shown_and_deleted(
    gauntlet: Any, system: System, database: Database, folder: Path
) -> None:
    """Its id alone goes to standard output; the same folder again is the same data set."""
    begun = gauntlet("datasets", "upload", str(folder), "--test-fraction", "0.2", "--no-wait")
    assert begun.exit_code == 0, begun.output
    identifier = begun.stdout.strip()
    assert identifier.startswith("dset_")
    assert "Not sent: 1 .txt, no pictures (notes.txt)." in begun.stderr
    assert "bytes sent." in begun.stderr

    unpack(database, WorkerSettings(home=system.home))
    again = gauntlet("datasets", "upload", str(folder), "--test-fraction", "0.2", "--name", "other")
    assert (again.exit_code, again.stdout.strip()) == (0, identifier)
    assert "pets: 8 training and 2 test images of 2 classes." in again.stderr

    listed = gauntlet("datasets", "list").stdout
    assert [line.split()[:3] for line in listed.splitlines() if identifier in line] == [[identifier, "pets", "ready"]]
    assert any(line.split()[1] == "digits" for line in listed.splitlines())
    for command in (("datasets", "show"), ("show",)):
        shown = gauntlet(*command, identifier).stdout
        assert f"dataset: {{name: uploaded, id: {identifier}, image_size: 32}}" in shown
        assert "20 % of each class, seed 0" in shown
    assert json.loads(gauntlet("datasets", "show", identifier, "--json").stdout)["train_images"] == 8
    assert "deleted" in gauntlet("datasets", "delete", identifier).stdout
    gone = gauntlet("datasets", "show", identifier)
    assert (gone.exit_code, "There is no data set" in gone.stderr) == (1, True)


def test_what_comes_to_nothing_is_told(gauntlet: Any, system: System, database: Database, tmp_path: Path) -> None:
    """A folder without pictures, an option at fault, and an archive that the service cannot use: each is status 1."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/a.txt").touch()
    nothing = gauntlet("datasets", "upload", str(tmp_path / "empty"))
    assert (nothing.exit_code, nothing.stdout) == (1, "")
    assert "There are no pictures in" in nothing.stderr
    archive = write_zip(tmp_path / "pets.zip", two_splits())
    faulty = gauntlet("datasets", "upload", str(archive), "--test-fraction", "2")
    assert faulty.exit_code == 1
    assert "--test-fraction: " in faulty.stderr
    begun = gauntlet("datasets", "upload", str(archive), "--test-fraction", "0.5", "--no-wait")
    unpack(database, WorkerSettings(home=system.home))
    told = gauntlet("datasets", "show", begun.stdout.strip()).stdout
    assert "leave test_fraction out" in told


def test_a_folder_is_no_archive(system: System, tmp_path: Path) -> None:
    """The client says what to give in its place."""
    with GauntletClient(system.client.url) as client, pytest.raises(GauntletClientError, match="give its PackedFolder"):
        client.upload_dataset(tmp_path, name="pets")


async def _upload(url: str, archive: Path) -> tuple[str, list[tuple[int, int]]]:
    told: list[tuple[int, int]] = []
    async with AsyncGauntletClient(url) as client:
        made = await client.upload_dataset(archive, name="async", watch=lambda *far: told.append(far))
    return made.id, told


def test_the_awaited_client_uploads_too(system: System, tmp_path: Path) -> None:
    """And tells how far it is."""

    archive = write_zip(tmp_path / "pets.zip", two_splits(train=3))
    identifier, told = asyncio.run(_upload(system.client.url, archive))
    assert system.client.dataset(identifier).archive_bytes == archive.stat().st_size
    assert told[-1] == (archive.stat().st_size, archive.stat().st_size)


@pytest.mark.parametrize("width", [120, 80, 40])
def test_lists_and_cards_fit_every_screen(width: int) -> None:
    """Nothing is cut but by wrapping, and ids are whole."""
    identifier = "dset_01kb3f0e9h2qk7vw5e6t8n4m2p"
    dataset = Dataset(
        id=identifier,
        created_at=None,
        owner=None,
        name="a rather long name",
        status="ready",
        spec=Digits(),
        classes=1_000,
    )
    to = screen(width)
    print_listing(datasets_listing([dataset]), to)
    assert all(len(line) <= width for line in written(to).splitlines())
    assert identifier in written(to)
    piped = file()
    print_listing(datasets_listing([dataset]), piped)
    assert len(written(piped).splitlines()) == 2
