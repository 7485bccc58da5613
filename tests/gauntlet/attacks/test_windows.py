import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from gauntlet.attacks.windows import Windowed, windowed
from gauntlet.models.architectures import Normalise, build_model
from gauntlet.spec.architectures import Cnn
from gauntlet.spec.checkpoint_card import Normalisation
from tests.gauntlet.examples import network

RANDOM = torch.Generator()
EXACT = {"rtol": 0, "atol": 1e-6}  # kernels for another shape may add up in another order


class Doubled(nn.Conv2d):
    def forward(self, images: Tensor) -> Tensor:
        return 2 * super().forward(images)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    RANDOM.manual_seed(0)


def uniform(*shape: int) -> Tensor:
    return torch.rand(shape, generator=RANDOM)


def taken_apart(model: nn.Module) -> Windowed:
    quick = windowed(model)
    assert quick is not None
    return quick


def queries(best: Tensor, side: int, count: int) -> list[Tensor]:
    """Images as Square asks for: the best so far with a square replaced, which some of them keep."""
    found, (n, channels, height, width) = [], best.shape
    for _ in range(count):
        top, left = (int(uniform(1) * (size - side + 1)) for size in (height, width))
        images = best.clone()
        images[:, :, top : top + side, left : left + side] = uniform(n, channels, side, side)
        found.append(images)
        kept = uniform(n) < 0.3
        best = torch.where(kept[:, None, None, None], images, best)
    return found


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 32, 32), (3, 21, 30)])
@pytest.mark.parametrize("side", [1, 3, 8, 12])
def test_the_logits_are_the_models(shape: tuple[int, int, int], side: int) -> None:
    """Query after query, at the borders too and whatever was kept, each image has the model's own logits."""
    model = network(shape=shape)
    quick = taken_apart(model)
    best = uniform(6, *shape)
    for images in (best, *queries(best, side, 30)):
        with torch.no_grad():
            torch.testing.assert_close(quick(images), model(images), **EXACT)


def test_a_small_window_alone_is_computed() -> None:
    """What is computed of a layer covers the changed square and its reach, not the image."""
    model = network(shape=(3, 32, 32))
    quick = taken_apart(model)
    best = uniform(6, 3, 32, 32)
    for images in (best, *queries(best, 4, 10)):
        quick(images)
        seen = [values.shape[2:].numel() for _, values in quick._tried]
    assert seen[0] == 16
    assert max(seen) <= 10 * 10


def test_what_was_taken_for_known_wrongly_is_mended() -> None:
    """Where squares overlap, what was kept can be guessed wrong; soon small windows are computed again."""
    model = network(shape=(3, 32, 32))
    quick = taken_apart(model)
    best = uniform(6, 3, 32, 32).round()
    quick(best)
    small = 0
    for _ in range(100):
        top, left = (int(uniform(1) * 29) for _axis in range(2))
        images = best.clone()
        images[:, :, top : top + 4, left : left + 4] = uniform(1, 3, 1, 1).round()
        with torch.no_grad():
            torch.testing.assert_close(quick(images), model(images), **EXACT)
        small += quick._tried[0][0].height <= 4
        best = torch.where((uniform(6) < 0.1)[:, None, None, None], images, best)
    assert small >= 80


def test_broken_images_may_go_and_others_may_come() -> None:
    """Fewer images, none at all, one, or wholly others: the logits are the model's."""
    model = network(shape=(3, 32, 32))
    quick = taken_apart(model)
    best = uniform(6, 3, 32, 32)
    *_, last = queries(best, 4, 5)
    for images in (best, last, last[[0, 2, 3, 5]], last[[3, 5]], last[:1], last[:0], last, uniform(6, 3, 32, 32)):
        with torch.no_grad():
            torch.testing.assert_close(quick(images), model(images), **EXACT)


def test_the_callers_tensors_are_its_own() -> None:
    """Images and logits may be written to afterwards, as Square does, and the next logits are right all the same."""
    model = network(shape=(3, 32, 32))
    quick = taken_apart(model)
    best = uniform(4, 3, 32, 32)
    for images in queries(best, 4, 6):
        wanted = model(images)
        logits = quick(images)
        torch.testing.assert_close(logits, wanted, **EXACT)
        logits.fill_(0)
        images.fill_(0)


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
    quick = taken_apart(model)
    best = uniform(4, 3, 17, 19)
    for images in (best, *queries(best, 3, 40)):
        with torch.no_grad():
            torch.testing.assert_close(quick(images), model(images), **EXACT)


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
    assert windowed(model) is None


def _replaced(layer: nn.Module) -> None:
    original = layer.forward
    layer.forward = lambda images: original(images).clamp(-0.5, 0.5)  # type: ignore[method-assign]


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
    assert windowed(model) is not None
    everything = dict(model.named_modules())
    only_weighted = touch in {"pruned", "weight norm"}
    for name in ["0.0"] if only_weighted else ["", "0", "0.0", "0.1", "0.4", "0.5"]:
        touched = copy.deepcopy(model)
        TOUCHES[touch](touched.get_submodule(name))
        assert windowed(touched) is None, everything[name]


def test_hooks_after_the_windows_are_called() -> None:
    """What comes after the part that is taken apart is called as a whole, hooks and all."""
    model = network(shape=(3, 32, 32))
    model[4].register_forward_hook(lambda _, __, logits: logits.roll(1, dims=1))
    quick = taken_apart(model)
    for images in queries(uniform(4, 3, 32, 32), 4, 3):
        with torch.no_grad():
            torch.testing.assert_close(quick(images), model(images), **EXACT)


def test_a_hook_on_all_modules_and_a_patched_class_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither can be found at a module itself."""
    model = network()
    hook = nn.modules.module.register_module_forward_hook(lambda *_: None)
    assert windowed(model) is None
    hook.remove()
    assert windowed(model) is not None
    monkeypatch.setattr(nn.ReLU, "forward", lambda _, images: images.clamp(0, 1))
    assert windowed(model) is None


def test_the_papers_network_is_taken_apart() -> None:
    """Its convolutions and pooling are computed in windows."""
    assert windowed(build_model(Cnn(), (3, 32, 32), 10).eval()) is not None


def test_too_many_pixels_are_not_remembered() -> None:
    """A batch whose layers would fill the memory is computed whole, and nothing of it is kept."""
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten())
    quick = taken_apart(model)
    images = uniform(9, 1, 128, 128)
    torch.testing.assert_close(quick(images), model(images))
    assert not quick._known


def test_what_is_forgotten_is_computed_anew() -> None:
    """After an attack nothing is kept, and the next batch has the model's logits."""
    model = network(shape=(3, 32, 32))
    quick = taken_apart(model)
    for images in (*queries(uniform(6, 3, 32, 32), 4, 3), uniform(6, 3, 32, 32)):
        with torch.no_grad():
            torch.testing.assert_close(quick(images), model(images), **EXACT)
        quick.forget()
        assert not quick._known
