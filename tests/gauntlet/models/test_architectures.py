import math

import pytest
import torch
from torch import nn

from gauntlet.models.architectures import build_model, initialise, split_head
from gauntlet.spec.kinds import ArchitectureSpec, Cnn, ResNet
from tests.gauntlet.examples import network, same_tensors


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


@pytest.mark.parametrize("architecture", [Cnn(), ResNet()], ids=lambda spec: spec.kind)
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


@pytest.mark.parametrize("architecture", [Cnn(), ResNet()], ids=lambda spec: spec.kind)
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
