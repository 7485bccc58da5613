"""PGD that stops where its points repeat, against the same attack with every step taken."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from gauntlet import seeding
from gauntlet.attacks.cycles import Cycles
from gauntlet.attacks.gradient import pgd
from gauntlet.data.datasets import Dataset, to_unit
from gauntlet.models.checkpoints import TrainingState
from gauntlet.spec.evaluations.attacks import GradientLoss
from tests.gauntlet.examples import CPU, network_with


class _Counted:
    """A model, its logits times `certainty`, that counts the images it is given."""

    def __init__(self, model: nn.Module, certainty: float = 1) -> None:
        self.model, self.certainty, self.images = model, certainty, 0

    def __call__(self, images: Tensor) -> Tensor:
        self.images += len(images)
        logits: Tensor = self.model(images) * self.certainty
        return logits


def walk(model: _Counted, images: Tensor, labels: Tensor, loss: GradientLoss, steps: int, *, stops: bool) -> Tensor:
    return pgd(
        model,
        images,
        labels,
        Fraction(24, 255),
        norm="Linf",
        steps=steps,
        restarts=1,
        loss=loss,
        step=0.5,
        stops=stops,
        generator=seeding.generator(CPU, 0, "test"),
    )


@pytest.mark.parametrize(("loss", "certainty"), [("cross_entropy", 1), ("margin", 1), ("cross_entropy", 1_000)])
def test_what_stops_at_a_cycle_comes_to_the_whole_run(
    trained: TrainingState, digits: Dataset, loss: GradientLoss, certainty: float
) -> None:
    """The same points bit for bit, so the same flags, for less than three quarters of the work."""
    network = network_with(trained)
    # Fewer than four images that go on take the others along; how many do depends on where the network was trained.
    for count in (8, 24):
        images, labels = to_unit(digits.test.images[:count]), digits.test.labels[:count]
        whole, stopping = _Counted(network, certainty), _Counted(network, certainty)
        expected = walk(whole, images, labels, loss, 100, stops=False)
        assert torch.equal(walk(stopping, images, labels, loss, 100, stops=True), expected)
        if stopping.images < whole.images * 3 / 4:
            break
    assert stopping.images < whole.images * 3 / 4
    assert certainty > 1 or 0 < (network(expected).argmax(dim=1) == labels).sum() < count


class _Ridge(nn.Module):
    """One pixel: class 1 gains towards 0.5, from either side, and class 0 always wins by 5."""

    def forward(self, images: Tensor) -> Tensor:
        ridge = -(images.flatten(1)[:, :1] - 0.5).abs()
        return torch.cat([ridge * 0 + 5, ridge], dim=1)


@pytest.mark.parametrize("steps", [40, 41])
@pytest.mark.parametrize("alike", [False, True], ids=["", "all hashes the same"])
def test_the_remaining_steps_are_taken_modulo_the_period(
    steps: int, monkeypatch: pytest.MonkeyPatch, *, alike: bool
) -> None:
    """Across a ridge PGD goes to and fro; on which side it ends follows from the steps. A hash may be wrong."""
    if alike:
        monkeypatch.setattr(Cycles, "_hash", lambda _self, points: torch.zeros(len(points), dtype=torch.int64))
    model, image, label = _Counted(_Ridge()), torch.full((1, 1, 1, 1), 0.5), torch.zeros(1, dtype=torch.int64)
    ends = [walk(model, image, label, "margin", number, stops=False) for number in (40, 41)]
    assert not torch.equal(*ends)
    model.images = 0
    assert torch.equal(walk(model, image, label, "margin", steps, stops=True), ends[steps - 40])
    assert alike or model.images < 12
