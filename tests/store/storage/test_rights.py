"""A storage that this process may not use is told as that, whatever is asked of it; so are a bucket's copies here."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from store.storage import Draft, FetchedCache, FolderStorage, Scratch, StorageRefused, is_the_storages, met_there
from tests import rights
from tests.object_store import ObjectStore
from tests.rights import mounted_at, of_mode, without_rights

Place = Callable[[Path], AbstractContextManager[None]]


def _keep(storage: FolderStorage) -> None:
    with Draft(storage.root.with_name("elsewhere")) as draft:
        storage.keep(draft, "run_b/weights")


ASKED: dict[str, Callable[[FolderStorage], object]] = {
    "require": lambda storage: storage.require(),
    "look": lambda storage: storage.look(),
    "write": lambda storage: storage.write("run_b/weights", b"content"),
    "mark": lambda storage: storage.mark("run_b/unrecorded"),
    "draft": lambda storage: storage.draft(),
    "keep": _keep,
    "fetch": lambda storage: storage.fetch("run_a/weights", ""),
    "read": lambda storage: storage.read("run_a/weights"),
    "holds": lambda storage: storage.holds("run_a/weights"),
    "find": lambda storage: storage.find("run_*/*"),
    "find_old": lambda storage: storage.find_old("run_*/*", 0.0),
    "delete": lambda storage: storage.delete("run_a/weights"),
    "delete_folder": lambda storage: storage.delete_folder("run_a"),
    "forget_drafts": lambda storage: storage.forget_drafts(0.0),
    "forget_here": lambda storage: storage.forget_here(0.0),
    "workplace": lambda storage: storage.workplace("dset_a/attempt-1"),
    "leave": lambda storage: storage.leave("dset_a/attempt-2"),
    "prepare_folder": lambda storage: storage.prepare_folder("dset_a/attempt-1", "dset_a/content")(),
    "tidy_folder": lambda storage: storage.tidy_folder("dset_a/content"),
    "sent_twice": lambda storage: storage.sent_twice("dset_*/content"),
    "fetch_folder": lambda storage: storage.fetch_folder("dset_a/attempt-1"),
    "room": lambda storage: storage.room(),
}
# Ask nothing of it, or what cannot be told; what they do not see they leave as it is.
ANSWERED = {"find", "find_old", "forget_here", "leave", "room", "sent_twice", "tidy_folder", "workplace"}
WRITE = {"delete", "delete_folder", "draft", "keep", "look", "mark", "prepare_folder", "write"}


def _all_in(root: Path) -> list[Path]:
    return [root, *(path for path in root.rglob("*") if path.is_dir())]


def _bring(copy: Path) -> None:
    copy.write_bytes(b"content")


def closed(root: Path) -> AbstractContextManager[None]:
    """To be read and written by another user."""
    return of_mode(0, root)


def another_users(root: Path) -> AbstractContextManager[None]:
    """To be read only: all of its folders belong to somebody else."""
    return of_mode(0o500, *_all_in(root))


def mounted(root: Path) -> AbstractContextManager[None]:
    """On a file system that is to be read only."""
    return mounted_at(root, ["--bind", str(root)], ["-o", "remount,bind,ro"])


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    storage = FolderStorage(tmp_path / "checkpoints")
    storage.write("run_a/weights", b"content")
    storage.write("incoming/left", b"content")
    storage.write("dset_a/attempt-1/images/0.png", b"content")
    return storage


@pytest.mark.parametrize(
    ("place", "refused"),
    [
        (closed, set(ASKED) - ANSWERED - {"forget_drafts"}),
        # What is not deleted now is tried again, and of a folder that takes nothing nobody knows the time.
        (another_users, WRITE),
        (mounted, WRITE),
    ],
)
def test_what_a_folder_does_not_allow_is_the_storages_refusal(
    place: Place, refused: set[str], storage: FolderStorage
) -> None:
    """Whoever asks waits until it is mended; nothing else is said by any other error."""
    assert set(ASKED) == {name for name in vars(FolderStorage) if not name.startswith("_")} - {"root"}

    def said(ask: Callable[[FolderStorage], object]) -> bool:
        try:
            ask(storage)
        except StorageRefused as error:
            return is_the_storages(error)
        return False

    with place(storage.root):
        heard = without_rights(lambda: {name for name, ask in ASKED.items() if said(ask)})
    assert heard == refused
    assert storage.read("run_a/weights") == b"content"


def test_a_file_that_may_not_be_read_is_refused_before_it_is_opened(storage: FolderStorage) -> None:
    """Who is given its path is no part of the storage: from there the system's word would say nothing of it."""
    with of_mode(0, storage.root / "run_a/weights", storage.root / "dset_a/attempt-1"):
        for ask in (ASKED["fetch"], ASKED["read"], ASKED["fetch_folder"]):
            with pytest.raises(StorageRefused, match="Permission denied"):
                without_rights(lambda ask=ask: ask(storage))  # type: ignore[misc]  # mypy does not infer the default's type


@pytest.mark.parametrize("place", [closed, another_users, mounted])
def test_what_lies_here_of_a_bucket_is_the_storages_too(place: Place, tmp_path: Path) -> None:
    """Copies that cannot be made, and what is to be sent."""
    folder = tmp_path / "cache"
    cache, scratch = FetchedCache(folder, 1_000), Scratch(folder)
    cache.get("there", lambda: 7, _bring)
    scratch.draft().close()
    asked: list[Callable[[], object]] = [
        lambda: cache.get("new", lambda: 7, _bring),
        lambda: cache.drop("there", lambda _: True),
        scratch.draft,
    ]
    with place(folder):
        for ask in asked:
            with pytest.raises(StorageRefused):
                without_rights(ask)


def test_a_buckets_copies_that_cannot_be_kept_are_its_refusal(object_store: ObjectStore, tmp_path: Path) -> None:
    """What is on its way into the bucket or out of it lies on this machine's disk."""
    object_store.bucket("rights")
    home = tmp_path / "home"
    storage = object_store.storage("rights", home)
    stored = storage.write("run_a/weights", b"content")
    assert storage.fetch(stored.path, stored.sha256).read_bytes() == b"content"
    storage.write("run_a/other", b"other")
    with another_users(home):
        for ask in (storage.draft, lambda: storage.fetch("run_a/other", "0" * 64)):
            with pytest.raises(StorageRefused, match="Permission denied"):
                without_rights(ask)


def test_the_systems_word_means_the_storage_only_where_it_was_met_there() -> None:
    """A data set's file, a log or a module that may not be read is another's matter, and full is full."""
    elsewhere = PermissionError(13, "Permission denied", "/data/pets/0.png")
    assert not is_the_storages(elsewhere)
    assert is_the_storages(met_there(elsewhere))
    full = OSError(28, "No space left on device")
    assert met_there(full) is full


@pytest.mark.parametrize(
    ("mount", "why", "unmounted"),
    [
        (None, "there is no mount", False),
        ("echo no right >&2; exit 32", "no right", False),
        # As in a user namespace, whose mounts of the outer one keep their flags.
        ('[ "$1" = --bind ] && exit 0; echo locked >&2; exit 32', "locked", True),
    ],
)
def test_what_cannot_be_mounted_for_a_test_skips_it(
    mount: str | None, why: str, unmounted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason; what was mounted until then is unmounted."""
    programs, said = tmp_path / "bin", tmp_path / "unmounted"
    programs.mkdir()
    for name, does in {"mount": mount, "umount": f'echo "$1" > {said}'}.items():
        if does is not None:
            (programs / name).write_text(f"#!/bin/sh\n{does}\n")
            (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(pytest.skip.Exception, match=why), mounted(tmp_path):
        pass
    assert said.exists() == unmounted
    assert not unmounted or said.read_text() == f"{tmp_path}\n"


@pytest.mark.parametrize("place", [closed, another_users])
def test_a_test_that_fails_in_a_closed_place_leaves_it_open(place: Place, storage: FolderStorage) -> None:
    """Or nobody but root could delete what it left."""
    with pytest.raises(ZeroDivisionError), place(storage.root):
        raise ZeroDivisionError
    assert {path.stat().st_mode & 0o777 for path in (storage.root, storage.root / "run_a")} <= {0o700, 0o755}
    without_rights(lambda: storage.write("run_b/weights", b"content"))


def test_root_that_cannot_be_without_rights_skips_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it may not be taken from what it starts, which would be told nothing of modes."""

    class Keeps:
        """A system that has all rights and lets go of none."""

        def capget(self, *_: object) -> int:
            return 0

        def prctl(self, option: int, *_: object) -> int:
            return 1 if option == rights.PR_CAPBSET_READ else -1

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: Keeps())
    with pytest.raises(pytest.skip.Exception, match="cannot be dropped"):
        without_rights(lambda: None)
