"""A folder as a tar that is made while it is read."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from gauntlet.data.uploads.packing import PackedFolder
from tests.packing import picture

LONG = "ä" * 90


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes, with a name that takes a header of its own, and what is not sent."""
    contents = {
        "train/cat/1.png": picture(1),
        f"train/dog/{LONG}.png": picture(2),
        "train/cat/.DS_Store": b"",
        "notes.txt": b"",
    }
    for name, content in contents.items():
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "pets/train/dog/linked.png").symlink_to(tmp_path / "pets/train/cat/1.png")
    (tmp_path / "pets/train/back").symlink_to(tmp_path / "pets")
    return tmp_path / "pets"


def in_pieces(packed: PackedFolder, size: int) -> bytes:
    return b"".join(iter(lambda: packed.read(size), b""))


def test_it_is_a_tar_of_the_pictures(folder: Path) -> None:
    """Of so many bytes as it says beforehand, in pieces of any size; links are files, and none leads round."""
    packed = PackedFolder(folder)
    content = in_pieces(packed, 700)
    assert (len(content), packed.pictures) == (packed.bytes, 3)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        held = {info.name: archive.extractfile(info) for info in archive}
        assert {name: file.read() for name, file in held.items() if file} == {
            "train/cat/1.png": picture(1),
            "train/dog/linked.png": picture(1),
            f"train/dog/{LONG}.png": picture(2),
        }
    assert {each.reason for each in packed.passed_over.skipped} == {"hidden", ".txt, no pictures"}


def test_folders_without_a_picture_are_told(folder: Path) -> None:
    """Of what is not sent whoever unpacks it hears nothing; a link back to a folder above is none of them."""
    (folder / "train/fish/old").mkdir(parents=True)
    (folder / "train/snake").mkdir()
    (folder / "train/snake/1.gif").write_bytes(b"GIF8")
    bare = [each for each in PackedFolder(folder).passed_over.skipped if each.reason.startswith("without a picture")]
    assert [(each.entries, each.examples) for each in bare] == [(2, ("train/fish", "train/snake"))]


def test_the_same_pictures_are_the_same_bytes(folder: Path) -> None:
    """Whatever their times, and from the beginning as often as it is asked for."""
    packed = PackedFolder(folder)
    first = in_pieces(packed, 1 << 20)
    assert packed.seek(0, os.SEEK_END) == packed.tell() == packed.bytes
    packed.seek(0)
    assert in_pieces(packed, 10_000) == first
    os.utime(folder / "train/cat/1.png", (1, 1))
    assert PackedFolder(folder).read() == first


def test_a_picture_that_changes_meanwhile_is_told(folder: Path) -> None:
    """A tar that is shorter than it said would be no tar."""
    packed = PackedFolder(folder)
    (folder / "train/cat/1.png").write_bytes(b"")
    with pytest.raises(OSError, match="became smaller"):
        packed.read()
