"""Archives that are hostile, broken or odd: refused with a sentence, or unpacked as what they mean."""

import os
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from gauntlet.data.uploads.bounds import Bounds
from gauntlet.data.uploads.unpacking import unpack
from gauntlet.errors import ArchiveRefused
from tests.packing import picture, write_tar, write_zip

SMALL = Bounds(most_bytes=200_000, most_ratio=10, free_bytes=20_000, most_entries=20, most_depth=4, longest_path=100)
ONE = {"cat/1.png": picture(1)}


def unpacked(archive: Path, bounds: Bounds = SMALL) -> set[str]:
    """The paths of the pictures taken, each of which lies where it should and nowhere else."""
    into = archive.with_name("unpacked")
    found = unpack(archive, into, bounds)
    on_disk = {os.fsencode(path.relative_to(into)) for path in into.rglob("*") if path.is_file()}
    names = {"/".join(parts) for parts in found.pictures}
    assert on_disk == {name.encode() for name in names}
    return names


def encrypted(path: Path) -> Path:
    write_zip(path, ONE)
    content = bytearray(path.read_bytes())
    for header in (b"PK\x03\x04", b"PK\x01\x02"):
        content[content.index(header) + (6 if header[2] == 3 else 8)] |= 1
    path.write_bytes(content)
    return path


def zip_link(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("cat/1.png")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    return path


def cut(path: Path, mode: str) -> Path:
    content = write_tar(path, {"cat/1.png": os.urandom(8_000)}, mode).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def without_end(path: Path) -> Path:
    """Cut behind a whole entry, where only the archive's own end tells that something is missing."""
    path.write_bytes(write_tar(path, {"cat/1.png": bytes(512)}).read_bytes()[:1_024])
    return path


def wrong_checksum(path: Path) -> Path:
    content = bytearray(write_zip(path, ONE).read_bytes())
    content[content.index(b"IDAT") + 6] ^= 0xFF
    path.write_bytes(content)
    return path


def endless_name(path: Path) -> Path:
    """A GNU entry for a long name that says to be of 7 GiB."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 7 << 30
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    return path


def twice(path: Path) -> Path:
    write_zip(path, {"cat/1.png": picture(1), "cat/2.png": picture(2)})
    path.write_bytes(path.read_bytes().replace(b"cat/2.png", b"cat/1.png"))
    return path


HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "up": (lambda path: write_zip(path, {"cat/../../1.png": b""}), "leads out of it"),
    "up in a tar": (lambda path: write_tar(path, {"../1.png": b""}), "leads out of it"),
    "up by backslashes": (lambda path: write_zip(path, {"..\\..\\1.png": b""}), "leads out of it"),
    "absolute": (lambda path: write_tar(path, {"/tmp/1.png": b""}), "absolute path"),
    "absolute in a zip": (lambda path: write_zip(path, {"/tmp/1.png": b""}), "absolute path"),
    "of a drive": (lambda path: write_zip(path, {"C:\\cat\\1.png": b""}), "absolute path"),
    "link": (lambda path: write_tar(path, ONE, specials=[("dog", tarfile.SYMTYPE)]), r"holds a link \(dog\)"),
    "hard link": (lambda path: write_tar(path, ONE, specials=[("1.png", tarfile.LNKTYPE)]), "holds a link"),
    "link in a zip": (zip_link, "holds a link"),
    "device": (lambda path: write_tar(path, ONE, specials=[("null", tarfile.CHRTYPE)]), "no plain file"),
    "pipe": (lambda path: write_tar(path, ONE, specials=[("pipe", tarfile.FIFOTYPE)]), "no plain file"),
    "twice": (twice, "holds cat/1.png twice"),
    "file and folder": (lambda path: write_tar(path, {"a.png": b"", "a.png/b.png": b""}), "another of that name"),
    "deep": (lambda path: write_tar(path, {"a/b/c/d/1.png": b""}), "within more than 4"),
    "long": (lambda path: write_tar(path, {f"{'a' * 101}.png": b""}), "more than 100 letters"),
    "folder that is no text": (lambda path: write_tar(path, {"c\udce9t/1.png": b""}), r"not UTF-8.*c\\xe9t"),
    "many entries": (lambda path: write_zip(path, {f"{n}.txt": b"" for n in range(21)}), "more than 20 files"),
    "zip bomb": (
        lambda path: write_zip(path, {"cat/1.bmp": bytes(150_000)}, zipfile.ZIP_DEFLATED),
        "unpacks to more than 20,000 bytes",
    ),
    "tar bomb": (lambda path: write_tar(path, {"cat/1.bmp": bytes(150_000)}, "w:gz"), "more than 20,000 bytes"),
    "tar bomb that is no picture": (
        lambda path: write_tar(path, {"1.txt": bytes(150_000)}, "w:xz"),
        "more than 20,000",
    ),
    "large": (lambda path: write_zip(path, {"cat/1.bmp": os.urandom(210_000)}), "more than 200,000 bytes"),
    "endless name": (endless_name, "a name or an attribute is too long"),
    "encrypted": (encrypted, "is encrypted"),
    "checksum": (wrong_checksum, "damaged"),
    "cut tar": (lambda path: cut(path, "w"), "cut off"),
    "tar without its end": (without_end, "cut off: it has no end"),
    "cut gz": (lambda path: cut(path, "w:gz"), "damaged or cut off"),
    "cut bz2": (lambda path: cut(path, "w:bz2"), "damaged or cut off"),
    "cut xz": (lambda path: cut(path, "w:xz"), "damaged or cut off"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_hostile_is_refused_and_nothing_is_written_outside(kind: str, tmp_path: Path) -> None:
    """One sentence says why; what was written until then lies in the folder that was named."""
    make, told = HOSTILE[kind]
    home = tmp_path / "home"
    home.mkdir()
    archive = make(home / "archive")
    with pytest.raises(ArchiveRefused, match=told):
        unpacked(archive)
    assert {path.name for path in tmp_path.iterdir()} == {"home"}
    assert {path.name for path in home.iterdir()} == {"archive", "unpacked"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "The file is empty"),
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive and none of ZIP, TAR"),
        (b"\x28\xb5\x2f\xfd" + bytes(600), "compressed by Zstandard"),
        (picture(1), "a picture and none of"),
        (bytes(2_000), "none of ZIP"),
        (b"PK\x05\x06" + b"\xff" * 18, "damaged"),
        (b"\x1f\x8b" + b"\xff" * 600, "damaged"),
        (b"\xfd7zXZ\x00" + b"\xff" * 600, "damaged"),
        (struct.pack("257x5s250s", b"ustar", b"7" * 250), "damaged"),
    ],
)
def test_what_is_no_archive_is_told_as_what_it_is(content: bytes, told: str, tmp_path: Path) -> None:
    """By how it begins; its name says nothing."""
    archive = tmp_path / "pets.zip"
    archive.write_bytes(content)
    with pytest.raises(ArchiveRefused, match=told):
        unpacked(archive)


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
def test_pictures_are_taken_from_archives_of_every_kind(mode: str, tmp_path: Path) -> None:
    """With folders as entries and without, hidden things and leftovers passed over, and other files too."""
    files = {
        "./pets/cat/1.png": picture(1),
        "pets/cat/2.PNG": picture(2),
        "pets/cat/._1.png": b"\0",
        "__MACOSX/pets/cat/1.png": b"\0",
        "pets/labels.csv": b"cat",
        "pets/dog/1.gif": b"GIF8",
    }
    path = tmp_path / "archive"
    archive = write_zip(path, files) if mode == "zip" else write_tar(path, files, mode)
    into = tmp_path / "unpacked"
    found = unpack(archive, into, SMALL)
    assert set(found.pictures) == {("pets", "cat", "1.png"), ("pets", "cat", "2.PNG")}
    assert (into / "pets/cat/1.png").read_bytes() == picture(1)
    assert found.bytes == len(picture(1)) + len(picture(2))
    assert {each.reason: each.entries for each in found.passed_over.skipped} == {
        "hidden": 1,
        "left by an archive or a system": 1,
        ".csv, no pictures": 1,
        ".gif, which is not read: convert them to PNG or JPEG": 1,
        "without a picture, and so no class": 1,
    }


@pytest.mark.parametrize("mode", ["zip", "w"])
def test_folders_without_a_picture_are_told(mode: str, tmp_path: Path) -> None:
    """Nobody has a class less than there are folders and hears nothing; of those within others the outermost."""
    files = {
        "pets/cat/more/1.png": picture(1),
        "pets/cat/notes/a.txt": b"",
        "pets/dog/1.gif": b"GIF8",
        "pets/fish/old/1.heic": b"\0",
        "pets/.git/config": b"",
        "pets/data/train.parquet": b"\0",
    }
    path = tmp_path / "archive"
    archive = (
        write_zip(path, files | {"pets/snake/": b""})
        if mode == "zip"
        else write_tar(path, files, specials=[("pets/snake", tarfile.DIRTYPE)])
    )
    skipped = unpack(archive, tmp_path / "unpacked", SMALL).passed_over.skipped
    (bare,) = (each for each in skipped if each.reason == "without a picture, and so no class")
    assert (bare.entries, bare.examples) == (4, ("pets/cat/notes", "pets/dog", "pets/fish"))


@pytest.mark.parametrize(
    "raw",
    ["Käfer/1.png".encode("cp437"), "Käfer/1.png".encode(), "Ka\u0308fer/1.png".encode()],
    ids=["cp437", "utf-8", "decomposed"],
)
def test_a_zips_names_are_read_as_what_they_mean(raw: bytes, tmp_path: Path) -> None:
    """Without the flag for UTF-8, in the old code page or in UTF-8, with letters composed or not."""
    path = write_zip(tmp_path / "archive", {"x" * len(raw): picture(1)})
    path.write_bytes(path.read_bytes().replace(b"x" * len(raw), raw))
    assert unpacked(path) == {"Käfer/1.png"}


def test_a_name_that_is_no_text_is_passed_over(tmp_path: Path) -> None:
    """It is a file's; the folder's would be a class."""
    archive = write_tar(tmp_path / "archive", ONE | {"cat/\udce9.png": picture(2)})
    assert unpacked(archive) == {"cat/1.png"}


def test_folders_parted_by_backslashes_are_folders(tmp_path: Path) -> None:
    """As some programs on Windows write them."""
    assert unpacked(write_zip(tmp_path / "archive", {"pets\\cat\\1.png": picture(1)})) == {"pets/cat/1.png"}


def test_a_small_archive_may_unpack_to_far_more_than_it_has(tmp_path: Path) -> None:
    """Pictures of one colour compress a thousandfold; the ratio holds from a size on that is worth it."""
    archive = write_zip(tmp_path / "archive", {"cat/1.bmp": bytes(19_000)}, zipfile.ZIP_DEFLATED)
    assert archive.stat().st_size < 300
    assert unpacked(archive) == {"cat/1.bmp"}
