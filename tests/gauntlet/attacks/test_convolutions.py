from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gauntlet.attacks.convolutions import Convolution


def both_ways(convolution: Convolution, images: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """The gradient for the images, from one for the layer's outputs that is zero at most places: ours, torch's."""
    gradient, wanted = passed_back(convolution.layer, images, seed)
    with torch.no_grad():
        return convolution.back(gradient, images.shape[1:], images.stride()), wanted


def passed_back(layer: nn.Conv2d, images: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """A gradient for the layer's outputs, and torch's for the images."""
    given = images.clone().requires_grad_()
    values = layer(given)
    random = torch.Generator().manual_seed(seed)
    gradient = torch.empty_like(values).normal_(generator=random) * (
        torch.empty_like(values).uniform_(generator=random) < 0.3
    )
    return gradient, torch.autograd.grad(values, given, gradient)[0]


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (nn.Conv2d(3, 32, 3, padding="same"), (3, 12, 12)),
        (nn.Conv2d(3, 8, 5), (3, 12, 10)),
        (nn.Conv2d(1, 8, 3, padding=1), (1, 12, 12)),
        (nn.Conv2d(4, 8, (3, 1), padding=(2, 0)), (4, 6, 8)),
        (nn.Conv2d(3, 8, 3, padding=1), (3, 7, 8)),
        (nn.Conv2d(16, 24, 3, padding=3), (16, 6, 6)),
        (nn.Conv2d(16, 24, 3, groups=2), (16, 6, 6)),
        (nn.Conv2d(4, 8, 3, groups=2), (4, 6, 6)),
    ],
)
def test_the_way_back_is_torchs(layer: nn.Conv2d, size: tuple[int, int, int], layout: torch.memory_format) -> None:
    """Bit by bit, for any number of images: whatever way is found quicker, and where there is none."""
    convolution = Convolution(layer.to(memory_format=layout))
    before = torch.get_rng_state()
    for count in (1, 2, 5, 12, 1):
        images = torch.rand(count, *size, generator=torch.Generator().manual_seed(count))
        assert torch.equal(*both_ways(convolution, images.contiguous(memory_format=layout), seed=count))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("layer", "size", "count"),
    [
        (nn.Conv2d(3, 32, 3, padding="same"), (3, 12, 12), 2),
        (nn.Conv2d(4, 8, 5, padding=(1, 2)), (4, 10, 10), 2),
        (nn.Conv2d(1, 8, (3, 1), padding=(2, 0)), (1, 6, 8), 2),
        (nn.Conv2d(5, 8, 3, padding=1), (5, 12, 10), 1),
        (nn.Conv2d(3, 8, 3, padding=1), (3, 7, 8), 1),
        (nn.Conv2d(3, 8, 3, padding=1), (3, 8, 7), 1),
        (nn.Conv2d(3, 8, 3, padding=1), (3, 9, 9), 1),
        (nn.Conv2d(3, 8, 3, padding=3), (3, 8, 8), 0),
    ],
)
def test_every_way_forward_is_the_gradient(layer: nn.Conv2d, size: tuple[int, int, int], count: int) -> None:
    """But for its last bits: of few channels and even sides squares first, of more padding than a kernel has none."""
    images = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    gradient, wanted = passed_back(layer, images, seed=0)
    ways = Convolution(layer)._ways_forward(images.shape[1:])
    assert len(ways) == count
    for way in ways:
        torch.testing.assert_close(way(gradient), wanted)


@pytest.mark.parametrize(("channels", "step"), [(3, 2), (8, 1)])
def test_a_way_with_torchs_bits_is_taken(channels: int, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel of one pixel and one channel adds nothing up: the first way forward is exact on any processor."""
    steps, convolve = [], nn.functional.conv2d

    def watched(*given: Any, stride: int = 1, **named: Any) -> Tensor:
        steps.append(stride)
        return convolve(*given, stride=stride, **named)

    convolution, images = Convolution(nn.Conv2d(channels, 1, 1)), torch.rand(3, channels, 8, 8)
    both_ways(convolution, images, seed=0)
    gradient, wanted = passed_back(convolution.layer, images, seed=1)
    monkeypatch.setattr(nn.functional, "conv2d", watched)
    assert torch.equal(convolution.back(gradient, images.shape[1:], images.stride()), wanted)
    assert steps == [step]


@pytest.mark.parametrize("written", ["weight", "data"])
def test_other_weights_have_another_way(written: str) -> None:
    """Torch counts changes of a weight, and none of those that are made to its `data`."""
    layer = nn.Conv2d(3, 8, 3)
    convolution, images = Convolution(layer), torch.rand(3, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    both_ways(convolution, images, seed=0)
    with torch.no_grad():
        (layer.weight if written == "weight" else layer.weight.data).mul_(3)
    assert torch.equal(*both_ways(convolution, images, seed=0))
