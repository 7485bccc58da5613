"""Our FGSM held against torchattacks'."""

from fractions import Fraction
from types import ModuleType

import pytest
import torch

from gauntlet.attacks.gradient import fgsm, mode
from gauntlet.data.datasets import Dataset, to_unit
from gauntlet.models.checkpoints import TrainingState
from tests.gauntlet.examples import network_with

BUDGETS = [Fraction(0), Fraction(1, 255), Fraction(8, 255), Fraction(32, 255), Fraction(1, 2)]


@pytest.mark.parametrize("eps", BUDGETS, ids=str)
def test_fgsm_equals_torchattacks(
    trained: TrainingState, digits: Dataset, torchattacks: ModuleType, eps: Fraction
) -> None:
    """On a network in eval mode both give the same adversarial digits, to the bit."""
    model = network_with(trained)
    images, labels = to_unit(digits.test.images), digits.test.labels
    theirs = torchattacks.FGSM(model, eps=float(eps))(images, labels)
    assert torch.equal(fgsm(model, images, labels, eps), theirs)
    assert torch.equal(theirs, images) == (eps == 0)


def test_fgsm_in_eval_mode_equals_torchattacks_during_training(
    trained: TrainingState, digits: Dataset, torchattacks: ModuleType
) -> None:
    """torchattacks turns dropout off for the attack and on again afterwards; `mode` around ours does the same."""
    model = network_with(trained).train()
    images, labels = to_unit(digits.test.images), digits.test.labels
    eps = Fraction(32, 255)
    theirs = torchattacks.FGSM(model, eps=float(eps))(images, labels)
    assert model.training
    with mode(model, training=False):
        ours = fgsm(model, images, labels, eps)
    assert model.training
    assert torch.equal(ours, theirs)
    # Dropout would have shown.
    assert not torch.equal(fgsm(model, images, labels, eps), theirs)
