"""Evaluations that certify the smoothed model: the curve, and that it goes on where it stopped."""

from typing import Any

import pytest
from torch import nn

from gauntlet.attacks import smoothing
from gauntlet.attacks.smoothing import certify
from gauntlet.data.datasets import Dataset, to_unit
from gauntlet.evaluation.loop import evaluate
from gauntlet.events import BatchAttacked
from gauntlet.models.checkpoints import TrainingState
from gauntlet.results.outcome import Measured, summarise
from gauntlet.results.smoothing import SMOOTHING_PREFIX
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from tests.gauntlet.examples import CPU, network_with

ASKED = {"sigma": 0.25, "samples": 9, "draws": 60, "selection": 10, "alpha": 0.05, "radii": [0.3, 0, 0.1]}


def spec(asked: dict[str, Any] | None, **options: Any) -> EvaluationSpec:
    attacks = [{"kind": "fgsm", "eps": "8/255"}]
    return EvaluationSpec.model_validate(
        {"attacks": attacks, "samples": 12, "batch_size": 4, "smoothing": asked} | options
    )


@pytest.fixture
def model(trained: TrainingState) -> nn.Module:
    return network_with(trained)


def run(model: nn.Module, digits: Dataset, wanted: EvaluationSpec, **given: Any) -> list[BatchAttacked]:
    return list(evaluate(model, digits.test, wanted, 10, device=CPU, **given))


def test_the_curve_is_the_share_of_right_certificates_at_each_radius(model: nn.Module, digits: Dataset) -> None:
    """On the first `samples` images, as `certify` has them one by one."""
    wanted = spec(ASKED)
    batches = run(model, digits, wanted)
    found = summarise(wanted, batches, Measured("ab", "digits", "cd", digits.classes)).smoothing
    assert found is not None
    assert wanted.smoothing is not None
    certificates = certify(model, to_unit(digits.test.images[:9]), wanted.smoothing, 10, 0)
    labels = digits.test.labels[:9].tolist()
    for point in found.curve:
        right = sum(
            c.label == label and c.radius >= point.radius for c, label in zip(certificates, labels, strict=True)
        )
        assert point.accuracy.value == right / 9
    assert [point.radius for point in found.curve] == [0, 0.1, 0.3]
    assert found.curve[0].accuracy.value > found.curve[2].accuracy.value
    assert found.protocol.n == 9
    assert batches[-1].completed == batches[-1].total


def test_what_is_certified_is_not_certified_again(
    model: nn.Module, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All radii of a batch are read off before the next is certified, so a stop costs one batch at most."""
    whole = run(model, digits, spec(ASKED))
    certified: list[int] = []
    made = smoothing._certified

    def counted(*given: Any) -> smoothing.Certificate:
        certified.append(1)
        return made(*given)

    monkeypatch.setattr(smoothing, "_certified", counted)
    assert run(model, digits, spec(ASKED)) == whole
    assert len(certified) == 9
    first = next(number for number, batch in enumerate(whole) if batch.stage.startswith(SMOOTHING_PREFIX))
    certified.clear()
    kept = first + 4  # all radii of the first batch, and one of the second
    assert whole[:kept] + run(model, digits, spec(ASKED), done=whole[:kept]) == whole
    assert len(certified) == 5
    places = [(batch.stage, batch.batch) for batch in whole]
    assert len(set(places)) == len(places)


def test_what_asks_for_none_keeps_its_protocols() -> None:
    """A stored spec does not tell of what was not asked for."""
    assert "smoothing" not in spec(None).model_dump(mode="json")
