import math
from typing import get_args

import pytest
import torch
from torch import nn

from gauntlet.errors import ModelUnfit
from gauntlet.models.architectures import build_model, initialise, split_head
from gauntlet.spec.runs.architectures import (
    ArchitectureSpec,
    Cnn,
    PreActResNet,
    ResNet,
    Torchvision,
    TorchvisionName,
    Vit,
    WideResNet28,
    WideResNet34,
)
from gauntlet.torchvision_ops import declare_missing_operators
from tests.gauntlet.examples import network, same_tensors

SMALL = [Cnn(), ResNet(), PreActResNet(), Vit(width=24, depth=2)]


def test_the_network_is_the_papers() -> None:
    """On CIFAR-10 the layers are those of the paper's Figure 1, with the 1,250,858 parameters Keras counts."""
    model = build_model(Cnn(), (3, 32, 32), 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == 1_250_858
    layers = [module for module in model.modules() if not isinstance(module, nn.Sequential)]
    conv, drop, pool, relu = nn.Conv2d, nn.Dropout, nn.MaxPool2d, nn.ReLU
    block = [conv, relu, conv, relu, pool, drop]
    expected = [*block, *block, nn.Flatten, nn.Linear, relu, drop, nn.Linear]
    assert all(isinstance(layer, kind) for layer, kind in zip(layers, expected, strict=True))
    assert [layer.p for layer in layers if isinstance(layer, drop)] == [0.25, 0.25, 0.5]
    convolutions = [layer for layer in layers if isinstance(layer, conv)]
    assert [layer.out_channels for layer in convolutions] == [32, 32, 64, 64]
    assert all(layer.kernel_size == (3, 3) for layer in convolutions)
    assert [layer.padding for layer in convolutions] == ["same", (0, 0), "same", (0, 0)]


def test_resnet18_is_the_one_for_cifar10() -> None:
    """It has torchvision's names, the known 11,173,962 weights, and 4 × 4 positions before its last pooling."""
    model = build_model(ResNet(), (3, 32, 32), 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_173_962
    names = model.state_dict().keys()
    assert {"conv1.weight", "bn1.running_mean", "layer2.0.downsample.0.weight", "layer4.1.bn2.bias", "fc.bias"} <= names
    seen: list[torch.Size] = []
    model.get_submodule("layer4").register_forward_hook(lambda _module, _inputs, output: seen.append(output.shape))
    model(torch.rand(2, 3, 32, 32))
    assert seen == [(2, 512, 4, 4)]


@pytest.mark.parametrize("architecture", [Cnn(), ResNet(), PreActResNet()], ids=lambda spec: spec.kind)
@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 32, 32), (3, 10, 10), (1, 28, 28), (3, 11, 33)])
def test_any_image_shape_gives_logits(shape: tuple[int, int, int], architecture: ArchitectureSpec) -> None:
    """Images down to 10 pixels, square or not, give one finite float32 logit per class, not probabilities.

    In train mode too, of a single image, which batch normalisation could not do with one position per channel.
    """
    model = build_model(architecture, shape, 7)
    initialise(model, 0)
    for images, training in ((torch.rand(5, *shape), False), (torch.rand(1, *shape), True)):
        logits = model.train(training)(images)
        assert logits.shape == (len(images), 7)
        assert logits.dtype == torch.float32
        assert logits.isfinite().all()
        assert not torch.allclose(logits.sum(dim=1), torch.ones(len(images)))


@pytest.mark.parametrize("architecture", SMALL, ids=lambda spec: spec.kind)
def test_a_network_is_its_features_and_its_head(architecture: ArchitectureSpec) -> None:
    """The two halves give the network's logits, one feature vector per image between them, and share its weights."""
    model = build_model(architecture, (3, 12, 12), 2).eval()
    layers, head = split_head(model)
    images = torch.rand(3, 3, 12, 12)
    assert layers(images).shape == (3, head.in_features)
    assert torch.equal(head(layers(images)), model(images))
    halves = {id(weights) for half in (layers, head) for weights in half.parameters()}
    assert halves == {id(weights) for weights in model.parameters()}


def test_a_network_without_a_linear_head_is_refused() -> None:
    """An agent's actions are read off a linear layer."""
    with pytest.raises(TypeError, match="no linear one"):
        split_head(nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.ReLU()))


def test_weights_begin_as_keras_begins_them() -> None:
    """Weights are Glorot-uniform, within and near ±√(6 / (fan in + fan out)); biases are zero."""
    model = build_model(Cnn(), (3, 32, 32), 10)
    initialise(model, 1)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            receptive = layer.weight[0, 0].numel() if isinstance(layer, nn.Conv2d) else 1
            bound = math.sqrt(6 / ((layer.weight.shape[0] + layer.weight.shape[1]) * receptive))
            assert 0.99 * bound < layer.weight.abs().max() <= bound
            assert abs(layer.weight.std() / (bound / math.sqrt(3)) - 1) < 0.05
            assert layer.bias is not None
            assert not layer.bias.any()


def test_weights_depend_on_the_seed_alone() -> None:
    """One seed gives one set of weights, whatever the global random state; another seed another."""
    first = network(seed=1).state_dict()
    torch.rand(100)
    model = network(seed=2)
    assert not same_tensors(model.state_dict(), first)
    before = torch.get_rng_state()
    initialise(model, 1)
    assert same_tensors(model.state_dict(), first)
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_is_on_in_training_only() -> None:
    """In train mode two passes differ, in eval mode they are equal."""
    model, images = network(), torch.rand(4, 1, 16, 16)
    assert torch.equal(model(images), model(images))
    model.train()
    assert not torch.equal(model(images), model(images))
    model.load_state_dict((without := build_model(Cnn(dropout=False), (1, 16, 16), 10).train()).state_dict())
    assert torch.equal(without(images), without(images))
    assert torch.allclose(without(images), model.eval()(images), atol=1e-6)


@pytest.mark.parametrize(
    ("architecture", "weights", "name"),
    [
        # The paper's CNN without its dropout has the same weights under the same names.
        (Cnn(dropout=False), 1_250_858, "0.8.weight"),
        # pytorch-cifar's 11,171,146, and the normalisation before the last layer.
        (PreActResNet(), 11_171_146 + 1_024, "layer2.0.shortcut.0.weight"),
        # As RobustBench and TRADES count them: 36.48 and 46.16 million.
        (WideResNet28(), 36_479_194, "block2.layer.0.convShortcut.weight"),
        (WideResNet34(), 46_160_474, "block3.layer.4.bn2.running_var"),
        # 48 + 1 weights into each of 192 numbers, 64 places, nine blocks of 12 · 192² + 13 · 192, norm, head.
        (Vit(), 49 * 192 + 64 * 192 + 9 * (12 * 192**2 + 13 * 192) + 2 * 192 + 193 * 10, "patches.places"),
        # As torchvision's own page counts them, for ten classes in the place of a thousand.
        (Torchvision(name="resnet50"), 25_557_032 - 990 * 2_049, "network.layer4.2.bn3.weight"),
        (Torchvision(name="mobilenet_v3_small"), 2_542_856 - 990 * 1_025, "network.classifier.3.bias"),
        (Torchvision(name="mobilenet_v2"), 3_504_872 - 990 * 1_281, "network.features.18.1.running_var"),
        (Torchvision(name="resnet18"), 11_689_512 - 990 * 513, "network.layer1.0.bn1.weight"),
        (Torchvision(name="squeezenet1_1"), 1_235_496 - 990 * 513, "network.classifier.1.bias"),
        (Torchvision(name="mnasnet0_5"), 2_218_512 - 990 * 1_281, "network.layers.0.weight"),
        (Torchvision(name="shufflenet_v2_x0_5"), 1_366_792 - 990 * 1_025, "network.conv5.0.weight"),
        (Torchvision(name="vgg11"), 132_863_336 - 990 * 4_097, "network.features.0.weight"),
    ],
    ids=lambda value: value.kind if hasattr(value, "kind") else None,
)
def test_a_published_network_has_its_published_weights(architecture: ArchitectureSpec, weights: int, name: str) -> None:
    """So many of them for CIFAR-10, under the names of the code that published weights come from."""
    with torch.device("meta"):
        model = build_model(architecture, (3, 32, 32), 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == weights
    assert name in model.state_dict()


@pytest.mark.parametrize("architecture", [*SMALL, Torchvision(name="mobilenet_v3_small")], ids=lambda spec: spec.kind)
def test_initial_weights_are_of_the_seed_alone(architecture: ArchitectureSpec) -> None:
    """Built twice they are equal, with another seed they are not, and torch's own random state is left alone."""
    before = torch.random.get_rng_state()
    found = []
    for seed in (0, 0, 1):
        model = build_model(architecture, (3, 32, 32), 10)
        initialise(model, seed)
        found.append({name: values for name, values in model.state_dict().items() if values.is_floating_point()})
    assert torch.equal(torch.random.get_rng_state(), before)
    assert same_tensors(found[0], found[1])
    assert not same_tensors(found[0], found[2])
    assert all(values.isfinite().all() for values in found[0].values())


@pytest.mark.parametrize("architecture", [ResNet(), PreActResNet(), Vit(width=24, depth=2)], ids=lambda each: each.kind)
def test_what_begins_alike_in_torch_begins_alike_here(architecture: ArchitectureSpec) -> None:
    """Scales at 1, shifts and attention's biases at 0, and nothing else: as torch's constructors leave the layers."""

    def alike(model: nn.Module) -> dict[str, float]:
        ends = {name: (values.min().item(), values.max().item()) for name, values in model.named_parameters()}
        return {name: least for name, (least, most) in ends.items() if least == most}

    model = build_model(architecture, (3, 32, 32), 10)
    begun = alike(model)
    initialise(model, 0)
    assert alike(model) == begun


@pytest.mark.parametrize(
    ("architecture", "layer", "deviation"),
    [
        # Uniform within ±1 / √(fan in).
        (PreActResNet(), "layer4.1.conv2", 1 / math.sqrt(3 * 9 * 512)),
        (PreActResNet(), "layer4.0.shortcut.0", 1 / math.sqrt(3 * 256)),
        (PreActResNet(), "linear", 1 / math.sqrt(3 * 512)),
        (ResNet(), "layer2.0.conv1", 1 / math.sqrt(3 * 9 * 64)),
        (ResNet(), "fc", 1 / math.sqrt(3 * 512)),
        # N(0, 2 / (9 · outputs)) (He et al. 2015).
        (WideResNet28(), "block1.layer.1.conv2", math.sqrt(2 / (9 * 160))),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_a_network_begins_as_in_the_code_that_published_it(
    architecture: ArchitectureSpec, layer: str, deviation: float
) -> None:
    """fast_adversarial's PreActResNet-18 and the ResNet-18 of TRADES and MAIR say nothing, so torch's own; TRADES' WRN
    says He-normal over the outputs. With normalisation behind it a weight twice as long learns a quarter as fast.
    """
    model = build_model(architecture, (3, 32, 32), 10)
    initialise(model, 0)
    weight = model.get_submodule(layer).weight
    assert isinstance(weight, torch.Tensor)
    assert weight.std().item() == pytest.approx(deviation, rel=0.02)


def test_torchvision_sees_grey_images_in_three_channels() -> None:
    """Its networks are made for colour; a grey image is as its copy in red, green and blue."""
    grey = build_model(Torchvision(name="mobilenet_v3_small"), (1, 32, 32), 3).eval()
    images = torch.rand(2, 1, 32, 32)
    assert torch.equal(grey(images), grey(images.expand(-1, 3, -1, -1)))


def test_all_of_torchvisions_classifiers_are_known() -> None:
    """Under the names that it has for them, and no others."""
    declare_missing_operators()
    from torchvision import models  # not before what it misses is declared

    assert sorted(get_args(TorchvisionName)) == models.list_models(module=models)


@pytest.mark.parametrize(("name", "side"), [("vgg11", 16), ("vit_b_16", 40), ("densenet121", 16)])
def test_images_that_are_too_small_are_told(name: TorchvisionName, side: int) -> None:
    """Before anything is trained: most of torchvision's networks shrink an image thirty-two times."""
    with pytest.raises(ModelUnfit, match=f"{name} takes no images of {side} × {side} pixels"):
        build_model(Torchvision(name=name), (3, side, side), 10)
