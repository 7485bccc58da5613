"""Archives as people and programs make them, from names and contents."""

import io
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from PIL import Image

from tests.pictures import encoded

# A type of entry in a tar (`tarfile.SYMTYPE`, …), beside the name.
Special = tuple[str, bytes]


def picture(number: int, size: tuple[int, int] = (12, 12)) -> bytes:
    """A small PNG that differs from those of other numbers."""
    return encoded(Image.new("RGB", size, (number % 256, number // 256, 7)))


def class_folders(classes: Iterable[str], images: int, first: int = 0, within: str = "") -> dict[str, bytes]:
    """So many different pictures of each class."""
    names = [f"{within}{name}/{number}.png" for name in classes for number in range(images)]
    return {name: picture(first + number) for number, name in enumerate(names)}


def two_splits(classes: Iterable[str] = ("cat", "dog"), train: int = 4, test: int = 2) -> dict[str, bytes]:
    """`train` and `test` with the same classes, no picture twice."""
    return class_folders(classes, train, within="train/") | class_folders(classes, test, first=5_000, within="test/")


def write_zip(path: Path, files: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return path


def write_tar(path: Path, files: Mapping[str, bytes], mode: str = "w", specials: Iterable[Special] = ()) -> Path:
    """A tar; `mode` as tarfile has it, such as `w:gz`."""
    with tarfile.open(path, mode, format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]  # any mode
        for name, kind in specials:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path
