"""Tensors and arrays of a caller's own as an image set."""

from typing import Any

import numpy as np
import pytest
import torch

from gauntlet.data.datasets import Dataset, ImageSet, to_unit
from gauntlet.errors import ImagesInvalid
from tests.gauntlet.examples import same_images

PIXELS = torch.arange(256, dtype=torch.uint8).view(2, 2, 8, 8)
LABELS = torch.tensor([3, 0])


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_floats_of_eight_bits_are_images(dtype: torch.dtype) -> None:
    found = ImageSet.of(torch.tensor([0, 0.5, 1]).view(1, 1, 1, 3).to(dtype), [0])
    assert found.images.flatten().tolist() == [0, 128, 255]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_floats_in_the_unit_range_are_the_pixels_they_were_made_of(dtype: torch.dtype) -> None:
    """Every level of a pixel, divided by 255 in any precision, comes back."""
    found = ImageSet.of((PIXELS.to(torch.float64) / 255).to(dtype), LABELS)
    assert same_images(found, ImageSet(PIXELS, LABELS))


def test_digits_as_floats_are_the_digits(digits: Dataset) -> None:
    """What the library shows a model may be given back to it, as a NumPy array too."""
    shown, labels = to_unit(digits.test.images).numpy(), digits.test.labels.numpy()
    assert same_images(ImageSet.of(shown, labels), digits.test)


def test_between_two_levels_the_nearer_is_taken() -> None:
    shown = torch.tensor([0.4, 0.6, 254.4]).view(1, 1, 1, 3) / 255
    assert ImageSet.of(shown, [0]).images.flatten().tolist() == [0, 1, 254]


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8"])
def test_whole_numbers_of_any_kind_are_labels(kind: str) -> None:
    labels = np.array([3, 0], dtype=kind)
    for given in (labels, torch.from_numpy(labels), labels.tolist()):
        assert same_images(ImageSet.of(PIXELS.numpy(), given), ImageSet(PIXELS, LABELS))


UNIT = PIXELS / 255


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (UNIT * 255, LABELS, r"reach from 0 to 255\. Divide by 255"),
        ((UNIT - 0.5) / 0.25, LABELS, r"reach from -2 to 2\. .* normalisation belongs into the model"),
        (UNIT / 0, LABELS, "infinity or values that are no number"),
        (PIXELS.long(), LABELS, "these are int64"),
        (PIXELS > 127, LABELS, "these are bool"),
        (UNIT[:, 0], LABELS, r"shape \[2, 8, 8\].* images\[:, None\]"),
        (UNIT.flatten(1), LABELS, r"shape \[2, 128\]"),
        (torch.rand(2, 8, 8, 3), LABELS, r"channels last.*permute\(0, 3, 1, 2\)"),
        ([[[1.0], [2.0, 3.0]]], LABELS, "Images must be a tensor or an array of numbers"),
        ("cat.png", LABELS, "Images must be a tensor or an array of numbers"),
        (UNIT, torch.tensor([1]), r"one for each of 2 images; these are of shape \[1\]"),
        (UNIT, torch.eye(2), r"shape \[2, 2\].* labels\.argmax\(1\)"),
        (UNIT, torch.tensor([0.0, 1.0]), "whole numbers.* float32"),
        (UNIT, ["cat", "dog"], "Labels must be a tensor or an array of numbers"),
        (UNIT, torch.tensor([-1, 0]), "count from 0; the least of these is -1"),
        (UNIT, np.array([2**63, 0], dtype="u8"), "Labels count classes; one of these is 9223372036854775808"),
        (UNIT, np.array([0, 2**64 - 1], dtype="u8"), "one of these is 18446744073709551615"),
        (UNIT.to_sparse(), LABELS, r"Images must be dense: values\.to_dense\(\)"),
    ],
)
def test_what_is_no_image_set_is_refused_in_a_sentence(images: Any, labels: Any, said: str) -> None:
    """The sentence says what is wrong and, where that can be told, what to do."""
    with pytest.raises(ImagesInvalid, match=said) as told:
        ImageSet.of(images, labels)
    assert str(told.value).endswith(".")


@pytest.mark.parametrize(
    ("images", "labels"),
    [(UNIT, LABELS), (PIXELS[0], LABELS[:1]), (PIXELS, LABELS.int()), (PIXELS, LABELS[:1]), (PIXELS, LABELS[:, None])],
    ids=["floats", "one image", "int32 labels", "too few labels", "a column"],
)
def test_an_image_set_holds_nothing_else(images: torch.Tensor, labels: torch.Tensor) -> None:
    """Made directly, it keeps what it is given, so that must be what all that reads it works on."""
    with pytest.raises(ImagesInvalid, match=r"uint8 \[n, channels, height, width\] .* ImageSet\.of"):
        ImageSet(images, labels)


@pytest.mark.parametrize(
    ("labels", "shape", "said"),
    [
        ([0, 2], (1, 2, 2), "labels are 0 to 2, and those of 2 classes are 0 to 1"),
        ([-1, 0], (1, 2, 2), "labels are -1 to 0"),
        ([0, 1], (3, 2, 2), r"of shape \[1, 2, 2\] and test images of \[3, 2, 2\]"),
    ],
)
def test_a_data_set_is_of_one_kind(labels: list[int], shape: tuple[int, ...], said: str) -> None:
    """Every label of both splits has a class, and all images are alike."""
    train = ImageSet(torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1]))
    other = ImageSet(torch.zeros(2, *shape, dtype=torch.uint8), torch.tensor(labels))
    assert Dataset(train, train, ("a", "b")).image_shape == (1, 2, 2)
    with pytest.raises(ImagesInvalid, match=said):
        Dataset(train, other, ("a", "b"))
