"""The same promises, kept by a folder and by a bucket."""

from pathlib import Path

import pytest

from store.storage import FolderStorage, Storage
from tests.object_store import ObjectStore


@pytest.fixture(params=["folder", "bucket"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def root(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where files of the storage lie on this machine's disk."""
    if kind == "folder":
        return tmp_path / "checkpoints"
    return request.getfixturevalue("object_store").bucket("files") / "team/one"  # type: ignore[no-any-return]  # a fixture's value


@pytest.fixture
def storage(kind: str, root: Path, request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if kind == "folder":
        return FolderStorage(root)
    store: ObjectStore = request.getfixturevalue("object_store")
    return store.storage("files", tmp_path / "home")


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
