"""Each fault that a foreign model may have is found, and in a healthy one none."""

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gauntlet.attacks.slices import Together, sliced
from gauntlet.errors import ModelUnfit
from gauntlet.evaluation.preflight import examine, preflight
from tests.gauntlet.examples import network

CLASSES = 4
IMAGES = torch.rand(32, 1, 4, 4, generator=torch.Generator().manual_seed(0))
_WEIGHT = torch.randn(CLASSES, 16, generator=torch.Generator().manual_seed(1))


class Model(nn.Module):
    """A linear classifier of centred images, with something done to its logits."""

    def __init__(self, then: Callable[[Tensor], Tensor] = lambda logits: logits) -> None:
        super().__init__()
        self.then = then

    def forward(self, images: Tensor) -> Tensor:
        return self.then(F.linear(images.flatten(1) - 0.5, _WEIGHT))


class Elsewhere(nn.Module):
    """A module on another device, which fails as torch's own do."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1, device="meta"))

    def forward(self, _: Tensor) -> Tensor:
        raise RuntimeError("Expected all tensors on one device.\nAnd more of no use.")


LABELS = Model()(IMAGES).argmax(dim=1)


def partly_saturated(logits: Tensor) -> Tensor:
    """The logits of one class' images are rounded where autograd does not see it."""
    return torch.where((logits.argmax(dim=1) == 0)[:, None], logits.detach().round(), logits)


FAULTS = {
    "class_count": (Model(lambda logits: logits[:, :3]), "error"),
    "output_form": (Model(lambda logits: logits[:, :, None, None]), "error"),
    "non_finite_output": (Model(lambda logits: logits / 0), "error"),
    "coarse_output": (Model(lambda logits: logits.bfloat16().float()), "warning"),
    "small_logits": (Model(lambda logits: logits * 2**-20), "warning"),
    "batch_dependent": (Model(lambda logits: logits - logits.mean(dim=0)), "warning"),
    "constant_output": (Model(lambda logits: torch.ones_like(logits).cumsum(dim=1)), "warning"),
    "probabilities": (Model(lambda logits: logits.softmax(dim=1)), "warning"),
    "random_output": (Model(lambda logits: logits + 0.01 * torch.rand_like(logits)), "warning"),
    "zero_gradient": (Model(partly_saturated), "warning"),
    "non_finite_gradient": (Model(lambda logits: torch.where(logits < 99, logits, (logits - 99).sqrt())), "warning"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_found_alone(kind: str) -> None:
    """One finding, of that kind and weight, in a whole sentence."""
    model, severity = FAULTS[kind]
    (finding,) = preflight(model, IMAGES, None, CLASSES)
    assert (finding.kind, finding.severity) == (kind, severity)
    assert finding.message.endswith(".")


def test_a_model_without_any_gradient_is_found() -> None:
    """A graph that is cut is all zeros, not an error."""
    (finding,) = preflight(Model(Tensor.detach), IMAGES, None, CLASSES)
    assert finding.kind == "zero_gradient"
    assert "100.0 %" in finding.message


@pytest.mark.parametrize(
    "then",
    [
        lambda logits: logits + logits.roll(1, dims=0),
        lambda logits: logits * len(logits),
        lambda logits: logits + torch.arange(len(logits))[:, None],
        lambda logits: F.batch_norm(logits, None, None, training=True),
    ],
    ids=["the one before", "how many", "its place", "no image alone"],
)
def test_logits_that_depend_on_others_in_the_batch_are_found(then: Callable[[Tensor], Tensor]) -> None:
    """Whatever it is of the batch that they depend on, that is found, and the model is not taken apart for attacks."""
    found = examine(Model(then), IMAGES, None, CLASSES)
    assert [finding.kind for finding in found.findings] == ["batch_dependent"]
    assert isinstance(found.model, Together)
    assert isinstance(sliced(found.model, torch.device("cpu")), Together)


def test_half_precision_in_the_middle_is_no_dependence() -> None:
    """What a batch's size changes in the last bits of bfloat16 is not taken for an influence of other images."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(16, 512), nn.ReLU(), nn.Linear(512, CLASSES)).bfloat16()
    (finding,) = preflight(lambda images: layers(images.bfloat16()).float(), IMAGES, None, CLASSES)
    assert finding.kind == "coarse_output"


@pytest.mark.parametrize(
    ("then", "said"),
    [
        (lambda logits: (logits, logits), "a tuple of 2"),
        (lambda logits: {"logits": logits, "features": logits}, "a dict of 'logits', 'features'"),
        (print, "a NoneType"),
        (lambda logits: logits.numpy(force=True), "a ndarray"),
        (lambda logits: logits.argmax(dim=1), r"int64 \[32\], and not with logits, floats \[32, 4\]"),
        (lambda logits: logits[:, :, None, None], r"\[32, 4, 1, 1\] .* Its flatten\(1\) is"),
        (lambda logits: logits.flatten(), r"\[128\] for 32 images"),
        (lambda logits: logits.squeeze(0), r"\[4\] for 1 images .* batch's axis"),
        (lambda logits: F.pad(logits, (0, 2)), r"\[32, 6\] .* should be \[32, 4\]"),
    ],
)
def test_what_is_not_logits_is_an_error_that_tells_its_form(then: Callable[[Tensor], Any], said: str) -> None:
    """The sentence has the type or shape, and what to do where that is known."""
    (finding,) = preflight(Model(then), IMAGES, None, CLASSES)
    assert finding.severity == "error"
    assert re.search(said, finding.message)
    assert finding.message.endswith(".")


@pytest.mark.parametrize("then", [lambda z: z[:, :1], lambda z: z[:, 0]], ids=["[n, 1]", "[n]"])
def test_one_logit_of_two_classes_is_told_how_to_become_two(then: Callable[[Tensor], Tensor]) -> None:
    (finding,) = preflight(Model(then), IMAGES, None, 2)
    assert "torch.stack([torch.zeros_like(z), z], 1)" in finding.message


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (network(shape=(3, 16, 16)), r"float32 images \[32, 1, 16, 16\] .* RuntimeError: .*3 channels"),
        (network().half(), r"It holds float16, and evaluations compute in float32: model\.float\(\)"),
        (network().double(), "It holds float64"),
        (Elsewhere(), r"RuntimeError: Expected all tensors on one device\. It is on meta: model\.to\('cpu'\)"),
        (lambda images: torch.from_numpy(images.numpy()).flatten(1)[:, :10], "that require a gradient.*detach"),
        (lambda images: images.sub_(0.5).flatten(1)[:, :10], "changes the images it is given"),
    ],
    ids=["colour", "half", "double", "elsewhere", "numpy", "in place"],
)
def test_a_model_that_fails_on_the_images_says_how(model: nn.Module, said: str) -> None:
    """One error of ours, with the model's own as its cause, and advice where the reason can be seen."""
    with pytest.raises(ModelUnfit, match=said):
        preflight(model, torch.rand(32, 1, 16, 16), None, 10)


def test_a_lack_of_memory_is_not_taken_for_a_fault_of_the_model() -> None:
    """It may go away, and whoever runs the evaluation knows it by its own name."""

    def greedy(_: Tensor) -> Tensor:
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        preflight(greedy, IMAGES, None, CLASSES)


def test_a_sound_module_is_attacked_as_it_is() -> None:
    """It is not wrapped, so nothing about its numbers or its shortcuts changes; its logits are taken as they are."""
    model = network()
    found = examine(model, torch.rand(16, 1, 16, 16), None, 10)
    assert found.model is model
    assert found.scale == 1


@pytest.mark.parametrize("power", [14, 20, 60, 100])
def test_small_logits_are_brought_to_a_lead_of_about_one(power: int) -> None:
    """By a power of two, so that no digit of them is lost."""
    scale = examine(Model(lambda logits: logits * 2.0**-power), IMAGES, None, CLASSES).scale
    first, second = (Model()(IMAGES) * 2.0**-power * scale).sort(dim=1, descending=True).values.T[:2]
    assert 1 <= (first - second).median() < 2
    assert math.frexp(scale)[0] == 0.5


def test_small_logits_whose_largest_are_tied_have_a_scale_too() -> None:
    """Then it is how far they lie apart at all that is brought to about 1."""
    tied = Model(
        lambda logits: torch.cat([logits[:, :2].amax(dim=1, keepdim=True).expand(-1, 3), logits[:, 3:]], 1) / 1e6
    )
    found = examine(tied, IMAGES, None, CLASSES)
    assert "small_logits" in {finding.kind for finding in found.findings}
    assert 1e5 < found.scale < 1e8


def test_chance_accuracy_is_found_where_labels_are_known() -> None:
    """The right model at the wrong labels, as under another order of the classes."""
    assert preflight(Model(), IMAGES, LABELS, CLASSES) == ()
    (finding,) = preflight(Model(), IMAGES, (LABELS + 1) % CLASSES, CLASSES)
    assert (finding.kind, finding.severity) == ("chance_accuracy", "warning")
    assert finding.message.startswith(f"The model classifies 0 of {len(IMAGES)} images correctly (0.0 %), which cannot")


@pytest.mark.parametrize(("images", "right", "found"), [(3, 3, True), (4, 4, False), (8, 5, True), (8, 6, False)])
def test_a_few_images_can_tell_a_model_from_guessing(images: int, right: int, found: bool) -> None:
    """Among four classes three guesses are all right in 1.6 % of the cases, four in 0.4 %; five of eight or more are
    right in 2.7 %, six in 0.4 %."""
    labels = LABELS[:images] + (torch.arange(images) >= right)
    kinds = {finding.kind for finding in preflight(Model(), IMAGES[:images], labels % CLASSES, CLASSES)}
    assert kinds == ({"chance_accuracy"} if found else set())


def test_a_healthy_model_has_no_findings() -> None:
    """Neither has our own, dropout and all, which is left in the mode it was in."""
    assert preflight(Model(), IMAGES, None, CLASSES) == ()
    model = network().train()
    assert preflight(model, torch.rand(16, 1, 16, 16), None, 10) == ()
    assert model.training
