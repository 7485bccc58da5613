"""AutoAttack for two and three classes, for which the original is not defined."""

import pytest
import torch
from torch import Tensor, nn

from gauntlet.data.datasets import ImageSet, to_unit
from gauntlet.errors import AttackUnsupported
from gauntlet.evaluation.loop import evaluate
from gauntlet.spec.evaluations.attacks import attack_label
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from tests.gauntlet.evaluation.test_loop import AUTO, flags, spec
from tests.gauntlet.examples import CPU

FEW = {"kind": "autoattack", "version": "few", "eps": "4/255"}
pytestmark = pytest.mark.usefixtures("brief")


class _Linear(nn.Module):
    """Logits W (x − ½), of which the worst point within eps is known."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.weight = torch.randn(classes, 144, generator=torch.Generator().manual_seed(classes))

    def forward(self, images: Tensor) -> Tensor:
        return (images - 0.5).flatten(1) @ self.weight.T


def _right_ones(model: _Linear) -> tuple[ImageSet, list[int]]:
    """Forty images that the model is right about, and those of which no point within 4/255 is taken for another."""
    pixels = torch.randint(40, 215, (40, 1, 12, 12), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    logits = model(to_unit(pixels))
    labels = logits.argmax(dim=1)
    apart = model.weight - model.weight[labels][:, None]
    margins = logits - logits.gather(1, labels[:, None]) + 4 / 255 * apart.abs().sum(dim=2)
    withstands = margins.scatter(1, labels[:, None], -torch.inf).amax(dim=1) < 0
    assert 5 < withstands.sum() < 35
    return ImageSet(pixels, labels), withstands.nonzero().flatten().tolist()


@pytest.mark.parametrize("classes", [2, 3])
def test_few_classes_have_an_ensemble_of_their_own(classes: int) -> None:
    """Its parts go on where the one before ended, and of a linear model just those fall that must."""
    model = _Linear(classes)
    images, withstanding = _right_ones(model)
    batches = list(evaluate(model, images, spec(FEW, samples=40, batch_size=40), classes, device=CPU))
    label = "autoattack(version=few)@4/255"
    assert [batch.stage for batch in batches][1:] == [
        f"{label}:{part}" for part in ("apgd-ce", "mm", "fab-t", "square")
    ]
    assert flags(batches, f"{label}:square") == dict.fromkeys(withstanding, True)
    assert batches[-1].completed == batches[-1].total


@pytest.mark.parametrize("kind", ["screen", "fast"])
@pytest.mark.parametrize("classes", [2, 3])
def test_protocols_break_what_can_be_broken_of_few_classes(kind: str, classes: int) -> None:
    """In their newest versions, and nothing else; Square is last, and has nothing to do where there are gradients."""
    model = _Linear(classes)
    images, withstanding = _right_ones(model)
    wanted = EvaluationSpec.model_validate({"protocol": kind, "eps": "4/255", "samples": 40, "batch_size": 40})
    batches = list(evaluate(model, images, wanted, classes, device=CPU))
    label = attack_label(wanted.attacks[0])
    stages = [batch.stage for batch in batches if batch.stage.startswith(label)]
    assert stages == [f"{label}:{part}" for part in ("pma", "mm", "square")]
    assert flags(batches, stages[-1]) == dict.fromkeys(withstanding, True)


def test_other_versions_need_more_classes_and_say_so() -> None:
    """The refusal names the version that is defined."""
    images = ImageSet(torch.zeros(4, 1, 12, 12, dtype=torch.uint8), torch.tensor([0, 1, 2, 0]))
    with pytest.raises(AttackUnsupported, match=r"at least 4 classes, and here are 3\. Its version few is defined"):
        evaluate(_Linear(3), images, spec(AUTO, samples=4), 3, device=CPU)
