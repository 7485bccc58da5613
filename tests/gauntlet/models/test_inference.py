"""Networks as pictures are classified with them."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from gauntlet.models.architectures import build_model, initialise
from gauntlet.models.inference import prepared
from gauntlet.models.precision import in_precision
from gauntlet.spec.runs.architectures import ArchitectureSpec, Cnn, Vit


def _noise(images: int, side: int) -> Tensor:
    return torch.rand(images, 3, side, side, generator=torch.Generator().manual_seed(0))


class _Doubled(nn.Conv2d):
    def forward(self, images: Tensor) -> Tensor:
        return 2 * super().forward(images)


def _hooked() -> nn.Module:
    layer = nn.Conv2d(3, 4, 3)
    layer.register_forward_hook(lambda _layer, _given, found: found + 1)
    return nn.Sequential(layer, nn.ReLU())


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
    "a layer of one's own": lambda: nn.Sequential(_Doubled(3, 4, 3), nn.ReLU()),
    "a hook": _hooked,
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
