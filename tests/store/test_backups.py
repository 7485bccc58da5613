"""`gauntlet backup` and `gauntlet restore`: all of it comes back, or nothing is touched."""

import json
import os
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import inspect
from typer.testing import CliRunner

from cli.commands import app
from store import pictures
from store.backups import rows
from store.backups.pinned import forget_abandoned
from store.database import Database, engine_for_migrations
from store.models import Base, PictureFile
from store.storage import FolderStorage
from tests.evaluations import imported, queued
from tests.uploads import packed, receive

WEIGHTS = bytes(range(256)) * 64


@pytest.fixture
def home(sqlite_url: str, tmp_path: Path) -> Path:
    """A home with an imported checkpoint, an evaluation with a picture file, an archive to unpack and a key."""
    storage, database = FolderStorage(tmp_path / "checkpoints"), Database(sqlite_url)
    stored = storage.write("ckpt_one/weights.safetensors", WEIGHTS)
    evaluation = queued(database, imported(database, "one", sha256=stored.sha256, path=stored.path))
    kept = storage.write(f"{evaluation}/attempt-1/part-1.npy", WEIGHTS[:99])
    with database.writing() as session:
        named = {"name": pictures.part("fgsm@8/255", 0), "path": kept.path, "sha256": kept.sha256, "bytes": kept.bytes}
        session.add(PictureFile(evaluation_id=evaluation, **named))
    receive(database, storage, packed(tmp_path))
    database.close()
    (tmp_path / "secret.key").write_bytes(b"k" * 32)
    return tmp_path


def gauntlet(home: Path, *arguments: str) -> Result:
    return CliRunner(env={"GAUNTLET_HOME": str(home)}).invoke(app, arguments, catch_exceptions=False)


@pytest.fixture
def archive(home: Path, tmp_path: Path) -> Path:
    """A backup of it."""
    file = tmp_path / "backup.tar"
    done = gauntlet(home, "backup", str(file))
    assert (done.exit_code, done.stderr) == (0, "")
    return file


def left_in(home: Path) -> set[str]:
    return {
        str(path.relative_to(home)) for path in home.rglob("*") if path.is_file() and "gauntlet.db" not in path.name
    }


def test_a_home_comes_back_as_it_was(archive: Path, tmp_path: Path) -> None:
    """A backup of what was restored holds the same rows and files, byte by byte; only its owner may read either."""
    assert archive.stat().st_mode & 0o777 == 0o600
    again = tmp_path / "again"
    done = gauntlet(again, "restore", str(archive), "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["files"], told["faults"]) == (0, 3, [])
    assert (again / "secret.key").read_bytes() == b"k" * 32
    assert (again / "secret.key").stat().st_mode & 0o777 == 0o600
    (part,) = (again / "checkpoints").glob("eval_*/attempt-1/part-1.npy")
    assert {name for name in left_in(again) if not name.startswith("checkpoints/dset_")} == {
        "secret.key",
        str(part.relative_to(again)),
        "checkpoints/ckpt_one/weights.safetensors",
    }
    second = tmp_path / "second.tar"
    assert gauntlet(again, "backup", str(second)).exit_code == 0
    assert entries(second) == entries(archive)


def entries(archive: Path) -> object:
    """Names and digests of all that an archive holds."""
    from store.backups.restoring import check

    return check(archive).entries


def test_every_table_is_kept_but_who_works(sqlite_url: str) -> None:
    """One that is made by a migration and forgotten by the models would be lost."""
    engine = engine_for_migrations(sqlite_url)
    there = set(inspect(engine).get_table_names())
    engine.dispose()
    assert there - {table.name for table in rows.tables()} == {
        "alembic_version",
        "evaluation_helpers",
        "taken_batches",
        "workers",
    }
    assert set(Base.metadata.tables) <= there


def test_every_column_that_names_a_file_is_known() -> None:
    """One that is added has to be read by `store.backups.taking`, or its files are in no backup."""
    columns = [column for table in rows.tables() for column in table.columns]
    named = {f"{column.table.name}.{column.name}" for column in columns if column.name.endswith("path")}
    assert named == {"runs.resume_path", "checkpoints.path", "picture_files.path"}


def test_nothing_is_restored_over_what_is_there(home: Path, archive: Path, tmp_path: Path) -> None:
    """Neither over files, nor over a key, nor over rows; and a backup replaces no file."""
    for begun in ("checkpoints/a-file", "secret.key"):
        other = tmp_path / f"with-{Path(begun).name}"
        (other / begun).parent.mkdir(parents=True)
        (other / begun).touch()
        refused = gauntlet(other, "restore", str(archive))
        assert refused.exit_code == 1
        assert "empty home only" in refused.stderr
        assert left_in(other) == {begun}
    (home / "checkpoints").rename(home / "elsewhere")
    (home / "secret.key").rename(home / "elsewhere.key")
    refused = gauntlet(home, "restore", str(archive))
    assert (refused.exit_code, "The database is not empty" in refused.stderr) == (1, True)
    refused = gauntlet(home, "backup", str(archive))
    assert (refused.exit_code, "is there already" in refused.stderr) == (1, True)
    assert not list((home / "checkpoints").glob("*"))


@pytest.mark.parametrize("place", [WEIGHTS[:64], b'"imported"', b"k" * 32, b'"revision"', b"ustar"])
def test_a_damaged_archive_is_refused(archive: Path, tmp_path: Path, place: bytes) -> None:
    """A byte of a file, of a row, of the key, of the manifest or of a header: nothing is left in the new home."""
    content = bytearray(archive.read_bytes())
    content[content.rindex(place) + 2] ^= 1
    archive.write_bytes(content)
    assert_refused(archive, tmp_path / "again")


@pytest.mark.parametrize("kept", [0, 1_000, 0.5, 0.99])
def test_an_archive_that_is_cut_short_is_refused(archive: Path, tmp_path: Path, kept: float) -> None:
    """Wherever it ends."""
    content = archive.read_bytes()
    archive.write_bytes(content[: int(kept if kept >= 1 else kept * content.rindex(b'"revision"'))])
    assert_refused(archive, tmp_path / "again")


def assert_refused(archive: Path, home: Path) -> None:
    for arguments in (("restore", str(archive)), ("restore", str(archive), "--check")):
        done = gauntlet(home, *arguments)
        assert done.exit_code == 1, done.output
        assert "archive" in done.stderr
    assert left_in(home) == set()


def test_a_file_that_is_not_what_its_row_says_is_told(home: Path, tmp_path: Path) -> None:
    """All others are in the archive, which is whole; the exit status is 1."""
    weights = home / "checkpoints/ckpt_one/weights.safetensors"
    weights.write_bytes(b"other")
    done = gauntlet(home, "backup", str(tmp_path / "damaged.tar"))
    assert (done.exit_code, "is damaged" in done.stderr) == (1, True)
    weights.unlink()
    done = gauntlet(home, "backup", str(tmp_path / "missing.tar"), "--json")
    (fault,) = json.loads(done.stdout)["faults"]
    assert (done.exit_code, fault) == (
        1,
        "The file ckpt_one/weights.safetensors is missing, though a row names it.",
    )
    assert gauntlet(home, "restore", "--check", str(tmp_path / "missing.tar")).exit_code == 0
    assert not list((home / "checkpoints").glob("pinned-*"))


def test_what_a_killed_backup_left_is_swept_after_a_day(tmp_path: Path) -> None:
    """One that is at work is left alone."""
    for name in ("old", "fresh"):
        (tmp_path / f"pinned-{name}").mkdir()
    os.utime(tmp_path / "pinned-old", (0, 0))
    forget_abandoned(FolderStorage(tmp_path), 86_400)
    assert [path.name for path in tmp_path.iterdir()] == ["pinned-fresh"]


def test_files_in_a_bucket_are_not_backed_up(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says whose business they are, and writes nothing."""
    monkeypatch.setenv("GAUNTLET_STORAGE_URL", "s3://files/team")
    for command in ("backup", "restore"):
        done = gauntlet(home, command, str(tmp_path / "backup.tar"))
        assert done.exit_code == 1
        assert "Files lie in s3://files/team" in " ".join(done.stderr.split())
    assert not (tmp_path / "backup.tar").exists()
