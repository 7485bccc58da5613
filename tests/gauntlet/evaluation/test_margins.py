"""What natural images tell of a model besides their class, against values worked out by hand."""

import pytest
import torch
from torch import Tensor, nn

from gauntlet.data.datasets import ImageSet
from gauntlet.evaluation.loop import evaluate
from gauntlet.evaluation.margins import looked_at
from gauntlet.results.outcome import summarise
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from tests.reports import measured


class Linear(nn.Module):
    """Logits 3x, 4y and 0 of an image's two pixels."""

    def forward(self, images: Tensor) -> Tensor:
        first, second = images.flatten(1).unbind(dim=1)
        return torch.stack([3 * first, 4 * second, 0 * first], dim=1)


class Rooted(nn.Module):
    """A root, whose gradient is infinite at a black pixel."""

    def forward(self, images: Tensor) -> Tensor:
        dark = images.flatten(1).sqrt()
        return torch.cat([dark, -dark], dim=1)


def image(first: float, second: float) -> Tensor:
    return torch.tensor([[[[first, second]]]])


def test_margins_of_a_linear_model_are_its_weights() -> None:
    """Of the class 0 at (1, ½): logits 3, 2, 0, a margin of 1 over class 1, whose gradient is (3, −4)."""
    without, (found,) = looked_at(Linear(), image(1.0, 0.5), torch.tensor([0]))
    probabilities = torch.tensor([3.0, 2.0, 0.0]).softmax(dim=0)
    assert found == pytest.approx((probabilities[0].item(), probabilities[0].item(), 1, 7, 5), rel=1e-3)
    assert not without.any()


def test_of_a_wrong_image_the_margin_is_negative_and_confidence_another_classs() -> None:
    _, (found,) = looked_at(Linear(), image(1.0, 0.5), torch.tensor([2]))
    probabilities = torch.tensor([3.0, 2.0, 0.0]).softmax(dim=0)
    assert found[:3] == pytest.approx((probabilities[2].item(), probabilities[0].item(), -3), rel=1e-3)
    assert found[3:] == (3, 3)


def test_a_gradient_that_is_not_finite_is_unknown_and_one_that_is_cut_is_none() -> None:
    _, (found,) = looked_at(Rooted(), torch.zeros(1, 1, 1, 1), torch.tensor([0]))
    assert found[3:] == (None, None)
    without, (cut,) = looked_at(lambda images: Linear()(images).detach(), image(1.0, 0.5), torch.tensor([0]))
    assert (without.tolist(), cut[2:]) == ([True], (1, 0, 0))


def test_a_margin_is_finite_where_logits_are() -> None:
    """Of logits of 3e38 and −3e38, whose difference fp32 does not have; a database would refuse infinity."""
    logits = torch.tensor([[3e38, -3e38]])
    _, (found,) = looked_at(lambda images: logits + 0 * images.sum(), image(1.0, 0.5), torch.tensor([1]))
    assert found.margin == pytest.approx(-torch.finfo(torch.float32).max, rel=1e-3)


def test_an_evaluation_tells_them_with_its_natural_images_alone() -> None:
    """In every batch of the natural pass, and in the outcome, with a straight line for the budget."""
    spec = EvaluationSpec.model_validate({"attacks": [{"kind": "fgsm", "eps": "1/10"}], "samples": 3, "batch_size": 2})
    images = torch.cat([image(1.0, 0.4), image(0.2, 1.0), image(1.0, 1.0)])
    test = ImageSet.of(images, torch.tensor([0, 1, 0]))
    batches = list(evaluate(Linear(), test, spec, 3, device="cpu"))
    assert [len(batch.margins or ()) for batch in batches if batch.stage == "natural"] == [2, 1]
    assert all(batch.margins is None for batch in batches if batch.stage != "natural")
    found = summarise(spec, batches, measured(("a", "b", "c"))).margins
    assert found is not None
    # Distances 1.4/7 and 3.4/7; the third is wrong.
    assert found.distances is not None
    assert (found.distances.lower, found.distances.upper) == pytest.approx((1.4 / 7, 3.4 / 7), rel=2e-3)
    assert [line.accuracy.value for line in found.straight] == [pytest.approx(2 / 3)]


def test_what_an_earlier_version_measured_in_part_has_no_margins() -> None:
    spec = EvaluationSpec.model_validate({"attacks": [{"kind": "fgsm", "eps": "1/10"}], "samples": 3, "batch_size": 2})
    images = torch.cat([image(1.0, 0.4), image(0.2, 1.0), image(1.0, 1.0)])
    batches = list(evaluate(Linear(), ImageSet.of(images, torch.tensor([0, 1, 0])), spec, 3, device="cpu"))
    known = [batch for batch in batches if batch.stage != "natural" or batch.batch]
    stripped = [type(batch)(**{**vars(batch), "margins": None}) for batch in batches if batch not in known]
    assert summarise(spec, [*known, *stripped], measured(("a", "b", "c"))).margins is None
