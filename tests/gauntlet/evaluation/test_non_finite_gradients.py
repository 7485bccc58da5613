"""Models whose logits are finite and whose gradient is not: attacks stand still there, or nearly, and that is told.

The model takes the nearest of four patterns of dark pixels, behind sRGB's transfer function. Its power has an infinite
slope at black, which `torch.where` multiplies by zero where it takes the other branch, so the gradient is not a number
at any black pixel. With the power's argument clamped it is the same function, and its gradient is right.
"""

import os
from typing import Any

import pytest
import torch
from torch import Tensor

from gauntlet.data.datasets import ImageSet, to_unit
from gauntlet.evaluation.loop import evaluate
from gauntlet.evaluation.margins import looked_at
from gauntlet.events import BatchAttacked
from gauntlet.models.precision import Model
from gauntlet.results.finding import Finding
from gauntlet.results.outcome import EvaluationOutcome, summarise
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from tests.reports import measured

_CLASSES, _SIDE, _LINEAR = 4, 8, 0.0031308
_DRAWN = torch.Generator().manual_seed(1)
_BRIGHT = torch.rand(_CLASSES, 1, _SIDE, _SIDE, generator=_DRAWN) * 0.6
_PATTERNS = torch.where(torch.rand(_BRIGHT.shape, generator=_DRAWN) < 0.8, 0, _BRIGHT)
LABELS = torch.arange(16) % _CLASSES
IMAGES = ImageSet.of((_PATTERNS[LABELS] * 255).round().to(torch.uint8), LABELS)


def _shown(linear: Tensor, *, least: float) -> Tensor:
    return torch.where(linear <= _LINEAR, 12.92 * linear, 1.055 * linear.clamp(min=least) ** (1 / 2.4) - 0.055)


_MEANS = _shown(_PATTERNS.flatten(1), least=_LINEAR)


def nearest(*, least: float) -> Model:
    return lambda images: (
        _shown(images, least=least).flatten(1) @ _MEANS.T
        - _MEANS.square().sum(dim=1) / 2  # the nearest has the largest
    )


TRAPPED, SOUND = nearest(least=0), nearest(least=_LINEAR)
_ROOTS = _PATTERNS.flatten(1) ** (1 / 2.4)


def steep(images: Tensor) -> Tensor:
    """Behind a bare root: at a black pixel its slope is infinite, or no number where all patterns are black."""
    return images.flatten(1) ** (1 / 2.4) @ _ROOTS.T - _ROOTS.square().sum(dim=1) / 2


def evaluated(model: Model, *attacks: dict[str, Any]) -> tuple[EvaluationOutcome, list[BatchAttacked]]:
    spec = EvaluationSpec.model_validate({"attacks": attacks, "samples": len(IMAGES), "keep_images": len(IMAGES)})
    found = list(evaluate(model, IMAGES, spec, _CLASSES, device="cpu"))
    return summarise(spec, found, measured()), found


def test_both_models_are_one_function() -> None:
    images = to_unit(IMAGES.images)
    assert torch.equal(TRAPPED(images), SOUND(images))
    assert bool((SOUND(images).argmax(dim=1) == LABELS).all())


def test_an_attack_that_stands_still_is_told_and_the_sound_models_falls() -> None:
    """The same budget leaves everything right of the one model and nothing of the other: the finding says why."""
    attack = {"kind": "fgsm", "eps": "0.2"}
    (trapped, _), (sound, _) = evaluated(TRAPPED, attack), evaluated(SOUND, attack)
    assert (trapped.attacks[0].accuracy.value, sound.attacks[0].accuracy.value) == (1, 0)
    (finding,) = trapped.findings
    assert (finding.kind, finding.severity) == ("non_finite_gradient", "warning")
    assert "For 16 of 16 images the" in finding.message
    assert sound.findings == ()


def test_it_is_told_where_none_of_the_first_images_has_it() -> None:
    """The model is tried on 64 images before it is attacked, and the one black pixel is in a later one."""
    bright = to_unit(IMAGES.images).clamp(min=0.1).repeat(5, 1, 1, 1)
    bright[70, 0, 0, 0] = 0
    images, labels = ImageSet.of((bright * 255).round().to(torch.uint8), LABELS.repeat(5)), LABELS.repeat(5)
    spec = EvaluationSpec.model_validate({"attacks": [{"kind": "fgsm", "eps": "0"}], "samples": len(labels)})
    evaluation = evaluate(TRAPPED, images, spec, _CLASSES, device="cpu")
    batches = list(evaluation)
    assert evaluation.findings == ()
    (finding,) = summarise(spec, batches, measured()).findings
    assert finding.kind == "non_finite_gradient"
    assert "For 1 of 80 images the gradient of the margin" in finding.message


def test_what_is_found_of_transfers_sources_is_told_with_their_names() -> None:
    """A source that follows no gradient makes weak examples, which says nothing for the model that withstands them."""
    attacks = [
        {"kind": "transfer", "eps": "0.2", "source": source, "steps": 2} for source in ("ckpt_1", "ckpt_2", "ckpt_3")
    ]
    spec = EvaluationSpec.model_validate({"attacks": attacks, "samples": len(IMAGES)})

    def found(**sources: Model) -> tuple[Finding, ...]:
        return evaluate(SOUND, IMAGES, spec, _CLASSES, device="cpu", sources=sources).findings

    (finding,) = found(ckpt_1=TRAPPED, ckpt_2=steep, ckpt_3=SOUND)
    assert finding.kind == "doubtful_source"
    assert [finding.message.count(f"ckpt_{number}: For ") for number in (1, 2, 3)] == [1, 1, 0]
    assert found(ckpt_1=SOUND, ckpt_2=SOUND, ckpt_3=SOUND) == ()


@pytest.mark.parametrize(
    ("kind", "one", "does_not"),
    [
        ("random_output", lambda images: SOUND(images) + 0.01 * torch.rand(len(images), _CLASSES), {"eot": 20}),
        ("small_logits", lambda images: SOUND(images) * 1e-6, {"loss": "margin"}),
    ],
)
def test_of_a_source_that_is_told_which_bears_on_its_transfers(kind: str, one: Model, does_not: dict[str, Any]) -> None:
    """One that averages needs no `eot`, and none runs AutoAttack's parts; of several those are named that it is of."""

    def found(*transfers: dict[str, Any], masking: dict[str, Any] | None = None) -> list[str]:
        common = {"kind": "transfer", "eps": "0.2", "source": "ckpt_1", "steps": 2}
        document = {"attacks": [common | each for each in transfers], "samples": len(IMAGES), "masking": masking}
        spec = EvaluationSpec.model_validate(document)
        evaluation = evaluate(SOUND, IMAGES, spec, _CLASSES, device="cpu", sources={"ckpt_1": one, "ckpt_2": one})
        return [finding.message for finding in evaluation.findings]

    assert kind in {finding.kind for finding in evaluated(one, {"kind": "fgsm", "eps": "0.2"})[0].findings}
    assert found(does_not) == []
    (told,) = found({}, does_not)
    assert "ckpt_1: " in told
    assert "ckpt_2" not in told
    assert ": transfer(source=ckpt_1, steps=2)@51/255. With" in told
    assert "AutoAttack" not in told
    # A check for masked gradients makes examples on its sources, too: on cross-entropy, and averaged as the attacks.
    (told,) = found({}, masking={"samples": 4, "sources": ["ckpt_2"]})
    assert "ckpt_2: " in told
    assert "transfer(source=ckpt_2)@51/255. With" in told


@pytest.mark.parametrize(
    ("one", "of_attacked", "of_source"),
    [
        (
            lambda images: SOUND(images.round()),
            "under no_grad; only Square, random noise and transfer say anything of it.",
            "under no_grad; what is made on it says nothing of another model.",
        ),
        (
            lambda images: SOUND(images - images.mean(dim=0)),
            "statistics: its accuracy, attacked or not, is that of this batch size",
            "statistics: what is made on it is that of this batch size",
        ),
        (
            lambda images: SOUND(images) + torch.tensor(list(os.urandom(_CLASSES))) / 1e4,
            "NumPy: what is measured of it comes out otherwise each time",
            "NumPy: what is made on it comes out otherwise each time",
        ),
    ],
)
def test_what_follows_for_a_source_is_told_of_a_source(one: Model, of_attacked: str, of_source: str) -> None:
    """Nobody attacks it there, and nothing is measured of it: what is made on it is in doubt."""
    attacked = [finding.message for finding in evaluated(one, {"kind": "fgsm", "eps": "0.2"})[0].findings]
    assert [of_attacked in message for message in attacked].count(True) == 1
    transfer = {"kind": "transfer", "eps": "0.2", "source": "ckpt_1", "steps": 2}
    spec = EvaluationSpec.model_validate({"attacks": [transfer], "samples": len(IMAGES)})
    (told,) = evaluate(SOUND, IMAGES, spec, _CLASSES, device="cpu", sources={"ckpt_1": one}).findings
    assert of_source in told.message
    assert of_attacked not in told.message


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("kind", ["fgsm", "pgd", "mm", "multitargeted", "apgd-ce", "apgd-t", "fab-t"])
@pytest.mark.parametrize(("norm", "eps"), [("Linf", "0.2"), ("L2", "1")])
def test_no_attack_makes_an_image_that_is_none(kind: str, norm: str, eps: str) -> None:
    """Under L2 a gradient is divided by its length: one pixel's would make all of the image, and end the evaluation."""
    outcome, found = evaluated(TRAPPED, {"kind": kind, "eps": eps, "norm": norm})
    assert [finding.kind for finding in outcome.findings] == ["non_finite_gradient"]
    pictures = [batch.attacked for batch in found if batch.attacked is not None]
    assert sum(map(len, pictures)) == len(IMAGES)
    assert all(bool(picture.isfinite().all()) for picture in pictures)


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("kind", ["fgsm", "apgd-ce", "apgd-t"])
@pytest.mark.parametrize(("norm", "eps"), [("Linf", "0.2"), ("L2", "2")])
def test_an_infinite_slope_is_followed(kind: str, norm: str, eps: str) -> None:
    """Its square is no number in fp32: divided by such a length nothing is left of a step, and all stay right."""
    outcome, _ = evaluated(steep, {"kind": kind, "eps": eps, "norm": norm})
    assert outcome.natural.value == 1
    assert [finding.kind for finding in outcome.findings] == ["non_finite_gradient"]
    assert outcome.attacks[0].accuracy.value < 0.8


def test_an_image_without_any_direction_is_counted_as_one_without_a_gradient() -> None:
    """Of two black images and one that is bright throughout, the two; the verdict on masking goes by that count."""
    images = torch.stack([torch.zeros(1, 2, 2), torch.zeros(1, 2, 2), torch.full((1, 2, 2), 0.5)])

    def model(seen: Tensor) -> Tensor:
        shown = _shown(seen, least=0).flatten(1).sum(dim=1)
        return torch.stack([shown, -shown], dim=1)

    without, margins = looked_at(model, images, torch.tensor([0, 1, 0]))
    assert without.tolist() == [True, True, False]
    assert [margin.gradient_l1 is None for margin in margins] == [True, True, False]


def test_fast_gives_squares_where_no_pixel_has_a_number_for_a_gradient() -> None:
    """Below a mean of 0.08 the model is constant, and its slope there infinity times zero: ascents stand still.

    The protocol's first version has no Square, and leaves them right.
    """
    images = ImageSet.of(torch.zeros(2, 1, _SIDE, _SIDE, dtype=torch.uint8), torch.tensor([0, 0]))

    def model(seen: Tensor) -> Tensor:
        above = seen.flatten(1).mean(dim=1) - 0.08
        lit = ((above > 0) * above) ** (1 / 2.4)
        return torch.stack([0 * lit + 0.1, lit, 0 * lit, 0 * lit], dim=1)

    protocols = ({"kind": "fast", "version": version, "eps": "0.2"} for version in (1, 2))
    spec = EvaluationSpec.model_validate({"attacks": [*protocols], "samples": 2})
    outcome = summarise(spec, list(evaluate(model, images, spec, _CLASSES, device="cpu")), measured())
    assert "non_finite_gradient" in {finding.kind for finding in outcome.findings}
    assert [attacked.accuracy.value for attacked in outcome.attacks] == [1, 0]
