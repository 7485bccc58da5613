"""Data sets in Parquet, written as Hugging Face's datasets writes them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from gauntlet.checks.description import DatasetDescription
from gauntlet.data.datasets import describe_dataset, load_dataset, load_split, read_dataset
from gauntlet.data.decoded.single_images import read_test_image
from gauntlet.data.sets.parquet import ParquetSplit, list_parquet
from gauntlet.data.survey import survey
from gauntlet.errors import DatasetUnavailable
from gauntlet.spec.kinds import ImageFolder, Parquet
from tests.gauntlet.examples import same_images
from tests.pictures import encoded

PETS = Parquet(folder="pets", image_size=10)
TRAIN, TEST = [0, 0, 0, 1, 1, 1, 1], [0, 1]
_FEATURES = {
    "image": {"_type": "Image"},
    "label": {"names": ["cat", "dog"], "_type": "ClassLabel"},
    "note": {"dtype": "string", "_type": "Value"},
}


def pictures(labels: Sequence[int], first: int = 0) -> list[bytes]:
    """A picture a label, each of its own level."""
    return [encoded(Image.new("L", (10, 10), first + number)) for number in range(len(labels))]


def write(
    file: Path,
    labels: Sequence[int],
    contents: Sequence[bytes | None],
    *,
    features: dict[str, Any] = _FEATURES,
    rows: int = 2,
) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {
        "image": pa.array([{"bytes": content, "path": f"{n}.png"} for n, content in enumerate(contents)], kind),
        "label": pa.array(list(labels), pa.int64()),
        "note": pa.array([""] * len(labels)),
    }
    metadata = {"huggingface": json.dumps({"info": {"features": features}})} if features else None
    parquet.write_table(pa.table(columns).replace_schema_metadata(metadata), file, row_group_size=rows)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Cats and dogs, for training in two files of two row groups each; dogs and cats come in turn in none."""
    levels = pictures(TRAIN)
    data = tmp_path / "pets/data"
    write(data / "train-00000-of-00002.parquet", TRAIN[:4], levels[:4])
    write(data / "train-00001-of-00002.parquet", TRAIN[4:], levels[4:])
    write(data / "test-00000-of-00001-0123456789abcdef.parquet", TEST, pictures(TEST, 100))
    return tmp_path


def told(found: DatasetDescription | None) -> str:
    assert found is not None
    return " ".join(found.faults)


def test_it_is_the_folder_that_holds_the_same_pictures(pets: Path) -> None:
    """Pixel for pixel, and in the same order, as the pictures' files in folders of their classes are read."""
    for split, labels, first in (("train", TRAIN, 0), ("test", TEST, 100)):
        for number, (label, content) in enumerate(zip(labels, pictures(labels, first), strict=True)):
            file = pets / "files" / split / ("cat", "dog")[label] / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    data, described = read_dataset(PETS, pets)
    twin, _ = read_dataset(ImageFolder(folder="files", image_size=10), pets)
    assert data.classes == twin.classes == ("cat", "dog")
    assert same_images(data.train, twin.train)
    assert same_images(data.test, twin.test)
    assert described == describe_dataset(PETS, pets)
    for position in range(2):
        image = read_test_image(PETS, position, pets)
        assert image is not None
        assert (image.pixels == data.test.images[position].numpy()).all()
        assert image.label == data.classes[int(data.test.labels[position])]
    assert read_test_image(PETS, 2, pets) is None


def test_it_is_counted_by_its_labels(pets: Path) -> None:
    """Without a look at its pictures; what is neither train nor test is told."""
    write(pets / "pets/data/validation-00000-of-00001.parquet", TEST, pictures(TEST))
    found = survey(PETS, pets)
    assert found is not None
    assert found.train is not None
    assert [(each.name, each.images) for each in found.train.classes] == [("cat", 3), ("dog", 4)]
    assert (found.train.read, found.unused, found.faults) == (None, ("validation",), ())
    assert survey(PETS, pets, most_entries=3) is None


def test_only_row_groups_that_are_drawn_are_read(pets: Path) -> None:
    """The rows of the others may be damaged: nobody looks at them."""
    split = list_parquet(pets, PETS).splits["train"]
    assert [row for row, _, _ in split.pictures(np.array([1, 6]))] == [1, 6]
    file = split.files[0]
    offset = parquet.ParquetFile(file).metadata.row_group(1).column(0).data_page_offset
    content = bytearray(file.read_bytes())
    content[offset : offset + 20] = b"\xff" * 20
    file.write_bytes(content)
    assert [row for row, _, _ in split.pictures(np.array([0, 1, 4]))] == [0, 1, 4]
    with pytest.raises(DatasetUnavailable, match=r"train-00000-of-00002\.parquet is no Parquet, or damaged"):
        list(split.pictures(np.array([3])))


def test_a_subset_is_that_of_the_whole(pets: Path) -> None:
    whole = load_dataset(PETS, pets).train
    assert same_images(load_dataset(PETS.model_copy(update={"train_samples": 3}), pets).train, whole.take(3))


def test_rows_without_a_picture_are_named(pets: Path) -> None:
    write(pets / "pets/data/test-00000-of-00001-0123456789abcdef.parquet", TEST, [None, b"no picture"])
    with pytest.raises(DatasetUnavailable) as caught:
        load_split(PETS, "test", pets)
    assert "2 of the test images cannot be read" in str(caught.value)
    assert "row 0 (it holds no picture)" in str(caught.value)
    assert "row 1 (the file is none of PNG" in str(caught.value)


def test_columns_are_chosen_by_name(pets: Path) -> None:
    """As CIFAR-100 has fine and coarse labels; which is asked for where it is not said."""
    several = {**_FEATURES, "note": {"names": ["a", "b"], "_type": "ClassLabel"}}
    file = pets / "pets/data/test-00000-of-00001-0123456789abcdef.parquet"
    write(file, TEST, pictures(TEST), features=several)
    assert "several columns of kind ClassLabel" in told(survey(PETS, pets, ("test",)))
    found = survey(PETS.model_copy(update={"label": "label"}), pets, ("test",))
    assert told(found) == ""
    assert "no column breed" in told(survey(PETS.model_copy(update={"label": "breed"}), pets, ("test",)))
    assert "are no whole numbers" in told(survey(PETS.model_copy(update={"label": "note"}), pets, ("test",)))


def test_what_is_missing_or_unlike_is_told(pets: Path) -> None:
    """All of it at once, of both splits."""
    data = pets / "pets/data"
    (data / "train-00001-of-00002.parquet").unlink()
    (data / "test-00000-of-00001-0123456789abcdef.parquet").rename(data / "validation-00000-of-00001.parquet")
    faults = told(survey(PETS, pets))
    assert "Of train in pets there are 1 of 2 Parquet files." in faults
    assert "but files of validation: rename them" in faults
    assert "There is no folder pest among the data sets; did you mean" in told(survey(Parquet(folder="pest"), pets))
    (pets / "empty").mkdir()
    assert "There is no Parquet file in empty" in told(survey(Parquet(folder="empty"), pets))


@pytest.mark.parametrize(
    ("labels", "features", "expected"),
    [
        ([0, -1], _FEATURES, "are -1 to 0"),
        ([0, 2], _FEATURES, "are 0 to 2"),
        (TEST, {}, "names no column of kind Image"),
        (TEST, {**_FEATURES, "label": {"dtype": "int64", "_type": "Value"}}, "names no column of kind ClassLabel"),
        (TEST, {**_FEATURES, "label": {"names": ["cat", "cow"], "_type": "ClassLabel"}}, "only test of pets has cow"),
        ([0, 0], {**_FEATURES, "label": {"names": ["cat"], "_type": "ClassLabel"}}, "and in test of pets is 1"),
        (TEST, {**_FEATURES, "label": {"names": ["cat", "cat"], "_type": "ClassLabel"}}, "are not distinct"),
    ],
)
def test_labels_must_be_of_the_classes(pets: Path, labels: list[int], features: dict[str, Any], expected: str) -> None:
    write(pets / "pets/data/test-00000-of-00001-0123456789abcdef.parquet", labels, pictures(labels), features=features)
    assert expected in told(survey(PETS, pets))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"\xff\xff\xff\x7fPAR1"])
def test_another_file_of_that_name_is_told(pets: Path, content: bytes) -> None:
    (pets / "pets/data/train-00000-of-00002.parquet").write_bytes(content)
    assert "train-00000-of-00002.parquet is no Parquet, or damaged" in told(survey(PETS, pets))


def test_row_groups_are_bounded(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is in memory at a time, so one that is too large is refused before any is read."""
    monkeypatch.setattr("gauntlet.data.sets.parquet._MOST_GROUP_BYTES", 100)
    assert "write it with fewer rows in each" in told(survey(PETS, pets))
    assert isinstance(list_parquet(pets, PETS).splits.get("train"), ParquetSplit | None)
