from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gauntlet.attacks.passes import Passes, passes_of
from gauntlet.attacks.slices import Sliced, Together
from gauntlet.models.architectures import Normalise, build_model
from gauntlet.spec.runs.architectures import Cnn, ResNet
from gauntlet.spec.runs.normalisation import Normalisation
from tests.gauntlet.examples import CPU, network

NORMALISED = Normalise(Normalisation(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4)))


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def gradient(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    given = images.clone().requires_grad_()
    logits = model(given)
    return logits.detach(), torch.autograd.grad((logits[:, 0] - logits[:, 1:].logsumexp(dim=1)).sum(), given)[0]


def passes(model: nn.Module) -> Passes:
    quick = passes_of(model, CPU, remembers=True)
    assert isinstance(quick, Passes)
    return quick


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28)])
@pytest.mark.parametrize("count", [1, 2, 3, 24, 30])
def test_logits_and_gradients_are_the_models(count: int, shape: tuple[int, int, int]) -> None:
    """Bit by bit those of torch's own passes through the paper's network, flat regions and equal neighbours too."""
    model = build_model(Cnn(), shape, 10).eval().requires_grad_(requires_grad=False)
    images = uniform(count, *shape)
    images[:, :, :16] = images[:, :, :16].round()
    for found, wanted in zip(gradient(passes(model), images), gradient(model, images), strict=True):
        assert torch.equal(found, wanted)


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Conv2d(3, 4, 5, padding=(1, 2), bias=False), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, (2, 3), groups=2)],
        [NORMALISED, nn.Conv2d(3, 4, 3, padding="valid"), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding="same")],
        [nn.MaxPool2d(2), nn.Conv2d(3, 4, 3, padding=2), nn.ReLU(), nn.Conv2d(4, 2, 1), nn.ReLU(), nn.MaxPool2d(2)],
        [nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(4, 4, 3)],
    ],
)
def test_layers_of_other_sizes(layers: list[nn.Module]) -> None:
    """Kernels that are oblong or grouped, any symmetric padding, rows that pooling drops: the model's gradients.

    Whether it has just seen the images or not.
    """
    flat = nn.Sequential(*layers, nn.Flatten())
    model = nn.Sequential(flat, nn.Linear(flat(uniform(1, 3, 17, 19)).shape[1], 5)).eval()
    quick, images = passes(model), uniform(5, 3, 17, 19)
    for _ in range(2):
        for found, wanted in zip(gradient(quick, images), gradient(model, images), strict=True):
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
        with torch.no_grad():
            torch.testing.assert_close(quick(images), model(images), rtol=0, atol=1e-6)


@pytest.mark.parametrize("moved", [0, 1, 2, 28, 29, 30])
def test_points_that_were_just_seen_are_not_passed_forward_again(moved: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient is the model's, whichever points are others than those of the logits before."""
    model = build_model(Cnn(), (3, 32, 32), 10).eval().requires_grad_(requires_grad=False)
    quick, images = passes(model), uniform(30, 3, 32, 32)
    with torch.no_grad():
        quick(images)
    images[:moved] = uniform(moved, 3, 32, 32, seed=1)
    seen = []
    # The way back may be a convolution too, with the kernels turned around.
    own, convolve = set(map(id, model.parameters())), nn.functional.conv2d

    def watched(values: Tensor, weight: Tensor, *more: Any, **named: Any) -> Tensor:
        if id(weight) in own:
            seen.append(len(values))
        found: Tensor = convolve(values, weight, *more, **named)
        return found

    monkeypatch.setattr(nn.functional, "conv2d", watched)
    found = gradient(quick, images)
    monkeypatch.undo()
    assert sum(seen) == 4 * {1: 30, 29: 30}.get(moved, moved)
    assert all(map(torch.equal, found, gradient(model, images)))


@pytest.mark.parametrize("channels", [1, 3])
def test_no_more_is_remembered_than_is_asked_for_and_fits(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing by an attack that may not, nothing of one image more than the bound has room for, and no convolution that
    is pooled next.
    """
    monkeypatch.setattr("gauntlet.attacks.passes._MOST_PIXELS", 6 * 16 * 16)
    model, images = network(shape=(channels, 16, 16)), uniform(7, channels, 16, 16)
    quick, forgetful = passes(model), passes_of(model, CPU)
    assert isinstance(forgetful, Passes)
    with torch.no_grad():
        for each, count, remembered in ((quick, 6, 6), (quick, 7, 0), (forgetful, 6, 0)):
            each(images[:count])
            assert sum(len(part.points) for part in each._last) == remembered
        quick(images[:6])
    assert [len(of_step) for of_step in quick._last[0].kept] == 2 * [1, 0, 2]


def test_a_head_may_work_in_place() -> None:
    """Gradients and logits are the model's, asked for again too."""
    layers = [nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LeakyReLU(0.3, inplace=True), nn.Linear(4 * 6 * 6, 5)]
    model = nn.Sequential(*layers).eval().requires_grad_(requires_grad=False)
    quick, images = passes(model), uniform(6, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(quick(images), model(images))
    for found, wanted in zip(gradient(quick, images), gradient(model, images), strict=True):
        torch.testing.assert_close(found, wanted)


def test_what_was_forgotten_is_passed_forward_anew() -> None:
    """Weights may change between two batches of an evaluation."""
    model = network(shape=(3, 32, 32)).requires_grad_(requires_grad=False)
    quick, images = passes(model), uniform(6, 3, 32, 32)
    with torch.no_grad():
        quick(images)
        next(model.parameters()).mul_(2)
    quick.forget()
    assert torch.equal(gradient(quick, images)[1], gradient(model, images)[1])


def test_other_models_are_given_as_they_were() -> None:
    """A residual network, a ReLU of the image, a touched layer and a model whose batch must stay whole."""
    touched = network()
    touched.get_submodule("0.0").register_forward_hook(lambda *_: None)
    odd = nn.Sequential(NORMALISED, nn.ReLU(), nn.Conv2d(3, 4, 3), nn.Flatten())
    lopsided = nn.Sequential(nn.Conv2d(3, 4, 2, padding="same"), nn.Flatten())
    for model in (build_model(ResNet(), (3, 32, 32), 10), odd, touched, lopsided):
        assert isinstance(passes_of(model.eval(), CPU), Sliced)
    assert isinstance(passes_of(Together(network()), CPU), Together)
    known = network()
    assert passes_of(known, torch.device("cuda")) is known
