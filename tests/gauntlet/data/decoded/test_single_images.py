"""One image of a test set, found without the others."""

from pathlib import Path

import pytest
from PIL import Image

from gauntlet.data.datasets import describe_dataset, load_split
from gauntlet.data.decoded.picture_digests import PictureDigests
from gauntlet.data.decoded.single_images import read_example, read_test_image
from gauntlet.errors import DatasetUnavailable
from gauntlet.spec.kinds import DatasetSpec, Digits, ImageFolder

FOLDER = ImageFolder(folder="signs", image_size=12)
FITTED = ImageFolder(folder="signs", image_size=10, fit="pad", channels="grey")


@pytest.fixture
def signs(tmp_path: Path) -> Path:
    """Two classes, nine grey pictures each that differ in their level, below a data root."""
    for split in ("train", "test"):
        for start, name in ((0, "dark"), (100, "light")):
            (tmp_path / "signs" / split / name).mkdir(parents=True)
            for number in range(9):
                file = tmp_path / "signs" / split / name / f"{number}.png"
                Image.new("RGB", (12, 12), (start + 9 * number,) * 3).save(file)
    return tmp_path


@pytest.mark.parametrize("spec", [Digits(), FOLDER, FITTED], ids=["digits", "folder", "fitted"])
def test_it_is_the_image_that_is_attacked_at_its_position(spec: DatasetSpec, signs: Path) -> None:
    """Position for position the images and classes of the whole test set; none past its end."""
    test, classes = load_split(spec, "test", signs)
    for position in (0, 7, len(test) - 1):
        found = read_test_image(spec, position, signs)
        assert found is not None
        assert (found.pixels == test.images[position].numpy()).all()
        assert found.label == classes[int(test.labels[position])]
    assert read_test_image(spec, len(test), signs) is None


def test_what_is_missing_is_told(signs: Path) -> None:
    """A folder that is not there, and a file that is no picture."""
    with pytest.raises(DatasetUnavailable):
        read_test_image(ImageFolder(folder="nowhere"), 0, signs)
    for file in (signs / "signs" / "test").rglob("*.png"):
        file.write_bytes(b"none")
    with pytest.raises(DatasetUnavailable, match="position 3"):
        read_test_image(FOLDER, 3, signs)


@pytest.mark.parametrize("spec", [Digits(), FOLDER])
def test_a_class_is_shown_by_an_image_of_it(spec: DatasetSpec, signs: Path) -> None:
    """It is among the test images, with its class; none of a class that there is not."""
    test, classes = load_split(spec, "test", signs)
    for number, name in enumerate(classes):
        found = read_example(spec, number, signs)
        assert found is not None
        assert found.label == name
        assert any((found.pixels == image.numpy()).all() for image in test.images[test.labels == number])
    assert read_example(spec, len(classes), signs) is None


def test_a_folder_has_another_digest_once_its_test_images_are_others(signs: Path) -> None:
    """At first that of what an evaluation read; not with another picture, and not with two in each other's place."""
    digests = PictureDigests()
    described = describe_dataset(FOLDER, signs).test
    assert described is not None
    assert described.read is not None
    assert digests.of_tests(FOLDER, signs) == described.read.sha256
    one, other = (signs / "signs" / "test" / "dark" / f"{number}.png" for number in (0, 1))
    before, after = one.read_bytes(), other.read_bytes()
    one.write_bytes(after)
    assert digests.of_tests(FOLDER, signs) != described.read.sha256
    other.write_bytes(before)
    assert digests.of_tests(FOLDER, signs) != described.read.sha256
    one.write_bytes(before)
    other.write_bytes(after)
    assert digests.of_tests(FOLDER, signs) == described.read.sha256
