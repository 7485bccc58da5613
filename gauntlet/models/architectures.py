"""Classifier networks. Each maps float32 images in [0, 1], [n, c, h, w], to logits [n, classes]."""

from typing import assert_never

import torch
from torch import Tensor, nn

from gauntlet import seeding
from gauntlet.models.initialisation import HeInitialised, TorchInitialised, initialise_as_keras, initialise_as_torch
from gauntlet.models.layers import Dropout, MaxPool2x2
from gauntlet.models.own_networks import OwnClassifier
from gauntlet.models.residual import preactresnet18, wide_resnet
from gauntlet.models.torchvision_models import TorchvisionClassifier
from gauntlet.models.transformers import vit
from gauntlet.spec.runs.architectures import (
    ArchitectureSpec,
    Cnn,
    Custom,
    PreActResNet,
    ResNet,
    Torchvision,
    Vit,
    WideResNet28,
    WideResNet34,
)
from gauntlet.spec.runs.normalisation import Normalisation
from gauntlet.torchvision_ops import declare_missing_operators


def paper_cnn(image_shape: tuple[int, int, int], classes: int, *, dropout: bool = True) -> nn.Module:
    """The "very minimal CNN" of arXiv 2012.04353, Figure 1 (Keras' cifar10_cnn example), ending in logits.

    The paper ends in a softmax; here it is part of the loss, where log-softmax is exact.
    """
    channels, height, width = image_shape
    # Without it the layers keep their places, by which their weights are named.
    dropped = Dropout if dropout else _kept
    features = nn.Sequential(
        nn.Conv2d(channels, 32, 3, padding="same"),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3),
        nn.ReLU(),
        MaxPool2x2(),
        dropped(0.25),
        nn.Conv2d(32, 64, 3, padding="same"),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3),
        nn.ReLU(),
        MaxPool2x2(),
        dropped(0.25),
        nn.Flatten(),
    )
    return nn.Sequential(
        features,
        nn.Linear(64 * _after_two_blocks(height) * _after_two_blocks(width), 512),
        nn.ReLU(),
        dropped(0.5),
        nn.Linear(512, classes),
    )


def _kept(_: float) -> nn.Module:
    return nn.Identity()


def _after_two_blocks(side: int) -> int:
    for _ in range(2):
        side = (side - 2) // 2
    return side


def resnet18(image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """ResNet-18 (He et al. 2016) for small images: torchvision's, its names included, with the stem of CIFAR-10.

    The stem is one 3 × 3 convolution without stride, and nothing is pooled after it, as in the models that CIFAR-10 is
    commonly attacked with; torchvision's own stem would shrink 32 × 32 images to 8 × 8 before the first block.
    """
    declare_missing_operators()
    from torchvision.models.resnet import BasicBlock, ResNet

    network: nn.Module = ResNet(BasicBlock, [2, 2, 2, 2], num_classes=classes)
    network.conv1 = nn.Conv2d(image_shape[0], 64, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return network


class Normalise(nn.Module):
    """(image − mean) / std per channel, in front of a network, so that attacks see images in [0, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(self, normalisation: Normalisation) -> None:
        super().__init__()
        for name, values in (("mean", normalisation.mean), ("std", normalisation.std)):
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """From float32 [n, c, h, w] in [0, 1] to the same shape."""
        return (images - self.mean) / self.std


def normalised(network: nn.Module, normalisation: Normalisation | None) -> nn.Module:
    """The network behind its normalisation, both on the network's device; itself where there is none.

    Its parameters and buffers are the network's own, under whose names they are kept: what is put in front has none to
    learn.
    """
    if normalisation is None:
        return network
    device = next(network.parameters()).device
    return nn.Sequential(Normalise(normalisation).to(device), network).train(network.training)


def build_model(spec: ArchitectureSpec, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """An untrained network for images of `image_shape` (channels, height, width), channels last in memory.

    Raises:
        ModelUnfit: torchvision's network of that name takes no images of that size, or one of a team's own is not there
            or could not be built.
    """
    # torch draws initial weights from its global state; it is left as it was, and `initialise` draws ours.
    with torch.random.fork_rng(devices=[]):
        model = _built(spec, image_shape, classes)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
    return model


def _built(  # noqa: PLR0911  # one network each
    spec: ArchitectureSpec, image_shape: tuple[int, int, int], classes: int
) -> nn.Module:
    channels = image_shape[0]
    match spec:
        case Cnn():
            return paper_cnn(image_shape, classes, dropout=spec.dropout)
        case ResNet():
            return resnet18(image_shape, classes)
        case PreActResNet():
            return preactresnet18(channels, classes)
        case WideResNet28():
            return wide_resnet(28, 10, channels, classes)
        case WideResNet34():
            return wide_resnet(34, 10, channels, classes)
        case Vit():
            return vit(spec, image_shape, classes)
        case Torchvision():
            return TorchvisionClassifier(spec, image_shape, classes)
        case Custom():
            return OwnClassifier(spec, image_shape, classes)
        case _:
            assert_never(spec)


def split_head(model: nn.Module) -> tuple[nn.Module, nn.Linear]:
    """A network of `build_model` in two: to its features, [n, c, h, w] → [n, features], and its last layer.

    The modules are the network's own; what `normalised` puts in front is a part of the first.
    """
    *layers, head = model.children()
    if [type(layer) for layer in layers] == [Normalise] and not isinstance(head, nn.Linear):
        features, last = split_head(head)
        return nn.Sequential(*layers, features), last
    if not isinstance(model, nn.Sequential):
        # torchvision's residual networks flatten between the last two of their children.
        layers.append(nn.Flatten())
    if not isinstance(head, nn.Linear):
        raise TypeError(f"The last layer of {type(model).__name__} is no linear one.")
    return nn.Sequential(*layers), head


def initialise(model: nn.Module, seed: int) -> None:
    """Initial weights in place, drawn from `seed` alone.

    The paper's CNN, and whatever is layers in a row, has Keras' defaults. ResNet-18 begins as torch begins layers, as
    in the code that CIFAR-10 is commonly trained with (kuangliu/pytorch-cifar, TRADES, MAIR). Other networks begin as
    their own code says.
    """
    generator = seeding.generator("cpu", seed, "initial weights")
    if isinstance(model, HeInitialised | TorchInitialised | TorchvisionClassifier | OwnClassifier):
        model.initialise(generator)
    elif isinstance(model, nn.Sequential):
        initialise_as_keras(model, generator)
    else:
        initialise_as_torch(model, generator)
