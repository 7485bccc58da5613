"""Training that starts from an existing checkpoint's weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from gauntlet.data.datasets import Dataset, load_dataset
from gauntlet.errors import CheckpointInvalid
from gauntlet.events import EpochFinished
from gauntlet.models.checkpoints import encode_training_state, encode_weights, load_initial_weights
from gauntlet.spec.checkpoint_card import CheckpointCard, Imported
from gauntlet.spec.kinds import Digits, ImageFolder
from gauntlet.spec.runs.architectures import Cnn
from gauntlet.spec.runs.normalisation import Normalisation
from gauntlet.spec.runs.training import TrainingSpec
from gauntlet.training.loop import train
from tests.gauntlet.examples import CPU, finished, network, run_spec, same_tensors

IDENTIFIER = "ckpt_01m8yq3f5cs9k0000000000000"
CARD = CheckpointCard(
    architecture=Cnn(),
    dataset=Digits(),
    classes=tuple("0123456789"),
    image_shape=(1, 16, 16),
    origin=Imported(name="another's"),
)


def weights_of_a_network(seed: int) -> dict[str, torch.Tensor]:
    return {name: tensor.contiguous() for name, tensor in network(seed=seed).state_dict().items()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The weights of an untrained network, seed 3."""
    file = tmp_path / "weights.safetensors"
    file.write_bytes(encode_weights(weights_of_a_network(3), CARD))
    return file


@pytest.mark.parametrize("identifier", ["", "ckpt_", "run_01", "ckpt_A", "../ckpt_1", "ckpt_1\n", "ckpt_" + "1" * 36])
def test_an_initial_checkpoint_is_an_id(identifier: str) -> None:
    """Random weights are the default; anything but a checkpoint's id is refused."""
    assert TrainingSpec().initial_checkpoint is None
    assert TrainingSpec(initial_checkpoint=IDENTIFIER).initial_checkpoint == IDENTIFIER
    with pytest.raises(ValidationError):
        TrainingSpec(initial_checkpoint=identifier)


@pytest.mark.parametrize(
    "objective",
    [
        {"kind": "cross_entropy"},
        {"kind": "ppo", "n_steps": 1, "n_epochs": 1},
        pytest.param({"kind": "dqn", "n_steps": 1}, marks=pytest.mark.thorough),
    ],
    ids=lambda objective: objective["kind"],
)
def test_training_starts_from_the_weights_of_a_file(few: Dataset, file: Path, objective: dict[str, Any]) -> None:
    """A run of another seed that starts from a network's weights measures what that network's own run does."""
    weights = load_initial_weights(file, Cnn(), (1, 16, 16), 10)
    assert same_tensors(weights, weights_of_a_network(3))
    still: dict[str, Any] = {"epochs": 1, "optimizer": {"lr": 1e-10}}
    told = []
    for seed, initial in ((3, None), (5, weights), (5, None)):
        events = train(
            run_spec(objective=objective, seed=seed, training=still), few, device=CPU, initial_weights=initial
        )
        (epoch,) = (event for event in events if isinstance(event, EpochFinished))
        told.append({name: epoch.metrics[name] for name in ("test_accuracy", "mean_uniformity")})
    assert told[0] == pytest.approx(told[1], abs=1e-6)
    assert told[2] != pytest.approx(told[1], abs=1e-6)


@pytest.mark.parametrize(("shape", "classes"), [((3, 16, 16), 10), ((1, 16, 17), 10), ((1, 16, 16), 9)])
def test_weights_of_another_model_are_refused(file: Path, shape: tuple[int, int, int], classes: int) -> None:
    """The sentence tells both models."""
    told = f"cnn for 10 classes of 1 × 16 × 16 images.* cnn for {classes} classes of "
    with pytest.raises(CheckpointInvalid, match=told):
        load_initial_weights(file, Cnn(), shape, classes)


def test_weights_behind_another_normalisation_are_refused(file: Path) -> None:
    """Training would show the network images of another range."""
    card = CARD.model_copy(update={"normalisation": Normalisation(mean=(0.5,), std=(0.5,))})
    file.write_bytes(encode_weights(weights_of_a_network(3), card))
    with pytest.raises(CheckpointInvalid, match=r"normalises its input .*, and what is trained does not"):
        load_initial_weights(file, Cnn(), (1, 16, 16), 10)
    with pytest.raises(CheckpointInvalid, match=r"std \[0.5\], and what is trained .* std \[0.25\]"):
        load_initial_weights(file, Cnn(), (1, 16, 16), 10, Normalisation(mean=(0.5,), std=(0.25,)))
    assert same_tensors(load_initial_weights(file, Cnn(), (1, 16, 16), 10, card.normalisation), weights_of_a_network(3))


def test_a_file_that_is_no_checkpoint_is_refused(few: Dataset, file: Path) -> None:
    """Neither a damaged file nor a training state is started from."""
    content = file.read_bytes()
    for other in (content[:-1], encode_training_state(finished(run_spec(training={"epochs": 1}), few))):
        file.write_bytes(other)
        with pytest.raises(CheckpointInvalid):
            load_initial_weights(file, Cnn(), (1, 16, 16), 10)


def test_a_spec_knows_the_shape_of_its_images(tmp_path: Path) -> None:
    """What is told before an image is read is what is read."""
    for place in ("train/a", "train/b", "test/a", "test/b"):
        folder = tmp_path / "pictures" / place
        folder.mkdir(parents=True)
        Image.new("RGB", (30, 20)).save(folder / "1.png")
    for spec in (Digits(), ImageFolder(folder="pictures", image_size=24)):
        assert load_dataset(spec, tmp_path).image_shape == spec.image_shape
