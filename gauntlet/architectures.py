"""Classifier networks. Each maps float32 images in [0, 1], [n, c, h, w], to logits [n, classes]."""

from collections.abc import Callable

import torch
from torch import nn

from gauntlet import seeding
from gauntlet.kinds import ArchitectureSpec
from gauntlet.layers import Dropout, MaxPool2x2

Builder = Callable[[tuple[int, int, int], int], nn.Module]


def paper_cnn(image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The "very minimal CNN" of arXiv 2012.04353, Figure 1 (Keras' cifar10_cnn example), ending in logits.

    The paper ends in a softmax; here it is part of the loss, where log-softmax is exact.
    """
    channels, height, width = image_shape
    features = nn.Sequential(
        nn.Conv2d(channels, 32, 3, padding="same"),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3),
        nn.ReLU(),
        MaxPool2x2(),
        Dropout(0.25),
        nn.Conv2d(32, 64, 3, padding="same"),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3),
        nn.ReLU(),
        MaxPool2x2(),
        Dropout(0.25),
        nn.Flatten(),
    )
    return nn.Sequential(
        features,
        nn.Linear(64 * _after_two_blocks(height) * _after_two_blocks(width), 512),
        nn.ReLU(),
        Dropout(0.5),
        nn.Linear(512, classes),
    )


def _after_two_blocks(side: int) -> int:
    for _ in range(2):
        side = (side - 2) // 2
    return side


ARCHITECTURES: dict[str, Builder] = {"cnn": paper_cnn}


def build_model(spec: ArchitectureSpec, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """An untrained network for images of `image_shape` (channels, height, width), channels last in memory."""
    # torch draws initial weights from its global state; it is left as it was, and `initialise` draws ours.
    with torch.random.fork_rng(devices=[]):
        model = ARCHITECTURES[spec.kind](image_shape, classes)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
    return model


def initialise(model: nn.Module, seed: int) -> None:
    """Keras' defaults, in place: Glorot-uniform weights and zero biases, drawn from `seed` alone."""
    generator = seeding.generator("cpu", seed, "initial weights")
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
