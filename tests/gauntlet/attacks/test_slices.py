import torch

from gauntlet.attacks.slices import Sliced, slice_sizes, sliced
from tests.gauntlet.examples import CPU, network


def test_slices_are_small_and_nearly_equal() -> None:
    """A batch of 24 stays whole; a larger one is taken apart into 12 to 24 images each, none left over."""
    assert slice_sizes(24) == [24]
    assert slice_sizes(25) == [13, 12]
    assert slice_sizes(100) == [20] * 5
    for count in range(25, 1_001):
        sizes = slice_sizes(count)
        assert sum(sizes) == count
        assert 12 <= min(sizes) <= max(sizes) <= 24


def test_logits_and_gradients_are_the_models() -> None:
    """In slices or whole, each image has the same logits and the same gradient."""
    model = network(shape=(3, 32, 32))
    images = torch.rand(50, 3, 32, 32, generator=torch.Generator().manual_seed(0)).requires_grad_()
    whole, in_slices = model(images), Sliced(model)(images)
    torch.testing.assert_close(in_slices, whole)
    gradients = [torch.autograd.grad(logits.logsumexp(dim=1).sum(), images)[0] for logits in (whole, in_slices)]
    torch.testing.assert_close(*gradients)


def test_few_images_are_not_taken_apart() -> None:
    """Up to 24 go through the model as they are."""
    model, images = network(), torch.rand(24, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Sliced(model)(images), model(images))


def test_a_gpu_takes_a_batch_whole() -> None:
    """Only on a CPU is a model given its images in slices."""
    model = network()
    in_slices = sliced(model, CPU)
    assert isinstance(in_slices, Sliced)
    assert in_slices.model is model
    assert sliced(model, torch.device("cuda")) is model
