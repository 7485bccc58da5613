"""Networks as pictures are classified with them."""

from collections.abc import Callable
from copy import deepcopy
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from gauntlet.models.architectures import Normalise, build_model, initialise
from gauntlet.models.inference import prepared
from gauntlet.models.precision import in_precision
from gauntlet.spec.runs.architectures import ArchitectureSpec, Cnn, Custom, Torchvision, Vit
from gauntlet.spec.runs.normalisation import Normalisation

NORMALISATION = Normalisation(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
CATALOGUE: list[ArchitectureSpec] = [
    *(kind() for kind in get_args(get_args(ArchitectureSpec)[0]) if kind not in (Torchvision, Custom)),
    Cnn(dropout=False),
    Torchvision(name="squeezenet1_1"),
]


def _noise(images: int, side: int) -> Tensor:
    return torch.rand(images, 3, side, side, generator=torch.Generator().manual_seed(0))


class _Doubled(nn.Conv2d):
    def forward(self, images: Tensor) -> Tensor:
        return 2 * super().forward(images)


def _repeated() -> nn.Module:
    scale, relu = nn.BatchNorm2d(4), nn.ReLU()
    scale.bias.data.fill_(0.5)
    return nn.Sequential(nn.Conv2d(3, 4, 3), relu, scale, nn.Conv2d(4, 4, 3), scale, relu)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "strides, groups, dilation": lambda: nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, groups=3, padding=(1, 2)),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3, dilation=2, padding="same", bias=False),
        nn.Flatten(),
        nn.ReLU(),
        nn.Linear(8 * 8 * 9, 5, bias=False),
        nn.ReLU(),
    ),
    "an even kernel": lambda: nn.Sequential(nn.Conv2d(3, 4, 2, padding="same"), nn.ReLU()),
    "edges mirrored": lambda: nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), nn.ReLU()),
    "one layer in two places": _repeated,
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("name", NETWORKS)
def test_what_layers_do_is_kept(name: str) -> None:
    """Whether they are fused or cannot be; and the network itself stays as it was."""
    network = NETWORKS[name]().eval().requires_grad_(False)
    before = deepcopy(network)
    images = _noise(5, 16)
    with torch.inference_mode():
        found, expected = prepared(network, "fp32")(images), network(images)
        assert torch.equal(expected, before(images))
        lowered, as_evaluated = prepared(network, "bf16")(images), in_precision(network, "bf16")(images)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(lowered, as_evaluated, rtol=2e-2, atol=2e-2)


class _OfOnesOwn(nn.Module):
    """What teams' own networks do with an `nn.Sequential` beside calling it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 5))


class _Slicing(_OfOnesOwn):
    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.body(images) + self.body[:1](images).mean(dim=(1, 2, 3))[:, None]
        return logits


class _Reading(_OfOnesOwn):
    def forward(self, images: Tensor) -> Tensor:
        weight = self.body.get_submodule("0").get_parameter("weight")
        logits: Tensor = self.body(images) * weight.abs().sum()
        return logits


class _Looking(_OfOnesOwn):
    def forward(self, images: Tensor) -> Tensor:
        values, active = images, images.new_zeros(len(images), 1)
        for layer in self.body:
            values = layer(values)
            if isinstance(layer, nn.ReLU):
                active = (values > 0).float().flatten(1).mean(dim=1, keepdim=True)
        return values + active


def _hooked(place: int) -> nn.Module:
    network = _OfOnesOwn().body
    network[place].register_forward_hook(lambda _layer, _given, found: found + 1)
    return network


def _replaced() -> nn.Module:
    network = _OfOnesOwn().body
    network[1].forward = torch.sigmoid
    return network


def _normed() -> nn.Module:
    network = _OfOnesOwn().body
    nn.utils.weight_norm(network[0])
    return network


UNKNOWN: dict[str, Callable[[], nn.Module]] = {
    "a part of a sequence": _Slicing,
    "a part of a sequence, inside": lambda: nn.Sequential(Normalise(NORMALISATION), _Slicing()),
    "a layer's weight": _Reading,
    "a layer's class": _Looking,
    "a layer of one's own": lambda: nn.Sequential(_Doubled(3, 4, 3), nn.ReLU()),
    "a hook on a convolution": lambda: _hooked(0),
    "a hook on a ReLU": lambda: _hooked(1),
    "a hook behind": lambda: _hooked(3),
    "a ReLU that was replaced": _replaced,
    "an old weight norm": _normed,
}


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
@pytest.mark.parametrize("name", UNKNOWN)
def test_a_network_of_unknown_code_answers_as_it_is(name: str) -> None:
    """Bit by bit, in either precision: its code may look at what would be prepared."""
    network = UNKNOWN[name]().eval().requires_grad_(False)
    images = _noise(5, 16)
    with torch.inference_mode():
        expected, lowered = network(images), in_precision(network, "bf16")(images)
        assert torch.equal(prepared(network, "fp32")(images), expected)
        assert torch.equal(prepared(network, "bf16")(images), lowered)
        assert torch.equal(network(images), expected)


def test_a_class_that_was_patched_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is to be seen at the layer itself."""
    network = _OfOnesOwn().body.eval()
    assert prepared(network, "fp32") is not network
    monkeypatch.setattr(nn.ReLU, "forward", lambda _, images: images.clamp(0, 0.1))
    assert prepared(network, "fp32") is network


@pytest.mark.parametrize("architecture", CATALOGUE, ids=lambda architecture: f"{architecture}")
def test_the_catalogues_networks_are_prepared_and_answer_alike(architecture: ArchitectureSpec) -> None:
    """The same logits but for rounding, the same classes; and the network itself is left as it was."""
    side = 32 if isinstance(architecture, Torchvision) else 16
    # Torch's own beginnings will do: two Wide ResNets take seconds to begin twice.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_model(architecture, (3, side, side), 10)
    network = nn.Sequential(Normalise(NORMALISATION), network).eval().requires_grad_(False)
    kinds = [type(each) for each in network.modules()]
    before = {name: (tensor.data_ptr(), tensor._version) for name, tensor in network.state_dict().items()}
    images = _noise(4, side).contiguous(memory_format=torch.channels_last)
    quick = prepared(network, "fp32")
    assert quick is not network
    with torch.inference_mode():
        found, expected = quick(images), network(images)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert torch.equal(found.argmax(dim=1), expected.argmax(dim=1))
    assert [type(each) for each in network.modules()] == kinds
    assert {name: (tensor.data_ptr(), tensor._version) for name, tensor in network.state_dict().items()} == before


@pytest.mark.parametrize("architecture", [Cnn(), Vit()], ids=lambda architecture: architecture.kind)
def test_a_network_classifies_as_it_did(architecture: ArchitectureSpec) -> None:
    """In fp32 to the rounding of its sums, in bf16 as in evaluations, which is another answer by less than 0.01."""
    network = build_model(architecture, (3, 32, 32), 10)
    initialise(network, 0)
    network = network.eval().requires_grad_(False)
    images = _noise(3, 32).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        exact = network(images).softmax(dim=1)
        torch.testing.assert_close(prepared(network, "fp32")(images).softmax(dim=1), exact, rtol=0, atol=1e-5)
        lowered = prepared(network, "bf16")(images)
        assert lowered.dtype == torch.float32
        torch.testing.assert_close(
            lowered.softmax(dim=1), in_precision(network, "bf16")(images).softmax(dim=1), rtol=0, atol=5e-3
        )
        difference = (lowered.softmax(dim=1) - exact).abs().max().item()
        assert 0 < difference < 1e-2
