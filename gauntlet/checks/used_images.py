"""How many of the images that lie there a run uses, and for what."""

from typing import NamedTuple

from gauntlet.checks.description import DatasetDescription
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.kinds import DatasetSpec


class UsedImages(NamedTuple):
    """How many images a run is trained on, holds out for validation, and is attacked on; None of a set not seen."""

    train: int | None = None
    validation: int | None = None
    test: int | None = None


def used_images(run: RunSpec, found: DatasetDescription | None) -> UsedImages:
    """What a run uses of the data that was seen."""
    if found is None:
        return UsedImages()
    test = None if found.test is None else min(run.evaluation.samples, found.test.images)
    if found.train is None:
        return UsedImages(test=test)
    images = images_taken(run.dataset, found.train.images)
    held_out = run.evaluation.held_out(images)
    return UsedImages(max(0, images - held_out), held_out, test)


def images_taken(dataset: DatasetSpec, images: int) -> int:
    """How many of so many training images are used, those held out for validation among them."""
    return min(dataset.train_samples or images, images)
