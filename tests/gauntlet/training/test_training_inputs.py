from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from gauntlet import seeding
from gauntlet.attacks.gradient import fgsm
from gauntlet.data.datasets import Dataset, to_unit
from gauntlet.models.checkpoints import TrainingState
from gauntlet.spec.experiment import RunSpec
from gauntlet.training.steps.objectives import action_noise
from gauntlet.training.steps.step import training_inputs
from tests.gauntlet.examples import network_with, run_spec

POLICY_GRADIENT = {"kind": "policy_gradient"}
ARGMAX = {"kind": "policy_gradient", "action": "argmax", "baseline": "batch_mean"}


def prepared(spec: RunSpec, data: Dataset, state: TrainingState, *, training: bool = True) -> tuple[Tensor, Tensor]:
    model = network_with(state).train(training)
    noise = action_noise((1, len(data.test), 10), seeding.generator("cpu", 0, "test"))
    torch.manual_seed(0)
    made = training_inputs(spec, model, to_unit(data.test.images), data.test.labels, noise)
    assert model.training is training
    return made


def test_mixes_are_what_they_say(trained: TrainingState, few: Dataset) -> None:
    """All images attacked, the first half attacked, or each image natural and attacked, with labels to match."""
    natural, labels, eps = to_unit(few.test.images), few.test.labels, Fraction(32, 255)
    attacked = fgsm(network_with(trained), natural, labels, eps)
    half = fgsm(network_with(trained), natural[:12], labels[:12], eps)
    wanted = {
        "adversarial": (attacked, labels),
        "half": (torch.cat([half, natural[12:]]), labels),
        "both": (torch.cat([natural, attacked]), torch.cat([labels, labels])),
    }
    assert not torch.equal(attacked, natural)
    for mix, (images, targets) in wanted.items():
        found = prepared(run_spec(training={"mix": mix}), few, trained)
        assert torch.equal(found[0], images)
        assert torch.equal(found[1], targets)


def test_no_attack_is_made_on_the_half_of_one_image(few: Dataset) -> None:
    """It is learnt from as it is, by a network too that cannot take a batch of none."""

    class Reshaping(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.view(len(images), -1)[:, :10]

    natural, labels = to_unit(few.test.images[:1]), few.test.labels[:1]
    made, targets = training_inputs(
        run_spec(training={"mix": "half"}), Reshaping(), natural, labels, torch.zeros(1, 1, 11)
    )
    assert torch.equal(made, natural)
    assert torch.equal(targets, labels)


def test_the_attack_may_have_dropout(trained: TrainingState, few: Dataset) -> None:
    """In mode `eval` the attack sees the model without dropout, in mode `train` with it."""
    without = prepared(run_spec(), few, trained, training=False)[0]
    assert torch.equal(prepared(run_spec(), few, trained)[0], without)
    assert not torch.equal(prepared(run_spec(adversary={"mode": "train"}), few, trained)[0], without)


def test_the_attack_ascends_the_loss_it_is_told(trained: TrainingState, few: Dataset) -> None:
    """The attack follows the true label, the predicted one, or the training objective."""
    model, natural, labels = network_with(trained), to_unit(few.test.images), few.test.labels
    predicted = model(natural).argmax(dim=1)
    wrong = predicted != labels
    assert wrong.any()

    def made(loss: str, objective: dict[str, Any]) -> Tensor:
        return prepared(run_spec(adversary={"loss": loss}, objective=objective), few, trained)[0]

    cross_entropy = {"kind": "cross_entropy"}
    true_label = made("true_label", cross_entropy)
    assert torch.equal(true_label, fgsm(model, natural, labels, Fraction(32, 255)))
    assert torch.equal(true_label, made("objective", cross_entropy))
    assert torch.equal(true_label, made("true_label", POLICY_GRADIENT))
    by_prediction = made("predicted_label", cross_entropy)
    assert torch.equal(by_prediction, fgsm(model, natural, predicted, Fraction(32, 255)))
    assert not torch.equal(by_prediction[wrong], true_label[wrong])
    # Raising −R · log P of a wrong prediction makes it likelier; cross-entropy on the prediction makes it less so.
    by_reward = made("objective", ARGMAX | {"baseline": "none"})
    before, after = (
        model(images).softmax(dim=1).gather(1, predicted[:, None])[wrong] for images in (natural, by_reward)
    )
    assert (after > before).all()
