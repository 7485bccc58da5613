import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gauntlet.models.layers import Dropout, MaxPool2x2, _GatheringMaxPool


def both_ways(images: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """(pooled, gradient) by torch's pooling and by ours, for one gradient from above."""
    found = []
    for pool in (nn.MaxPool2d(2), _GatheringMaxPool.apply):
        leaf = images.clone().requires_grad_()
        pooled = pool(leaf)
        above = torch.rand(pooled.shape, generator=torch.Generator().manual_seed(1)).to(images.dtype)
        found.append((pooled, torch.autograd.grad(pooled, leaf, above)[0]))
    return found[0], found[1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("size", [(30, 30), (13, 13), (2, 3), (5, 4)], ids=str)
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format], ids=str)
def test_pooling_is_torchs_to_the_bit(dtype: torch.dtype, size: tuple[int, int], layout: torch.memory_format) -> None:
    """The pooling that is compiled has the values and gradients of nn.MaxPool2d(2), odd sizes included."""
    images = torch.randn(3, 5, *size, generator=torch.Generator().manual_seed(0)).to(dtype)
    torchs, ours = both_ways(images.contiguous(memory_format=layout))
    assert all(map(torch.equal, torchs, ours))


def test_the_first_of_equal_values_takes_the_gradient() -> None:
    """Where a window's greatest value occurs more than once, the gradient goes where torch sends it."""
    images = torch.randint(3, (20, 4, 8, 8), generator=torch.Generator().manual_seed(0)).float()
    torchs, ours = both_ways(images)
    assert torch.equal(torchs[1], ours[1])
    assert not torch.equal(images.flip(3), images)


def test_pooling_uncompiled_is_torchs_own() -> None:
    """Outside a compiled step the layer is nn.MaxPool2d itself."""
    images = torch.rand(2, 3, 7, 9)
    assert torch.equal(MaxPool2x2()(images), F.max_pool2d(images, 2))
    assert isinstance(MaxPool2x2(), nn.MaxPool2d)


@pytest.mark.parametrize("p", [0.0, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(64, 8, 15, 15), (500, 333)], ids=str)
def test_dropout_drops_its_share_and_scales_the_rest(p: float, shape: tuple[int, ...]) -> None:
    """A share p becomes zero, the rest is divided by 1 − p, independently per element; eval mode changes nothing."""
    layer, values = Dropout(p), torch.rand(shape) + 0.5
    torch.manual_seed(0)
    dropped = layer.train()(values)
    zero = dropped == 0
    count = zero.numel()
    assert zero.sum().item() == pytest.approx(p * count, abs=4 * (p * (1 - p) * count) ** 0.5)
    assert torch.allclose(dropped[~zero], values[~zero] / (1 - p))
    neighbours = (zero.flatten()[1:] & zero.flatten()[:-1]).float().mean().item()
    assert neighbours == pytest.approx(p * p, abs=0.01)
    assert torch.equal(layer.eval()(values), values)


def test_dropout_follows_torchs_random_state() -> None:
    """One seed gives one mask, another another, whatever the layout; the gradient passes where the value does."""
    layer, values = Dropout(0.5), torch.ones(8, 4, 6, 6)
    masks = []
    for seed, layout in ((1, torch.channels_last), (1, torch.contiguous_format), (2, torch.channels_last)):
        torch.manual_seed(seed)
        leaf = values.contiguous(memory_format=layout).requires_grad_()
        dropped = layer(leaf)
        assert torch.equal(torch.autograd.grad(dropped.sum(), leaf)[0], dropped)
        masks.append(dropped)
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])
