"""Archives of Parquet files in Hugging Face's layout become the data sets that their pictures' files would."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from gauntlet.data.uploads.bounds import Bounds
from gauntlet.data.uploads.packing import PackedFolder
from gauntlet.data.uploads.taking_in import take_in
from gauntlet.errors import ArchiveRefused
from gauntlet.spec.asked.uploads import SplitDraw
from tests.gauntlet.data.sets.test_parquet import pictures, write
from tests.gauntlet.data.uploads.test_taking_in import images, taken
from tests.packing import write_zip

TRAIN, TEST = [0, 1, 1, 0], [1, 0]
FEATURES = {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}


def table(tmp_path: Path, labels: Sequence[int], first: int = 0, names: Sequence[str] = ("cat", "dog")) -> bytes:
    file = tmp_path / "one.parquet"
    contents: list[bytes | None] = [*pictures(labels, first)]
    write(file, labels, contents, features=FEATURES | {"label": {"names": [*names], "_type": "ClassLabel"}})
    return file.read_bytes()


def repository(tmp_path: Path) -> dict[str, bytes]:
    """As it is downloaded: training in two files, a readme and a picture beside them."""
    return {
        "pets/README.md": b"# pets",
        "pets/cover.png": pictures([0], 200)[0],
        "pets/data/train-00000-of-00002.parquet": table(tmp_path, TRAIN[:2]),
        "pets/data/train-00001-of-00002.parquet": table(tmp_path, TRAIN[2:], 2),
        "pets/data/test-00000-of-00001.parquet": table(tmp_path, TEST, 100),
    }


def test_it_is_the_data_set_of_the_same_pictures_as_files(tmp_path: Path) -> None:
    """Row by row, in folders of their classes, with the same digest; what lies beside is passed over."""
    made, folder = taken(tmp_path, repository(tmp_path))
    files = {
        f"{split}/{('cat', 'dog')[label]}/{row:07d}.png": content
        for split, labels, first in (("train", TRAIN, 0), ("test", TEST, 100))
        for row, (label, content) in enumerate(zip(labels, pictures(labels, first), strict=True))
    }
    twin, _ = taken(tmp_path, files, name="twin")
    assert images(folder) == set(files)
    assert {path.name for path in folder.iterdir()} == {"images", "thumbnails"}
    assert made.sha256 == twin.sha256
    assert made.description == twin.description
    assert made.bytes == sum(map(len, files.values()))
    assert {(each.reason, each.examples) for each in made.skipped} == {
        (".md, no pictures", ("pets/README.md",)),
        ("beside Parquet files", ("pets/cover.png",)),
    }


def test_training_alone_is_split_as_class_folders_are(tmp_path: Path) -> None:
    made, folder = taken(tmp_path, {"train.parquet": table(tmp_path, [0, 1] * 4)}, SplitDraw(test_fraction=0.25))
    assert made.description.test is not None
    assert [(each.name, each.images) for each in made.description.test.classes] == [("cat", 1), ("dog", 1)]
    assert len(images(folder)) == 8


def test_rows_that_are_no_picture_are_left_out(tmp_path: Path) -> None:
    """Where each class has others, as damaged files are."""
    file = tmp_path / "one.parquet"
    write(file, [0, 1, 0, 1, 0], [*pictures([0, 1]), None, b"no picture", pictures([0], 9)[0]])
    files = {"train.parquet": file.read_bytes(), "test.parquet": table(tmp_path, TEST, 100)}
    made, folder = taken(tmp_path, files)
    assert {(each.reason.partition(",")[0], each.examples) for each in made.skipped} == {
        ("rows without a picture", ("train.parquet row 2",)),
        ("left out", ("train/dog/0000003.png",)),
    }
    assert len(images(folder)) == 5


@pytest.mark.parametrize(
    ("labels", "names", "why"),
    [
        ([0, 1], ("cat", "../dog"), r"A class is called \.\./dog, as no folder of pictures can be"),
        ([0, 1], ("cat", ".dog"), r"A class is called \.dog"),
        ([0, 1], ("cat", "CAT"), "differ in capitals only"),
        ([0, 2], ("cat", "dog"), "labels of train.parquet are 0 to 2, and of 2 classes they are 0 to 1"),
    ],
)
def test_classes_that_cannot_be_folders_are_refused(
    tmp_path: Path, labels: list[int], names: Sequence[str], why: str
) -> None:
    with pytest.raises(ArchiveRefused, match=why):
        taken(tmp_path, {f"{split}.parquet": table(tmp_path, labels, names=names) for split in ("train", "test")})
    assert not (tmp_path / "dog").exists()


def test_what_is_no_whole_data_set_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """A split is missing or there already, a part is missing, a file is damaged, there are two folders of them."""
    one = table(tmp_path, TRAIN)
    cases: list[tuple[dict[str, bytes], SplitDraw | None, str]] = [
        ({"train.parquet": one}, None, "Or say with test_fraction how much of training is for test."),
        ({"train.parquet": one, "validation.parquet": one}, None, "but files of validation: rename them"),
        ({"train.parquet": one, "test.parquet": one}, SplitDraw(test_fraction=0.5), "leave test_fraction out"),
        ({"train-00000-of-00002.parquet": one, "test.parquet": one}, None, "there are 1 of 2 Parquet files"),
        ({"train.parquet": one[:-9], "test.parquet": one}, None, "The file train.parquet is no Parquet, or damaged"),
        ({"a/train.parquet": one, "b/test.parquet": one}, None, "in several folders, a and b: pack one"),
    ]
    for number, (files, draw, why) in enumerate(cases):
        with pytest.raises(ArchiveRefused, match=why):
            taken(tmp_path, files, draw, name=f"case{number}")


def test_rows_count_as_an_archives_own_entries_and_bytes(tmp_path: Path) -> None:
    files = {f"{split}.parquet": table(tmp_path, TRAIN, first) for split, first in (("train", 0), ("test", 100))}
    archive = write_zip(tmp_path / "pets.zip", files)
    size = sum(map(len, files.values())) + sum(len(content) for first in (0, 100) for content in pictures(TRAIN, first))
    with pytest.raises(ArchiveRefused, match="hold more than 7 pictures"):
        take_in(archive, tmp_path / "few", "pets", None, Bounds(most_entries=7))
    with pytest.raises(ArchiveRefused, match="unpacks to more than"):
        take_in(archive, tmp_path / "small", "pets", None, Bounds(most_bytes=size - 1))
    take_in(archive, tmp_path / "enough", "pets", None, Bounds(most_bytes=size, most_entries=8))


def test_a_folder_of_them_is_packed(tmp_path: Path) -> None:
    """Parquet of a split is sent as it is; any other is not."""
    for name, content in repository(tmp_path).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "pets/data/notes.parquet").write_bytes(b"")
    packed = PackedFolder(tmp_path / "pets")
    archive = tmp_path / "pets.tar"
    archive.write_bytes(packed.read())
    assert [(each.reason, each.examples) for each in packed.passed_over.skipped] == [
        (".md, no pictures", ("README.md",)),
        (".parquet, no pictures", ("data/notes.parquet",)),
    ]
    made = take_in(archive, tmp_path / "made", "pets", None, Bounds())
    assert made.description.train is not None
    assert made.description.train.images == len(TRAIN)
