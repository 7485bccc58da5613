"""What several test modules build: small specs, small data, models."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gauntlet import seeding
from gauntlet.data.datasets import Dataset, ImageSet, to_unit
from gauntlet.events import CheckpointReady, StateReady, TrainingEvent
from gauntlet.models.architectures import build_model, initialise
from gauntlet.models.checkpoints import TrainingState
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.presets import overlay
from gauntlet.spec.runs.architectures import Cnn
from gauntlet.spec.runs.training import Precision
from gauntlet.training.loop import train
from gauntlet.training.measurement import Measurement, build_probe, measure
from gauntlet.training.steps.compilation import compiler_present

CPU, GPU = torch.device("cpu"), torch.device("cuda")
needs_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
]
every_device = pytest.mark.parametrize("device", [CPU, pytest.param(GPU, marks=needs_gpu)], ids=str)
needs_compiler = pytest.mark.skipif(not compiler_present(CPU), reason="there is no C++ compiler to compile a step with")
NOWHERE = Path("/nonexistent")

_SMALL: dict[str, Any] = {
    "dataset": {"name": "digits"},
    "architecture": {"kind": "cnn"},
    "objective": {"kind": "cross_entropy"},
    "adversary": {"kind": "fgsm", "eps": "32/255"},
    "training": {"epochs": 2, "batch_size": 32, "optimizer": {"kind": "rmsprop", "lr": 1e-3}, "checkpoint_every": 1},
    "evaluation": {},
    "seed": 0,
}


def run_spec(**changes: object) -> RunSpec:
    """Two short epochs of cross-entropy on digits, with `changes` laid over it as over a preset."""
    return RunSpec.model_validate(overlay(_SMALL, changes))


def some(data: Dataset, *, train: int, test: int) -> Dataset:
    return Dataset(data.train.take(train), data.test.take(test), data.classes)


def middles(data: Dataset, side: int) -> Dataset:
    """The same images without their borders: the paper's network computes of 10 × 10 pixels a fifth of what it does of
    16 × 16.
    """
    begin = (data.image_shape[1] - side) // 2
    within = slice(begin, begin + side)
    cut = [ImageSet(each.images[:, :, within, within], each.labels) for each in (data.train, data.test)]
    return Dataset(cut[0], cut[1], data.classes)


def bright_or_dark(count: int) -> ImageSet:
    """Noise of 12 × 12 pixels that is dark (class 0) or bright (class 1)."""
    generator = seeding.generator("cpu", 0, "bright or dark")
    labels = torch.randint(2, (count,), generator=generator)
    noise = torch.randint(100, (count, 1, 12, 12), generator=generator)
    return ImageSet((noise + 120 * labels[:, None, None, None]).to(torch.uint8), labels)


def events(
    spec: RunSpec, data: Dataset, resume: TrainingState | None = None, *, every_state: bool = False
) -> list[TrainingEvent]:
    return list(train(spec, data, device=CPU, resume=resume, wants_state=lambda: every_state))


def states(found: list[TrainingEvent]) -> list[TrainingState]:
    return [event.state for event in found if isinstance(event, CheckpointReady | StateReady)]


def finished(spec: RunSpec, data: Dataset) -> TrainingState:
    return states(events(spec, data))[-1]


def network(classes: int = 10, *, seed: int = 0, shape: tuple[int, int, int] = (1, 16, 16)) -> nn.Module:
    """The paper's network, untrained, in eval mode."""
    model = build_model(Cnn(), shape, classes)
    initialise(model, seed)
    return model.eval()


def class_means(data: Dataset) -> nn.Module:
    """The nearest of the classes' mean images, in one linear layer, for what does not depend on the network.

    It is right on 90 % of the digits, on half of them at 32/255, and computes in a fiftieth of the paper's time.
    """
    images = to_unit(data.train.images).flatten(1)
    means = torch.stack([images[data.train.labels == label].mean(dim=0) for label in range(len(data.classes))])
    layer = nn.Linear(*means.T.shape)
    layer.load_state_dict({"weight": means, "bias": -means.square().sum(dim=1) / 2})
    return nn.Sequential(nn.Flatten(), layer).eval().requires_grad_(requires_grad=False)


def normalising(*_: object) -> nn.Module:
    """The smallest network for digits that normalises a batch; in the place of `architectures._built`."""
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 10))


def network_with(state: TrainingState) -> nn.Module:
    model = network()
    model.load_state_dict(state.model)
    return model.requires_grad_(requires_grad=False)


def measured(model: nn.Module, images: ImageSet, *, eps: Fraction, precision: Precision = "fp32") -> Measurement:
    return measure(model, images, build_probe(model, eps, precision))


def same_tensors(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def same_images(left: ImageSet, right: ImageSet) -> bool:
    return torch.equal(left.images, right.images) and torch.equal(left.labels, right.labels)
