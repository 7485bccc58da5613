import pytest
from torch import Tensor, nn

from gauntlet.data.datasets import Dataset
from gauntlet.evaluation.loop import evaluate
from gauntlet.models.checkpoints import TrainingState
from gauntlet.results.masking import MASKING_PREFIX, MaskingVerdict, masking_attacks, verdict
from gauntlet.results.masking_checks import Check
from gauntlet.results.stage_results import by_stage
from gauntlet.spec.evaluations.attacks import attack_label
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from tests.gauntlet.examples import CPU, class_means, network_with

pytestmark = pytest.mark.long(seconds=5)

SPEC = EvaluationSpec.model_validate(
    {"attacks": [{"kind": "fgsm", "eps": "32/255"}], "samples": 24, "masking": {"samples": 20, "eps_grows_to": 4}}
)


class Rounded(nn.Module):
    """The model behind five grey levels: no gradient reaches the image, and the model is no better for it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model((images * 4).round() / 4)
        return logits


@pytest.fixture
def model(trained: TrainingState) -> nn.Module:
    return network_with(trained)


@pytest.fixture
def linear(digits: Dataset) -> nn.Module:
    """For what is done to a network behind its last layer or before its first."""
    return class_means(digits)


def judged(model: nn.Module, digits: Dataset, spec: EvaluationSpec = SPEC) -> tuple[MaskingVerdict, dict[str, Check]]:
    stages = by_stage(evaluate(model, digits.test, spec, 10, device=CPU))
    found = verdict(spec, stages)
    assert found is not None
    assert {MASKING_PREFIX + attack_label(attack) for attack in masking_attacks(spec)} <= set(stages)
    return found, {check.name: check for check in found.checks}


@pytest.mark.thorough
def test_an_ordinary_network_passes(model: nn.Module, digits: Dataset) -> None:
    """On the digits network attacks that follow the gradient do as they should."""
    found, checks = judged(model, digits)
    assert found.n == 20
    assert checks["zero_gradient"].result == "pass"
    assert checks["unbounded"].result == "pass"
    assert checks["transfer"].result == "not_measured"
    assert found.verdict == "PASS"


def test_a_saturated_network_is_suspect(linear: nn.Module, digits: Dataset) -> None:
    """Logits scaled by 10⁴ leave every prediction and take cross-entropy's gradient away."""
    for parameter in linear.parameters():
        parameter.mul_(1e4)
    found, checks = judged(linear, digits)
    assert found.verdict == "SUSPECT"
    assert checks["zero_gradient"].result == "suspect"
    assert checks["zero_gradient"].evidence["rate"] > 0.5
    assert checks["margin"].result == checks["unbounded"].result == "suspect"


def test_a_shattered_gradient_is_suspect(linear: nn.Module, digits: Dataset) -> None:
    """Behind rounding, attacks that follow the gradient fail at any budget and Square, which needs none, does not."""
    found, checks = judged(Rounded(linear), digits)
    assert found.verdict == "SUSPECT"
    assert {checks[name].result for name in ("zero_gradient", "black_box", "unbounded")} == {"suspect"}
    assert checks["black_box"].evidence["broken_alone"] > 4
