"""Batches that come to one image, and networks whose batch normalisation cannot take one by itself."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gauntlet.data.datasets import Dataset
from gauntlet.errors import ModelUnfit
from gauntlet.events import EpochFinished
from gauntlet.models.architectures import build_model
from gauntlet.models.sharding import Ranks
from gauntlet.training import loop
from gauntlet.training.lone_images import try_lone_image
from tests.gauntlet.examples import CPU, events, run_spec, same_tensors, some
from tests.own_networks import installed

NARROW = {"kind": "custom", "name": "narrow"}
NOISY = {"kind": "n_fgsm", "eps": "32/255"}
NATURAL = {"kind": "none", "eps": "32/255"}
REFUSED = [
    ({}, {}, 9),
    ({"mix": "half"}, {}, 9),
    ({"mix": "half"}, {"mode": "train"}, 11),
    ({"mix": "half"}, NOISY, 10),
    ({"mix": "both"}, NOISY, 9),
    ({"mix": "both", "grad_align": {}}, {}, 9),
    ({"awp": {}}, {}, 9),
    ({"batch_size": 1}, {}, 4),
    ({}, NATURAL, 1),
]
TRAINED = [
    ({}, NOISY, 10),
    ({"mix": "half"}, {}, 10),
    ({"mix": "half"}, NOISY, 12),
    ({"mix": "both"}, {}, 9),
    ({"mix": "both"}, NATURAL, 9),
    ({"mix": "half", "grad_align": {}, "guard": {"action": "n_fgsm"}}, {}, 12),
]


@pytest.fixture(autouse=True)
def _package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One whose network `narrow` normalises one number per channel."""
    with installed(tmp_path / "site", monkeypatch):
        yield


@pytest.mark.parametrize(("training", "adversary", "images"), REFUSED)
def test_a_network_that_cannot_take_one_image_is_refused_before_training(
    digits: Dataset, training: dict[str, Any], adversary: dict[str, Any], images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever an epoch has a pass in train mode of one image; without the look the epoch ends in torch's error."""
    training = {"epochs": 1, "batch_size": 8} | training
    spec, data = (
        run_spec(architecture=NARROW, adversary=adversary, training=training),
        some(digits, train=images, test=2),
    )
    with pytest.raises(ModelUnfit, match=f"Of {images} training images .* more than 1 value .* training.batch_size"):
        next(loop.train(spec, data, device=CPU))
    monkeypatch.setattr(loop, "try_lone_image", lambda *_: None)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        events(spec, data)


@pytest.mark.parametrize(("training", "adversary", "images"), TRAINED)
def test_what_can_be_trained_is_not_refused(
    digits: Dataset, training: dict[str, Any], adversary: dict[str, Any], images: int
) -> None:
    """Where each pass in train mode has two images or none, an epoch is trained to its end."""
    training = {"epochs": 1, "batch_size": 8} | training
    found = events(
        run_spec(architecture=NARROW, adversary=adversary, training=training), some(digits, train=images, test=2)
    )
    (epoch,) = [event for event in found if isinstance(event, EpochFinished)]
    assert all(math.isfinite(value) for value in epoch.metrics.values())


def test_the_guards_adversary_is_looked_at_too(digits: Dataset) -> None:
    """It attacks in train mode once it has taken the place of one that did not."""
    training = {"batch_size": 8, "mix": "half", "guard": {"action": "n_fgsm"}}
    with pytest.raises(ModelUnfit, match="the last batch has 3, of which mix half attacks 1:"):
        next(loop.train(run_spec(architecture=NARROW, training=training), some(digits, train=11, test=2), device=CPU))


def test_torchvisions_networks_are_looked_at(digits: Dataset) -> None:
    """One that shrinks its images to a pixel is refused, in a run of several processes too; held-out images count not.

    One that does not, or need not take a single one, is left as it was.
    """
    changes = {"training": {"batch_size": 8}, "evaluation": {"select_on": "validation", "validation_samples": 3}}
    spec = run_spec(architecture={"kind": "torchvision", "name": "resnet18"}, **changes)
    data = some(digits, train=12, test=2)
    for ranks in (None, Ranks(0, 2)):
        with pytest.raises(
            ModelUnfit, match=r"Of 9 training images in batches of 8 the last batch has 1: .*, 256, 1, 1"
        ):
            next(loop.course(spec, data, device=CPU, ranks=ranks))
    for side, images in ((32, 10), (64, 9)):
        network = build_model(spec.architecture, (1, side, side), 10).eval()
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        try_lone_image(spec, network, (1, side, side), images)
        assert same_tensors(network.state_dict(), before)
        assert not network.training
