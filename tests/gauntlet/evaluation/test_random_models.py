"""Models that draw random numbers: told, measured again alike, and attacked by expectation where that is asked for."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gauntlet.data.datasets import Dataset
from gauntlet.evaluation.loop import evaluate, nominal_cost
from gauntlet.events import BatchAttacked
from gauntlet.results.masking import masking_attacks
from gauntlet.results.protocol import implementation
from gauntlet.spec.evaluations.attack_titles import attack_title
from gauntlet.spec.evaluations.attacks import attack_label, takes_for_deterministic
from gauntlet.spec.evaluations.ensembles import attacks_of
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from tests.gauntlet.examples import CPU, class_means

EPS = "24/255"
FGSM, MM = {"kind": "fgsm", "eps": EPS}, {"kind": "mm", "eps": EPS, "targets": 2, "steps": 4}
KINDS = ["fgsm", "pgd", "apgd-ce", "apgd-t", "fab-t", "transfer", "mm", "pma", "multitargeted", "screen", "fast"]


class Noisy(nn.Module):
    """A network that adds noise to its images, every time it looks."""

    def __init__(self, model: nn.Module, scale: float = 0.2) -> None:
        super().__init__()
        self.model, self.scale = model, scale

    def forward(self, images: Tensor) -> Tensor:
        """From [n, c, h, w] to logits [n, classes]."""
        logits: Tensor = self.model(images + self.scale * torch.randn_like(images))
        return logits


def spec(*attacks: dict[str, Any], **options: Any) -> EvaluationSpec:
    return EvaluationSpec.model_validate({"attacks": attacks, "samples": 12, "batch_size": 6} | options)


@pytest.fixture
def model(digits: Dataset) -> nn.Module:
    return Noisy(class_means(digits))


def run(
    model: nn.Module, digits: Dataset, wanted: EvaluationSpec, done: Sequence[BatchAttacked] = ()
) -> list[BatchAttacked]:
    return list(evaluate(model, digits.test, wanted, 10, device=CPU, done=done))


def predictions(batches: Sequence[BatchAttacked]) -> dict[tuple[str, int], int]:
    return {
        (batch.stage, image): predicted
        for batch in batches
        for image, predicted in zip(batch.images, batch.predicted, strict=True)
    }


def test_what_is_measured_is_measured_again(model: nn.Module, digits: Dataset) -> None:
    """Twice the same, with and without expectation, from a half-done evaluation too; by chance they would differ."""
    wanted = spec(FGSM, MM | {"eot": 3}, {"kind": "noise", "eps": EPS, "draws": 2})
    torch.manual_seed(1)
    first = run(model, digits, wanted)
    torch.manual_seed(2)
    assert run(model, digits, wanted) == first
    assert first[:3] + run(model, digits, wanted, done=first[:3]) == first


def test_the_batch_decides_nothing_under_expectation(model: nn.Module, digits: Dataset) -> None:
    """Natural predictions, and those under attacks that start alike everywhere, are each image's own."""
    attacks = FGSM | {"eot": 3}, MM | {"eot": 3}
    assert predictions(run(model, digits, spec(*attacks))) == predictions(
        run(model, digits, spec(*attacks, batch_size=5))
    )


def test_a_deterministic_model_shows_the_same_by_expectation(digits: Dataset) -> None:
    """Its mean over draws is itself: each image is taken for the same class with and without."""
    plain = predictions(run(class_means(digits), digits, spec(FGSM, MM)))
    averaged = predictions(run(class_means(digits), digits, spec(FGSM | {"eot": 2}, MM | {"eot": 2})))
    assert list(averaged.values()) == list(plain.values())


def test_it_is_a_finding_where_an_attack_does_not_average(model: nn.Module, digits: Dataset) -> None:
    """The sentence names those that do not; where all do, or the model is deterministic, there is none."""

    def told(*attacks: dict[str, Any], of: nn.Module = model) -> list[tuple[str, str]]:
        found = evaluate(of, digits.test, spec(*attacks), 10, device=CPU).findings
        return [(finding.kind, finding.message) for finding in found]

    ((kind, message),) = told(FGSM, MM | {"eot": 2}, {"kind": "autoattack", "eps": EPS})
    assert kind == "random_output"
    assert "robustness: fgsm@24/255, autoattack@24/255. With `eot: 20`" in message
    rand = {"kind": "autoattack", "eps": EPS, "version": "rand"}
    assert told(FGSM | {"eot": 2}, rand, {"kind": "noise", "eps": EPS}) == []
    assert told(FGSM, of=network_with_no_noise(model)) == []


def network_with_no_noise(noisy: nn.Module) -> nn.Module:
    assert isinstance(noisy, Noisy)
    return noisy.model


def test_numbers_that_no_seed_decides_are_a_finding(model: nn.Module, digits: Dataset) -> None:
    """A model with a generator of its own is told, be it averaged or not."""
    own = torch.Generator().manual_seed(0)

    def drawing(images: Tensor) -> Tensor:
        logits: Tensor = model(images)
        return logits + torch.rand(logits.shape, generator=own)

    found = evaluate(drawing, digits.test, spec(FGSM | {"eot": 2}), 10, device=CPU).findings
    assert [finding.kind for finding in found] == ["unseeded_output"]


@pytest.mark.parametrize("kind", KINDS)
def test_draws_belong_to_the_protocol_only_where_they_are_several(kind: str) -> None:
    """What was measured with one keeps its fingerprint, and several are in label, title, cost and protocol."""
    source = {"source": "ckpt_1"} if kind == "transfer" else {}
    once, same, often = spec(
        *({"kind": kind, "eps": eps} | source | eot for eps, eot in ((0.1, {}), (0.2, {"eot": 1}), (0.1, {"eot": 20})))
    ).attacks
    assert "eot" not in once.model_dump(mode="json") | same.model_dump(mode="json")
    assert "eot=20" in attack_label(often)
    assert "EOT 20" in attack_title(often)
    assert takes_for_deterministic(once)
    assert not takes_for_deterministic(often)
    # Each pass with a gradient is done twice: four passes for three, but for the natural one (3).
    assert nominal_cost([often]) - 3 == pytest.approx((nominal_cost([once]) - 3) * 20 * 4 / 3, abs=1)
    assert "gauntlet" in implementation(often)


def test_a_protocols_parts_and_the_checks_for_masking_average_with_it() -> None:
    """Screen's two parts take its draws, and so do the gradient attacks that look for masked gradients."""
    wanted = spec({"kind": "screen", "eps": EPS, "eot": 7}, masking={"samples": 5})
    (screen,) = wanted.attacks
    assert screen.kind == "screen"
    assert [part.eot for part in attacks_of(screen)] == [7, 7]
    draws = {getattr(attack, "eot", None) for attack in masking_attacks(wanted)}
    assert draws == {7, None}


def test_a_random_model_is_walked_all_steps(digits: Dataset) -> None:
    """With one draw, too, where its points repeat: what it says there next may be something else.

    Its noise is too small to change a sign, so that the same network without any stops at a cycle.
    """

    class Counted(nn.Module):
        def __init__(self, scale: float) -> None:
            super().__init__()
            self.noisy, self.looks = Noisy(class_means(digits), scale), 0

        def forward(self, images: Tensor) -> Tensor:
            self.looks += images.requires_grad
            logits: Tensor = self.noisy(images)
            return logits

    wanted = spec({"kind": "pgd", "eps": EPS, "steps": 40, "step": 0.5}, batch_size=12, masking=None)
    random, certain = Counted(1e-4), Counted(0)
    for model in (random, certain):
        run(model, digits, wanted)
    assert random.looks - certain.looks > 20
