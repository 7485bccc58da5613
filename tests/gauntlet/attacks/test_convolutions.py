import pytest
import torch
from torch import Tensor, nn

from gauntlet.attacks.convolutions import Convolution


def both_ways(convolution: Convolution, images: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """The gradient for the images, from one for the layer's outputs that is zero at most places: ours, torch's."""
    given = images.clone().requires_grad_()
    values = convolution.layer(given)
    random = torch.Generator().manual_seed(seed)
    gradient = torch.empty_like(values).normal_(generator=random) * (
        torch.empty_like(values).uniform_(generator=random) < 0.3
    )
    with torch.no_grad():
        found = convolution.back(gradient, images.shape[1:], images.stride())
    return found, torch.autograd.grad(values, given, gradient)[0]


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
    ],
)
def test_the_way_back_is_torchs(layer: nn.Conv2d, size: tuple[int, int, int], layout: torch.memory_format) -> None:
    """Bit by bit, for any number of images: whatever way is found quicker, and where there is none."""
    convolution = Convolution(layer.to(memory_format=layout))
    for count in (1, 2, 5, 12):
        images = torch.rand(count, *size, generator=torch.Generator().manual_seed(count))
        assert torch.equal(*both_ways(convolution, images.contiguous(memory_format=layout), seed=count))


@pytest.mark.parametrize("written", ["weight", "data"])
def test_other_weights_have_another_way(written: str) -> None:
    """Torch counts changes of a weight, and none of those that are made to its `data`."""
    layer = nn.Conv2d(3, 8, 3)
    convolution, images = Convolution(layer), torch.rand(3, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    both_ways(convolution, images, seed=0)
    with torch.no_grad():
        (layer.weight if written == "weight" else layer.weight.data).mul_(3)
    assert torch.equal(*both_ways(convolution, images, seed=0))
