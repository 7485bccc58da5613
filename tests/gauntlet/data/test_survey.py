"""What is said of a data set, with its pictures read or not."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from gauntlet.checks.description import DatasetDescription, Repeated
from gauntlet.checks.sentences import describe
from gauntlet.data.datasets import describe_dataset, read_dataset
from gauntlet.data.survey import survey
from gauntlet.spec.kinds import Cifar10, Digits, ImageFolder
from tests.gauntlet.examples import NOWHERE

PETS = ImageFolder(folder="pets", image_size=10)


def draw(file: Path, level: int, size: tuple[int, int] = (10, 10)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, level).save(file)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Three cats and two dogs to train on, one of each for test; all are unlike each other."""
    for level, path in enumerate(("train/cat/0", "train/cat/1", "train/cat/2", "train/dog/0", "train/dog/1")):
        draw(tmp_path / "pets" / f"{path}.png", level)
    draw(tmp_path / "pets/test/cat/0.png", 100)
    draw(tmp_path / "pets/test/dog/0.png", 200)
    return tmp_path


def test_a_folder_is_counted_without_reading_it(pets: Path) -> None:
    """Images of each class by split; a damaged picture counts, for nobody has looked at it."""
    (pets / "pets/train/dog/1.png").write_bytes(b"no picture")
    found = survey(PETS, pets)
    assert found is not None
    assert found.train is not None
    assert [(each.name, each.images) for each in found.train.classes] == [("cat", 3), ("dog", 2)]
    assert (found.train.read, found.in_both, found.faults) == (None, None, ())
    (told,) = describe(found)
    assert told.startswith("image_folder pets: 5 training images of 2 classes (cat: 3, dog: 2); 2 test images of 2 ")


def test_one_split_can_be_looked_at_alone(pets: Path) -> None:
    """An evaluation reads the test images only, so what is wrong with the others is no fault of it."""
    shutil.rmtree(pets / "pets/train")
    found = survey(PETS, pets, ("test",))
    assert found is not None
    assert (found.train, found.faults) == (None, ())


def test_what_cannot_be_seen_is_not_judged() -> None:
    """Where the data root is on another machine nothing is said of an image folder."""
    assert survey(PETS, NOWHERE) is None


def test_bundled_and_archived_sets_are_known_without_files() -> None:
    """Digits as they are; CIFAR-10 as it is everywhere, with a word that it must be fetched."""
    digits = survey(Digits(), NOWHERE)
    assert digits is not None
    assert digits.train is not None
    assert digits.test is not None
    assert (digits.train.images, digits.test.images, digits.test.names) == (1_437, 360, tuple("0123456789"))
    cifar10 = survey(Cifar10(), NOWHERE)
    assert cifar10 is not None
    assert cifar10.train is not None
    assert (cifar10.train.images, len(cifar10.train.classes)) == (50_000, 10)
    assert "fetches it" in cifar10.notes[0]
    assert describe_dataset(Cifar10(), NOWHERE) == cifar10


def test_doubles_and_stretched_pictures_are_counted(pets: Path) -> None:
    """By the bytes of their files: within a split, and between the two, where they flatter."""
    shutil.copy(pets / "pets/train/cat/0.png", pets / "pets/train/dog/copy.png")
    for name in ("a.png", "b.png"):
        shutil.copy(pets / "pets/train/cat/1.png", pets / "pets/test/cat" / name)
    draw(pets / "pets/train/cat/wide.png", 50, (20, 10))
    draw(pets / "pets/test/dog/tall.png", 60, (10, 20))
    _, found = read_dataset(PETS, pets)
    assert found == describe_dataset(PETS, pets)
    assert found.train is not None
    assert found.test is not None
    assert found.train.read is not None
    assert found.test.read is not None
    assert (found.train.read.images, found.train.read.not_square) == (7, 1)
    assert (found.test.read.images, found.test.read.not_square) == (5, 1)
    assert found.train.read.repeated.images == 1
    assert set(found.train.read.repeated.examples[0].split(" is ")) == {"train/cat/0.png", "train/dog/copy.png"}
    assert found.test.read.repeated.images == 1
    assert found.in_both is not None
    assert found.in_both.images == 2
    assert all(example.endswith(" is train/cat/1.png") for example in found.in_both.examples)
    Image.new("I", (10, 10), 300).save(pets / "pets/test/dog/deep.tiff")
    assert "Levels outside 0…255 were cut in 1 test image." in describe(describe_dataset(PETS, pets))
    told = " ".join(describe(found))
    assert "2 test images are also among the training images (" in told
    assert "1 training image is not square: stretched to a square." in told


def test_only_what_is_drawn_is_read(pets: Path) -> None:
    """`train_samples` reads so many files and counts all."""
    few = PETS.model_copy(update={"train_samples": 2})
    data, found = read_dataset(few, pets)
    assert len(data.train) == 2
    assert found.train is not None
    assert found.train.read is not None
    assert (found.train.images, found.train.read.images) == (5, 2)
    assert "2 of the training images are drawn." in describe(found)


def test_a_description_changes_with_any_file(pets: Path) -> None:
    """So that runs of one experiment can be seen to have read the same."""

    def digests(found: DatasetDescription) -> list[str]:
        return [
            split.read.sha256 for split in (found.train, found.test) if split is not None and split.read is not None
        ]

    before = digests(describe_dataset(PETS, pets))
    assert before == digests(describe_dataset(PETS, pets))
    draw(pets / "pets/train/cat/2.png", 77)
    after = digests(describe_dataset(PETS, pets))
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_all_damaged_files_are_told_with_all_else(pets: Path) -> None:
    """Of both splits, beside an empty class: looking once is enough to mend everything."""
    for path in ("train/cat/0.png", "train/dog/1.png", "test/dog/0.png"):
        (pets / "pets" / path).write_bytes(b"no picture")
    (pets / "pets/train/cow").mkdir()
    found = describe_dataset(PETS, pets)
    told = " ".join(found.faults)
    for expected in (
        "class cow",
        "train/cat/0.png (the file is none of PNG, ",
        "train/dog/1.png (",
        "test/dog/0.png (",
    ):
        assert expected in told
    assert "2 of the training images cannot be read: train/" in told


def test_the_digits_hold_no_double() -> None:
    """What ships is described like anything else."""
    found = describe_dataset(Digits(), NOWHERE)
    assert found.in_both == Repeated()
    assert found.train is not None
    assert found.train.read is not None
    assert (found.train.read.images, found.train.read.repeated.images) == (1_437, 0)


def test_a_survey_loads_no_torch() -> None:
    """The API makes one for every request, and starts without torch."""
    code = "import sys, gauntlet.data.survey, gauntlet.data.reading; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_digits_are_counted_once(tmp_path: Path) -> None:
    """They never change, and every request for an experiment on them looks at them."""
    first, second = survey(Digits(), tmp_path), survey(Digits(), tmp_path)
    assert first is not None
    assert second is not None
    assert (first.train, first.test) == (second.train, second.test)
    assert first.train is second.train
    assert first.train is not None
    assert first.train.images == 1_437
