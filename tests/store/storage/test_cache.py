"""Copies on this machine are whole or not there, and stay while somebody reads them."""

import fcntl
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TextIO

import pytest

from store.storage import FetchedCache

NOW = 1_000_000.0
LONG_AGO = NOW - 9_000


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FetchedCache:
    """With room for two copies of 10 bytes, at an hour that stands still."""
    monkeypatch.setattr("store.storage.cache.time.time", lambda: NOW)
    return FetchedCache(tmp_path, most_bytes=25)


def fetched(cache: FetchedCache, key: str, bring: Callable[[Path], None] | None = None) -> Path:
    return cache.get(key, lambda: 10, bring or bring_pictures)


def bring_pictures(folder: Path) -> None:
    folder.mkdir()
    for name in ("0.png", "1.png"):
        (folder / name).write_bytes(b"x" * 5)


def bring_file(file: Path) -> None:
    file.write_bytes(b"x" * 10)


def used(cache: FetchedCache, key: str, when: float) -> None:
    os.utime(cache.folder / key / "bytes", (when, when))


def fetch_too_many(cache: FetchedCache) -> None:
    """Three, which nobody has used for long."""
    for key in ("a", "b", "c"):
        fetched(cache, key)
    for key in ("a", "b", "c"):
        used(cache, key, LONG_AGO)


def names(cache: FetchedCache) -> list[str]:
    return sorted(path.name for path in cache.folder.iterdir() if path.is_dir())


def test_copies_are_bounded(cache: FetchedCache) -> None:
    """What was used longest ago goes first, its lock with it, and nothing that was used within the hour."""
    for name, when in (("a", LONG_AGO), ("b", LONG_AGO + 1_000), ("c", NOW - 10)):
        fetched(cache, name, bring_file)
        used(cache, name, when)
    cache.sweep()
    assert names(cache) == ["b", "c"]
    cache.get("d", lambda: 30, bring_file)
    assert names(cache) == ["c", "d"]
    assert sorted(path.name for path in cache.folder.glob("*.lock")) == ["c.lock", "d.lock"]


def test_a_deletion_that_is_cut_off_leaves_no_half_of_a_copy(
    cache: FetchedCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks has the whole brought anew; the half goes with the next sweep."""

    class Killed(BaseException):
        pass

    def killed_within(folder: Path, **_: object) -> None:
        for picture in folder.rglob("0.png"):
            picture.unlink()
            raise Killed

    fetch_too_many(cache)
    with monkeypatch.context() as patched:
        patched.setattr("store.storage.cache.shutil.rmtree", killed_within)
        with pytest.raises(Killed):
            cache.sweep()
    copy = fetched(cache, "a")
    assert sorted(path.name for path in copy.iterdir()) == ["0.png", "1.png"]
    cache.sweep()
    assert len(names(cache)) == 2
    assert list(cache.folder.glob("*.partial")) == []


def test_a_copy_that_was_just_told_of_stays(cache: FetchedCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody asks for it after its age was looked at, and before it is deleted."""
    fetch_too_many(cache)

    def asked_meanwhile() -> float:
        fetched(cache, "a")
        return NOW

    monkeypatch.setattr("store.storage.cache.time.time", asked_meanwhile)
    cache.sweep()
    assert names(cache) == ["a", "c"]


def test_pictures_are_on_the_disk_before_they_have_a_name(cache: FetchedCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that loses its power has the whole copy or none."""
    seen: list[list[str]] = []
    monkeypatch.setattr("store.storage.cache.os.sync", lambda: seen.append(found()))

    def found() -> list[str]:
        return sorted(str(path.relative_to(cache.folder)) for path in cache.folder.rglob("*") if path.is_file())

    fetched(cache, "a")
    assert seen == [["a.lock", "a.partial/bytes", "a.partial/content/0.png", "a.partial/content/1.png"]]


def test_a_copy_that_is_being_brought_stays(cache: FetchedCache) -> None:
    """However old the files are that it is made of."""

    def swept_meanwhile(folder: Path) -> None:
        bring_pictures(folder)
        for path in (*folder.iterdir(), folder, folder.parent):
            os.utime(path, (0, 0))
        cache.sweep()

    assert len(list(fetched(cache, "a", swept_meanwhile).iterdir())) == 2


def test_a_copy_that_was_brought_anew_is_not_dropped(cache: FetchedCache) -> None:
    """Of two that found it damaged the second looks again."""

    def is_damaged(copy: Path) -> bool:
        return not (copy / "0.png").exists()

    (fetched(cache, "a") / "0.png").unlink()
    cache.drop("a", is_damaged)
    cache.drop("a", is_damaged)
    copy = fetched(cache, "a")
    cache.drop("a", is_damaged)
    assert len(list(copy.iterdir())) == 2


def test_who_waited_for_one_that_failed_has_the_lock_in_its_place(
    cache: FetchedCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failed one's lock is deleted with what it left; whoever waited for that holds the one that others ask for."""
    waits = threading.Event()
    flock, opened = fcntl.flock, []

    def told(file: TextIO, how: int) -> None:
        opened.append(file)
        if len(opened) == 2:
            waits.set()
        flock(file, how)

    def bring_alone(folder: Path) -> None:
        bring_pictures(folder)
        with (cache.folder / "a.lock").open() as file, pytest.raises(BlockingIOError):
            flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def fail_once_another_waits(folder: Path) -> None:
        bring_pictures(folder)
        waiter.submit(fetched, cache, "a", bring_alone).add_done_callback(done.append)
        assert waits.wait(90)
        raise OSError("no room")

    done: list[Future[Path]] = []
    monkeypatch.setattr("store.storage.cache.fcntl.flock", told)
    with ThreadPoolExecutor(1) as waiter, pytest.raises(OSError, match="no room"):
        fetched(cache, "a", fail_once_another_waits)
    assert len(list(done[0].result().iterdir())) == 2
    assert names(cache) == ["a"]
