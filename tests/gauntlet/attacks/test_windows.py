import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from gauntlet.attacks.known_layers import stack_of
from gauntlet.attacks.windows import Window, Windowed
from gauntlet.models.architectures import Normalise, build_model
from gauntlet.spec.runs.architectures import Cnn
from gauntlet.spec.runs.normalisation import Normalisation
from tests.gauntlet.examples import network

RANDOM = torch.Generator()
EXACT: dict[str, Any] = {"rtol": 0, "atol": 1e-6}  # kernels for another shape may add up in another order


class Doubled(nn.Conv2d):
    def forward(self, images: Tensor) -> Tensor:
        return 2 * super().forward(images)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    RANDOM.manual_seed(0)


def uniform(*shape: int) -> Tensor:
    return torch.rand(shape, generator=RANDOM)


def taken_apart(model: nn.Module) -> Windowed:
    stack = stack_of(model)
    assert stack is not None
    return Windowed(model, stack)


def follow(model: nn.Module, images: Tensor, side: int, count: int) -> None:
    """Change squares of the images one after the other, which some of them keep: the logits are the model's."""
    quick, (n, channels, height, width) = taken_apart(model), images.shape
    with torch.no_grad():
        torch.testing.assert_close(quick.start(images), model(images), **EXACT)
        for _ in range(count):
            top, left = (int(uniform(1) * (size - side + 1)) for size in (height, width))
            window, values = Window(top, left, side, side), uniform(n, channels, side, side)
            changed = images.clone()
            window.of(changed).copy_(values)
            torch.testing.assert_close(quick.look(window, values), model(changed), **EXACT)
            kept = (uniform(n) < 0.3).nonzero().flatten()
            quick.keep(kept)
            images[kept] = changed[kept]
            assert torch.equal(quick.images, images)


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 32, 32), (3, 21, 30)])
@pytest.mark.parametrize("side", [1, 3, 8, 12])
def test_the_logits_are_the_models(shape: tuple[int, int, int], side: int) -> None:
    """Query after query, at the borders too and whatever was kept, each image has the model's own logits."""
    follow(network(shape=shape), uniform(6, *shape), side, 30)


def test_a_small_window_alone_is_computed() -> None:
    """What is computed of a layer covers the changed square and its reach, cut at the border, not the image."""
    quick = taken_apart(network(shape=(3, 32, 32)))
    quick.start(uniform(6, 3, 32, 32))
    for top, sides in (
        (14, [4, 4, 6, 8, 5, 7, 9, 5]),
        (0, [4, 4, 5, 5, 3, 4, 4, 2]),
        (31, [1, 1, 2, 2, 1, 2, 1, 1]),
    ):
        quick.look(Window(top, top, sides[0], sides[0]), uniform(6, 3, sides[0], sides[0]))
        assert [(window.height, window.width) for window, _ in quick._tried] == [(side, side) for side in sides]


def test_broken_images_may_go() -> None:
    """The others go on from where they are, be it one."""
    model = network(shape=(3, 32, 32))
    quick, images = taken_apart(model), uniform(6, 3, 32, 32)
    quick.start(images)
    for left in (torch.tensor([0, 2, 3, 5]), torch.tensor([1, 2]), torch.tensor([1])):
        quick.go_on_with(left)
        images = images[left]
        for _ in range(2):
            window, values = Window(20, 3, 4, 4), uniform(len(left), 3, 4, 4)
            logits = quick.look(window, values)
            quick.keep(torch.arange(len(left)))
            window.of(images).copy_(values)
            with torch.no_grad():
                torch.testing.assert_close(logits, model(images), **EXACT)


def test_the_callers_images_are_its_own() -> None:
    """They are not written to, and may be."""
    model, images = network(shape=(3, 32, 32)), uniform(4, 3, 32, 32)
    quick, before = taken_apart(model), images.clone()
    quick.start(images)
    quick.look(Window(0, 0, 4, 4), uniform(4, 3, 4, 4))
    quick.keep(torch.arange(4))
    assert torch.equal(images, before)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize(
    "layers",
    [
        [nn.Conv2d(3, 4, 5, padding=(1, 2), bias=False), nn.ReLU(), nn.Conv2d(4, 4, (2, 3), groups=2)],
        [nn.Conv2d(3, 4, 3, padding="valid"), nn.MaxPool2d(2), nn.Conv2d(4, 4, (5, 1), padding="same")],
        [nn.MaxPool2d(2), nn.Conv2d(3, 4, 3, padding=2)],
        [nn.Conv2d(3, 4, 2, padding="same"), nn.Conv2d(4, 4, (4, 3), padding="same")],
        [Normalise(Normalisation(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))), nn.Conv2d(3, 4, 3, padding=1)],
    ],
)
def test_layers_of_any_size_and_padding(layers: list[nn.Module]) -> None:
    """Kernels that are even, oblong or grouped, any zero padding, and rows that pooling drops: the model's logits."""
    flat = nn.Sequential(*layers, nn.Flatten()).eval()
    model = nn.Sequential(flat, nn.Linear(flat(uniform(1, 3, 17, 19)).shape[1], 5))
    for side in (1, 3):
        follow(model, uniform(4, 3, 17, 19), side, 40)


def test_a_change_in_what_pooling_drops_changes_nothing() -> None:
    """The last row and column of an odd side are in none of its squares: alone, together, and beside others."""
    model = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(3, 4, 3), nn.Flatten()).eval()
    images, quick = uniform(4, 3, 9, 11), taken_apart(model)
    before = quick.start(images)
    for window in (Window(8, 10, 1, 1), Window(8, 2, 1, 3), Window(2, 10, 3, 1), Window(0, 10, 9, 1)):
        values = uniform(4, 3, window.height, window.width)
        torch.testing.assert_close(quick.look(window, values), before, **EXACT)
        quick.keep(torch.arange(4))
        window.of(images).copy_(values)
        assert torch.equal(quick.images, images)


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Flatten(), nn.Linear(4, 2)),
        nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.Flatten()),
        nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), nn.Flatten()),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten()),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten()),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(3), nn.Flatten()),
        nn.Sequential(Doubled(3, 4, 3), nn.Flatten()),
        nn.Conv2d(3, 4, 3),
    ],
)
def test_another_model_is_left_as_it_is(model: nn.Module) -> None:
    """Layers that are not known to change near a change only, or not known at all, are not taken apart."""
    assert stack_of(model) is None


def _replaced(layer: nn.Module) -> None:
    original = layer.forward
    layer.forward = lambda images: original(images).clamp(-0.5, 0.5)


def _pruned(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d):
        prune.identity(layer, "weight")


def _normed(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d):
        nn.utils.parametrizations.weight_norm(layer)


TOUCHES: dict[str, Callable[[nn.Module], object]] = {
    "forward hook": lambda layer: layer.register_forward_hook(lambda _, __, output: output * 2),
    "forward hook with keywords": lambda layer: layer.register_forward_hook(lambda *_: None, with_kwargs=True),
    "forward pre-hook": lambda layer: layer.register_forward_pre_hook(lambda _, given: (given[0] * 2,)),
    "backward hook": lambda layer: layer.register_full_backward_hook(lambda *_: None),
    "backward pre-hook": lambda layer: layer.register_full_backward_pre_hook(lambda *_: None),
    "forward replaced": _replaced,
    "pruned": _pruned,
    "weight norm": _normed,
    # As `layer.compile()` leaves it, which takes seconds to import what compiles.
    "compiled": lambda layer: setattr(layer, "_compiled_call_impl", layer.forward),
}


@pytest.mark.parametrize("touch", TOUCHES)
def test_a_network_that_was_touched_is_left_as_it_is(touch: str) -> None:
    """Be it one layer, dropout too, a container, or the model itself: no shortcut leads past it."""
    model = network(shape=(3, 32, 32))
    assert stack_of(model) is not None
    everything = dict(model.named_modules())
    only_weighted = touch in {"pruned", "weight norm"}
    for name in ["0.0"] if only_weighted else ["", "0", "0.0", "0.1", "0.4", "0.5"]:
        touched = copy.deepcopy(model)
        TOUCHES[touch](touched.get_submodule(name))
        assert stack_of(touched) is None, everything[name]


def test_hooks_after_the_windows_are_called() -> None:
    """What comes after the part that is taken apart is called as a whole, hooks and all."""
    model = network(shape=(3, 32, 32))
    model.get_submodule("4").register_forward_hook(lambda _, __, logits: logits.roll(1, dims=1))
    follow(model, uniform(4, 3, 32, 32), 4, 3)


def test_a_head_may_work_in_place() -> None:
    """Windows are put into what the head was given: a single channel is flattened without a copy."""
    layers = [nn.Conv2d(3, 1, 3), nn.Flatten(), nn.LeakyReLU(0.3, inplace=True), nn.Linear(14 * 14, 5)]
    follow(nn.Sequential(*layers).eval(), uniform(4, 3, 16, 16), 4, 3)


def test_a_hook_on_all_modules_and_a_patched_class_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither can be found at a module itself."""
    model = network()
    hook = nn.modules.module.register_module_forward_hook(lambda *_: None)
    assert stack_of(model) is None
    hook.remove()
    assert stack_of(model) is not None
    monkeypatch.setattr(nn.ReLU, "forward", lambda _, images: images.clamp(0, 1))
    assert stack_of(model) is None


def test_the_papers_network_is_taken_apart() -> None:
    """Its convolutions and pooling are computed in windows."""
    assert stack_of(build_model(Cnn(), (3, 32, 32), 10).eval()) is not None
