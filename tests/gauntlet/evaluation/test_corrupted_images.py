"""Evaluations on corrupted images: what is counted, and that it goes on where it stopped."""

from typing import Any

import pytest
from torch import nn

from gauntlet.attacks.corruptions import corrupted
from gauntlet.data.datasets import Dataset, to_unit
from gauntlet.evaluation.loop import evaluate
from gauntlet.events import BatchAttacked
from gauntlet.models.checkpoints import TrainingState
from gauntlet.results.corruptions import corruption_stage
from gauntlet.results.intervals import wilson_interval
from gauntlet.results.outcome import EvaluationOutcome, Measured, summarise
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from tests.gauntlet.examples import CPU, network_with

ASKED = {"kinds": ["gaussian_noise", "contrast"], "severities": [5, 2], "strengths": "cifar10-c"}


def spec(corruptions: dict[str, Any] | None, **options: Any) -> EvaluationSpec:
    attacks = [{"kind": "fgsm", "eps": "8/255"}]
    document = {"attacks": attacks, "samples": 20, "batch_size": 8, "corruptions": corruptions}
    return EvaluationSpec.model_validate(document | options)


@pytest.fixture
def model(trained: TrainingState) -> nn.Module:
    return network_with(trained)


def run(model: nn.Module, digits: Dataset, wanted: EvaluationSpec, **given: Any) -> list[BatchAttacked]:
    return list(evaluate(model, digits.test, wanted, 10, device=CPU, **given))


def counted(wanted: EvaluationSpec, batches: list[BatchAttacked]) -> EvaluationOutcome:
    return summarise(wanted, batches, Measured("ab", "digits", "cd", tuple("0123456789")))


def test_each_kind_and_severity_is_counted_and_the_mean_of_them(model: nn.Module, digits: Dataset) -> None:
    """Accuracies are those of the network on the corrupted images, and the means plain ones."""
    wanted = spec(ASKED)
    found = counted(wanted, run(model, digits, wanted)).corruptions
    assert found is not None
    assert found.strengths == "cifar10-c"
    images, labels = to_unit(digits.test.images[:20]), digits.test.labels[:20]
    everything = []
    for of_one in found.kinds:
        for severity, accuracy in of_one.severities.items():
            right = model(corrupted(images, of_one.kind, severity, "cifar10-c", 0)).argmax(dim=1) == labels
            assert accuracy.value == int(right.sum()) / 20
            everything.append(accuracy.value)
    assert [list(of_one.severities) for of_one in found.kinds] == [[2, 5]] * 2
    assert found.mean.value == pytest.approx(sum(everything) / 4)
    assert found.mean.interval == wilson_interval(found.mean.value, 20)
    assert found.severities[5].value == pytest.approx((everything[1] + everything[3]) / 2)


def test_it_resumes_and_extends(model: nn.Module, digits: Dataset) -> None:
    """What is done is not done again, in other batches an image is corrupted alike, and progress ends at its total."""
    whole = run(model, digits, spec(ASKED))
    assert whole[:8] + run(model, digits, spec(ASKED), done=whole[:8]) == whole
    assert whole[-1].completed == whole[-1].total
    stage = corruption_stage("cifar10-c", "gaussian_noise", 5)

    def predictions(batches: list[BatchAttacked]) -> list[int]:
        return [predicted for batch in batches if batch.stage == stage for predicted in batch.predicted]

    assert predictions(run(model, digits, spec(ASKED, batch_size=7))) == predictions(whole)
    assert predictions(run(model, digits, spec(ASKED, samples=10))) == predictions(whole)[:10]


def test_other_sizes_have_imagenets_strengths_and_say_so(model: nn.Module, digits: Dataset) -> None:
    """The digits' 16 × 16 pixels are not CIFAR-10's."""
    wanted = spec({"kinds": ["contrast"], "severities": [1]})
    outcome = counted(wanted, run(model, digits, wanted))
    assert outcome.corruptions is not None
    assert outcome.corruptions.strengths == "imagenet-c"


def test_what_asks_for_none_keeps_its_protocols(model: nn.Module, digits: Dataset) -> None:
    """Neither a stored spec nor a protocol tells of corruptions that were not asked for; those that were have an id."""
    plain, asked = spec(None), spec(ASKED)
    assert "corruptions" not in plain.model_dump(mode="json")
    without, found = counted(plain, run(model, digits, plain)), counted(asked, run(model, digits, asked))
    assert "corruptions" not in without.model_dump(mode="json")
    assert "corruptions" not in without.natural_protocol.model_dump(mode="json")
    assert without.natural_protocol == found.natural_protocol
    assert found.corruptions is not None
    assert found.corruptions.protocol.id not in {found.natural_protocol.id, found.attacks[0].protocol.id}
    assert found.corruptions.protocol.seed == 0
