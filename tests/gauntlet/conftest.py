"""One thread, and the bundled digits read once."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch

from gauntlet.data.datasets import Dataset, load_dataset
from gauntlet.models.checkpoints import TrainingState, encode_training_state, load_training_state
from gauntlet.spec.kinds import Digits
from tests.gauntlet.examples import finished, run_spec, some
from tests.once import made_once

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load_dataset(Digits(), Path("unused"))


@pytest.fixture(scope="session")
def torchattacks() -> ModuleType:
    """The peer, for those who compare with it: with scipy.stats it would be a second of each pytest worker's start."""
    return importlib.import_module("torchattacks")


@pytest.fixture(scope="session")
def few(digits: Dataset) -> Dataset:
    """72 digits for training and 24 for test: an epoch is three batches of 32 and takes 0.1 s."""
    return some(digits, train=72, test=24)


@pytest.fixture(scope="session")
def trained(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> TrainingState:
    """A digits network that is right on most test images and not robust on all of those."""

    def train(file: Path) -> None:
        spec = run_spec(training={"epochs": 5, "batch_size": 16, "optimizer": {"kind": "rmsprop", "lr": 1e-3}})
        file.write_bytes(encode_training_state(finished(spec, some(digits, train=480, test=20))))

    return load_training_state(made_once(tmp_path_factory, "trained.safetensors", train))
