"""Networks that answer every image alike: exact ties, images that are all wrong, and nobody left to attack."""

from typing import Any

import pytest
import torch
from torch import nn

from gauntlet.attacks import autoattack
from gauntlet.data.datasets import Dataset, ImageSet
from gauntlet.evaluation.loop import evaluate
from gauntlet.results.outcome import Measured, summarise
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from tests.gauntlet.brief_autoattack import BriefAutoAttack
from tests.gauntlet.examples import CPU

CLASSES = tuple("0123456789")
FEW: dict[str, dict[str, Any]] = {
    "pgd": {"steps": 2},
    "square": {"queries": 5},
    "noise": {"draws": 2},
    "transfer": {"steps": 2, "source": "ckpt_1"},
}
KINDS = ["fgsm", "pgd", "apgd-ce", "apgd-t", "fab-t", "square", "noise", "transfer", "autoattack"]


class VeryBriefAutoAttack(BriefAutoAttack):
    """Nothing changes a constant network's mind, so a few steps tell as much as many."""

    def __init__(self, model: nn.Module, **options: object) -> None:
        super().__init__(model, **options)
        self.square.n_queries = 4


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoattack, "AutoAttack", VeryBriefAutoAttack)


def linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(256, 10))


def constant(favoured: int | None) -> nn.Module:
    """All weights are zero, and so is every logit, but for 1 of the favoured class."""
    model = linear()
    with torch.no_grad():
        weight, bias = model.parameters()
        weight.zero_()
        bias.zero_()
        if favoured is not None:
            bias[favoured] = 1
    return model


def chosen(test: ImageSet, answer: int, *, right: int, wrong: int) -> ImageSet:
    """So many images of the class that is answered, after so many of others."""
    others, own = ((test.labels != answer).nonzero()[:wrong, 0], (test.labels == answer).nonzero()[:right, 0])
    return test.at(torch.cat([others, own]))


@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("favoured", [None, 3], ids=["all tied", "one class"])
@pytest.mark.parametrize(("right", "wrong", "batch_size"), [(2, 3, 5), (2, 1, 1), (0, 3, 2), (1, 0, 1)])
def test_accuracy_under_every_attack_is_the_share_of_the_class(
    digits: Dataset, norm: str, favoured: int | None, right: int, wrong: int, batch_size: int
) -> None:
    """Of all tied logits the first is taken; whoever is right stays so, and whoever is wrong too."""
    images = chosen(digits.test, favoured or 0, right=right, wrong=wrong)
    attacks = [{"kind": kind, "norm": norm, "eps": "8/255"} | FEW.get(kind, {}) for kind in KINDS]
    attacks.append({"kind": "autoattack", "version": "plus", "norm": norm, "eps": "8/255"})
    spec = EvaluationSpec.model_validate({"attacks": attacks, "samples": right + wrong, "batch_size": batch_size})
    batches = evaluate(constant(favoured), images, spec, 10, device=CPU, sources={"ckpt_1": linear()})
    found = summarise(spec, batches, Measured("", "digits", "", CLASSES))
    assert found.natural.value == right / (right + wrong)
    assert [attack.accuracy for attack in found.attacks] == [found.natural] * len(attacks)
    # An output that never changes has no gradient.
    assert found.zero_gradients == right + wrong
