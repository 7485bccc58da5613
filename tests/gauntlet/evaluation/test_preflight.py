"""Each fault that a foreign model may have is found, and in a healthy one none."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gauntlet.evaluation.preflight import preflight
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


LABELS = Model()(IMAGES).argmax(dim=1)


def partly_saturated(logits: Tensor) -> Tensor:
    """Every fourth image's logits are rounded where autograd does not see it."""
    every_fourth = (torch.arange(len(logits)) % 4 == 0)[:, None]
    return torch.where(every_fourth, logits.detach().round(), logits)


FAULTS = {
    "class_count": (Model(lambda logits: logits[:, :3]), "error"),
    "non_finite_output": (Model(lambda logits: logits / 0), "error"),
    "constant_output": (Model(lambda logits: torch.ones_like(logits).cumsum(dim=1)), "warning"),
    "probabilities": (Model(lambda logits: logits.softmax(dim=1)), "warning"),
    "random_output": (Model(lambda logits: logits + 0.01 * torch.rand_like(logits)), "warning"),
    "zero_gradient": (Model(partly_saturated), "warning"),
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
    assert "100%" in finding.message


def test_chance_accuracy_is_found_where_labels_are_known() -> None:
    """The right model at the wrong labels, as under another order of the classes."""
    assert preflight(Model(), IMAGES, LABELS, CLASSES) == ()
    (finding,) = preflight(Model(), IMAGES, (LABELS + 1) % CLASSES, CLASSES)
    assert (finding.kind, finding.severity) == ("chance_accuracy", "warning")


def test_a_healthy_model_has_no_findings() -> None:
    """Neither has our own, dropout and all, which is left in the mode it was in."""
    assert preflight(Model(), IMAGES, None, CLASSES) == ()
    model = network().train()
    assert preflight(model, torch.rand(16, 1, 16, 16), None, 10) == ()
    assert model.training
