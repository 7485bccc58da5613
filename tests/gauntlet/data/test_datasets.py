from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gauntlet.checks.sentences import describe
from gauntlet.data.datasets import (
    Dataset,
    ImageSet,
    digest,
    hold_out,
    load_dataset,
    load_split,
    read_dataset,
    to_unit,
)
from gauntlet.errors import DatasetUnavailable
from gauntlet.spec.kinds import Digits, Fit, ImageFolder
from tests.gauntlet.examples import CPU, NOWHERE, same_images

RED, GREEN, BLUE = (250, 0, 0), (0, 250, 0), (0, 0, 250)
SIGNS = ImageFolder(folder="signs", image_size=12)


def paint(file: Path, colour: tuple[int, ...], *, mode: str = "RGB", size: int = 12) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size, size), colour).convert(mode, palette=Image.Palette.ADAPTIVE).save(file)


@pytest.fixture
def signs(tmp_path: Path) -> Path:
    """Three classes of one colour each, twelve images each for training and two for test."""
    for split, count in (("train", 12), ("test", 2)):
        for name, colour in (("blue", BLUE), ("green", GREEN), ("red", RED)):
            for number in range(count):
                paint(tmp_path / "signs" / split / name / f"{number}.png", colour)
    return tmp_path


def test_the_digits_are_whole(digits: Dataset) -> None:
    """1,437 digits for training and 360 for test, 8-bit, one channel, 16×16, ten classes in fair shares."""
    assert (len(digits.train), len(digits.test)) == (1_437, 360)
    assert digits.classes == tuple("0123456789")
    assert digits.image_shape == (1, 16, 16)
    for images in (digits.train, digits.test):
        assert images.images.dtype == torch.uint8
        assert images.labels.dtype == torch.int64
        assert images.images.shape == (len(images), 1, 16, 16)
        assert (images.images.min(), images.images.max()) == (0, 255)
        shares = torch.bincount(images.labels, minlength=10) / len(images)
        assert shares.min() > 0.07
        assert shares.max() < 0.14


def test_a_digits_pixel_is_doubled(digits: Dataset) -> None:
    """Each of the 8×8 pixels is four equal ones."""
    pixels = digits.train.images
    assert torch.equal(pixels[:, :, ::2, ::2], pixels[:, :, 1::2, 1::2])
    assert torch.equal(pixels[:, :, ::2, ::2], pixels[:, :, ::2, 1::2])
    assert pixels.unique().tolist() == [round(level * 255 / 16) for level in range(17)]


def test_the_digits_splits_share_no_more_than_chance(digits: Dataset) -> None:
    """No test image is a training image."""
    train = {image.numpy().tobytes() for image in digits.train.images}
    assert not any(image.numpy().tobytes() in train for image in digits.test.images)


def test_a_prefix_of_the_digits_has_all_classes(digits: Dataset) -> None:
    """The images are not in class order: the first hundred hold every digit."""
    for images in (digits.train, digits.test):
        assert len(images.take(100).labels.unique()) == 10
        assert (images.labels[1:] >= images.labels[:-1]).float().mean() < 0.8


def test_a_subset_is_fixed_and_fair(digits: Dataset) -> None:
    """`train_samples` draws the same images every time, from all over the set, and leaves the test set whole."""
    subset = load_dataset(Digits(train_samples=200), NOWHERE)
    again = load_dataset(Digits(train_samples=200), NOWHERE)
    assert same_images(subset.train, again.train)
    assert len(subset.train) == 200
    assert len(subset.train.labels.unique()) == 10
    assert not same_images(subset.train, digits.train.take(200))
    assert same_images(subset.test, digits.test)
    smaller = load_dataset(Digits(train_samples=50), NOWHERE)
    assert same_images(smaller.train, subset.train.take(50))
    pool = {(image.numpy().tobytes(), int(label)) for image, label in _pairs(digits.train)}
    assert all((image.numpy().tobytes(), int(label)) in pool for image, label in _pairs(subset.train))


def _pairs(images: ImageSet) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    return zip(images.images, images.labels, strict=True)


def test_more_samples_than_there_are_are_refused(digits: Dataset) -> None:
    """As many as there are is the whole set; one more is not silently cut."""
    assert same_images(load_dataset(Digits(train_samples=1_437), NOWHERE).train, digits.train)
    with pytest.raises(DatasetUnavailable, match="asks for 1,438 images, and there are 1,437 training images"):
        load_dataset(Digits(train_samples=1_438), NOWHERE)


def test_a_held_out_set_is_fixed_and_fair(digits: Dataset) -> None:
    """Every training image is in exactly one part, with its label; both parts are shuffled and always the same ones."""
    positions = torch.arange(1_437)
    written = torch.stack([positions // 256, positions % 256], dim=1).to(torch.uint8)[:, :, None, None]
    test = ImageSet(written[: len(digits.test)], digits.test.labels)
    numbered = Dataset(ImageSet(written, digits.train.labels), test, digits.classes)
    rest, validation = hold_out(numbered, 143)
    assert (len(rest.train), len(validation)) == (1_294, 143)
    read = [(part.images.long().squeeze() * torch.tensor([256, 1])).sum(dim=1) for part in (rest.train, validation)]
    assert sorted([*read[0].tolist(), *read[1].tolist()]) == list(range(1_437))
    for part, numbers in zip((rest.train, validation), read, strict=True):
        assert torch.equal(part.labels, digits.train.labels[numbers])
        assert numbers.tolist() != sorted(numbers.tolist())
        assert len(part.labels.unique()) == 10
    assert same_images(rest.test, test)
    assert rest.classes == digits.classes
    again, validation_again = hold_out(numbered, 143)
    assert same_images(again.train, rest.train)
    assert same_images(validation_again, validation)
    # As drawn when this was written: with other images, results would no longer be comparable.
    assert read[1][:5].tolist() == [1081, 161, 1295, 1071, 72]


def test_holding_nothing_out_changes_nothing(digits: Dataset) -> None:
    """The data set stays in its order, and the held-out set is empty."""
    rest, validation = hold_out(digits, 0)
    assert same_images(rest.train, digits.train)
    assert len(validation) == 0


def test_an_image_must_be_left_to_train_on(digits: Dataset) -> None:
    """All but one image may be held out; where none would be left the error has both numbers."""
    three = Dataset(digits.train.take(3), digits.test, digits.classes)
    assert [len(part) for part in (hold_out(three, 2)[0].train, hold_out(three, 2)[1])] == [1, 2]
    for count in (3, 4):
        with pytest.raises(DatasetUnavailable, match=f"There are 3 training images, and {count} of them"):
            hold_out(three, count)


def test_to_unit_is_the_pixel_over_255() -> None:
    """Bytes become float32 in [0, 1], exactly 0 and 1 at the ends, and are not changed themselves."""
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    unit = to_unit(levels)
    assert unit.dtype == torch.float32
    assert torch.equal(unit.flatten(), torch.arange(256) / 255)
    assert (unit.min(), unit.max()) == (0, 1)
    assert levels.dtype == torch.uint8
    assert levels.max() == 255


def test_batches_cover_the_set_in_order(digits: Dataset) -> None:
    """Batches are consecutive, of the size asked for but the last, with their own labels."""
    images = digits.test.take(10)
    batches = list(images.batches(4))
    assert [len(labels) for _, labels in batches] == [4, 4, 2]
    assert torch.equal(torch.cat([labels for _, labels in batches]), images.labels)
    assert torch.equal(torch.cat([pixels for pixels, _ in batches]), to_unit(images.images))
    assert same_images(images.to(CPU), images)
    assert same_images(images.take(99), images)


def test_an_image_folder_is_read_with_its_classes(signs: Path) -> None:
    """Folder names are the classes, in alphabetical order, and every image has its folder's label."""
    data = load_dataset(SIGNS, signs)
    assert data.classes == ("blue", "green", "red")
    assert (len(data.train), len(data.test)) == (36, 6)
    assert data.image_shape == (3, 12, 12)
    assert torch.bincount(data.train.labels).tolist() == [12, 12, 12]
    for image, label in [*_pairs(data.train), *_pairs(data.test)]:
        assert tuple(image[:, 0, 0].tolist()) == (BLUE, GREEN, RED)[label]


def test_an_image_folder_is_shuffled_the_same_way_every_time(signs: Path) -> None:
    """The order is not that of the classes, and is fixed; a subset is its beginning, from all classes."""
    data = load_dataset(SIGNS, signs)
    assert data.train.labels.tolist() != sorted(data.train.labels.tolist())
    assert same_images(load_dataset(SIGNS, signs).train, data.train)
    subset = load_dataset(SIGNS.model_copy(update={"train_samples": 9}), signs)
    assert same_images(subset.train, data.train.take(9))
    assert len(subset.train.labels.unique()) == 3
    assert same_images(subset.test, data.test)


@pytest.mark.parametrize(
    ("name", "mode", "size"),
    [
        ("a.png", "RGB", 12),
        ("a.png", "RGBA", 12),
        ("a.png", "P", 12),
        ("a.png", "RGB", 31),
        ("a.bmp", "RGB", 12),
        ("a.JPEG", "RGB", 20),
        ("a.jpg", "CMYK", 12),
        ("a.webp", "RGB", 12),
    ],
)
def test_pictures_of_all_kinds_become_rgb(tmp_path: Path, name: str, mode: str, size: int) -> None:
    """Whatever its format, colour mode and size, a picture is read as RGB at the size asked for."""
    for label in ("red", "red too"):
        paint(tmp_path / "signs" / "train" / label / name, RED, mode=mode, size=size)
    image, twin = load_split(SIGNS, "train", tmp_path)[0].images
    assert torch.equal(image, twin)
    assert image.shape == (3, 12, 12)
    error = (image.to(torch.int64) - torch.tensor(RED)[:, None, None]).abs().max()
    assert error <= (0 if name.endswith(("png", "bmp")) else 12)


def test_a_grey_picture_has_three_equal_channels(tmp_path: Path) -> None:
    """Grey pictures are read as RGB with the same level in each channel."""
    for label, level in (("dark", 7), ("grey", 77)):
        paint(tmp_path / "signs" / "train" / label / "a.png", (level, level, level), mode="L")
    found, _ = load_split(SIGNS, "train", tmp_path)
    assert (found.images[found.labels == 1] == 77).all()
    assert found.images.shape == (2, 3, 12, 12)


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_a_folder_is_fitted_and_made_grey(signs: Path, fit: Fit) -> None:
    """A red picture with a blue right half, twice as wide as high: what is seen of each half, and what is said."""
    picture = Image.new("RGB", (24, 12), RED)
    picture.paste(BLUE, (12, 0, 24, 12))
    picture.save(signs / "signs/test/red/0.png")
    spec = SIGNS.model_copy(update={"fit": fit, "channels": "grey"})
    assert spec.image_shape == (1, 12, 12)
    data, found = read_dataset(spec, signs)
    assert data.image_shape == (1, 12, 12)
    # 0.299 of the red and 0.114 of the blue, 250 each.
    red, blue = 75, 28
    (seen,) = (image[0] for image in data.test.images if image[0, 6, 0] == red and image[0, 6, 11] == blue)
    assert (seen[6, 2], seen[6, 9]) == (red, blue)
    assert int(seen[0, 2]) == (0 if fit == "pad" else red)
    told = " ".join(describe(found))
    assert {"stretch": "stretched to", "crop": "cropped to", "pad": "padded to"}[fit] in told
    assert "in grey" in told


def test_how_pictures_are_fitted_is_part_of_what_was_measured(signs: Path) -> None:
    """The digest of the test images tells them apart."""
    Image.new("RGB", (24, 12), RED).save(signs / "signs/test/red/0.png")
    changes: list[dict[str, str]] = [{}, {"fit": "crop"}, {"fit": "pad"}, {"channels": "grey"}]
    Image.effect_noise((24, 12), 90).save(signs / "signs/test/red/1.png")
    sets = [load_split(SIGNS.model_copy(update=each), "test", signs) for each in changes]
    assert len({digest(*each) for each in sets}) == 4


@pytest.mark.parametrize("spec", [Digits(), SIGNS])
def test_another_split_is_none(spec: Digits | ImageFolder, signs: Path) -> None:
    """Nobody who asks for `val` is given the test images."""
    with pytest.raises(DatasetUnavailable, match="no split 'val': it is train or test"):
        load_split(spec, "val", signs)  # type: ignore[arg-type]  # as a program without types may


def test_the_data_root_may_be_a_text(signs: Path) -> None:
    """As well as a path."""
    assert len(load_split(SIGNS, "test", str(signs))[0]) == len(load_dataset(SIGNS, str(signs)).test) > 0


def test_the_splits_must_have_the_same_classes(signs: Path) -> None:
    """A class that only one split has is refused, though each split can be read."""
    paint(signs / "signs" / "test" / "yellow" / "a.png", RED)
    assert load_split(SIGNS, "test", signs)[1] == ("blue", "green", "red", "yellow")
    with pytest.raises(DatasetUnavailable, match="signs/train and of signs/test differ: only signs/test has yellow"):
        load_dataset(SIGNS, signs)


@pytest.mark.parametrize(("missing", "told"), [("signs", "signs among"), ("signs/test", "test in signs")])
def test_a_missing_folder_is_named(signs: Path, missing: str, told: str) -> None:
    """Where a folder is missing, the error says which, and no path of the machine."""
    (signs / missing).rename(signs / "elsewhere")
    with pytest.raises(DatasetUnavailable, match=f"There is no folder {told}") as caught:
        load_dataset(SIGNS, signs)
    assert str(signs) not in str(caught.value)


def test_a_folder_without_classes_or_images_is_refused(signs: Path) -> None:
    """No class folder at all, or one without an image, is an unavailable data set."""
    (signs / "signs" / "train" / "empty").mkdir()
    with pytest.raises(DatasetUnavailable, match="empty"):
        load_dataset(SIGNS, signs)
    paint(signs / "lone" / "train" / "only" / "a.png", RED)
    with pytest.raises(DatasetUnavailable, match="only one class"):
        load_dataset(ImageFolder(folder="lone"), signs)
    (signs / "bare" / "train").mkdir(parents=True)
    with pytest.raises(DatasetUnavailable, match="bare"):
        load_dataset(ImageFolder(folder="bare"), signs)


@pytest.mark.parametrize("damage", ["empty", "text", "half"])
@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_damaged_picture_is_named(signs: Path, name: str, damage: str) -> None:
    """A file that is no picture, or half of one, is refused by its name, with all the others that are."""
    file = signs / "signs" / "train" / "red" / name
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file)
    load_dataset(SIGNS, signs)
    whole = file.read_bytes()
    file.write_bytes({"empty": b"", "text": b"no picture", "half": whole[: len(whole) // 2]}[damage])
    (signs / "signs" / "test" / "blue" / "other.png").write_bytes(b"no picture")
    with pytest.raises(DatasetUnavailable, match=rf"train/red/{name}.* test/blue/other\.png"):
        load_dataset(SIGNS, signs)
