from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from gauntlet.data.datasets import Dataset, ImageSet
from gauntlet.envs.images import choose_images
from gauntlet.errors import DatasetUnavailable, EnvironmentMisused
from gauntlet.spec.kinds import Digits

NOWHERE = Path("/nonexistent")


def test_every_way_to_name_a_data_set_means_the_same(digits: Dataset) -> None:
    """A name, a spec, its fields, a loaded data set and loaded images give the same images and classes."""
    for choice in ("digits", Digits(), {"name": "digits"}, digits, digits.test):
        found = choose_images(choice, "test", NOWHERE)
        assert torch.equal(found.labelled.images, digits.test.images)
        assert found.classes == digits.classes


def test_the_split_and_its_samples_are_those_of_the_spec() -> None:
    """`train_samples` bounds the training images, as in training."""
    assert len(choose_images({"name": "digits", "train_samples": 5}, "train", NOWHERE).labelled) == 5


def test_what_cannot_be_shown_is_refused(digits: Dataset) -> None:
    """No images, one class, a data set that is not there or not known: each is said."""
    empty = ImageSet(digits.test.images[:0], digits.test.labels[:0])
    alike = ImageSet(digits.test.images[:3], torch.zeros(3, dtype=torch.int64))
    for images in (empty, alike):
        with pytest.raises(EnvironmentMisused, match="at least two classes"):
            choose_images(images, "train", NOWHERE)
    with pytest.raises(DatasetUnavailable):
        choose_images({"name": "image_folder", "folder": "mine"}, "train", NOWHERE)
    with pytest.raises(ValidationError):
        choose_images("imagenet", "train", NOWHERE)
