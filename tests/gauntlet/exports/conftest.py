"""A checkpoint, and an evaluation of it whose numbers are known."""

import pytest

from gauntlet.exports.measured import Evaluated
from gauntlet.results.finding import Finding
from gauntlet.results.outcome import Measured, summarise
from gauntlet.spec.checkpoint_card import CheckpointCard, Trained
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from tests.gauntlet.examples import run_spec
from tests.reports import DIGITS, judged


@pytest.fixture
def card() -> CheckpointCard:
    """Of the paper's network after two epochs of a run on digits."""
    return CheckpointCard.model_validate(
        {
            "architecture": {"kind": "cnn"},
            "dataset": {"name": "digits"},
            "classes": DIGITS,
            "image_shape": [1, 16, 16],
            "origin": Trained(spec=run_spec(), epoch=2).model_dump(mode="json"),
        }
    )


@pytest.fixture
def evaluated() -> Evaluated:
    """Of 40 images 30 are right, 20 under FGSM and 9 under AutoAttack."""
    asked = {"attacks": [{"kind": "fgsm", "eps": "8/255"}, {"kind": "autoattack", "eps": "8/255"}], "samples": 40}
    spec = EvaluationSpec.model_validate(asked)
    batches = [
        judged("natural", [True] * 30 + [False] * 10),
        judged("fgsm@8/255", [True] * 20 + [False] * 20),
        judged("autoattack@8/255:apgd-ce", [True] * 9 + [False] * 21),
        *(judged(f"autoattack@8/255:{part}", [True] * 9) for part in ("apgd-t", "fab-t", "square")),
    ]
    softmax = Finding(kind="probabilities", severity="warning", message="It answers with *probabilities*.")
    return Evaluated.of(summarise(spec, batches, Measured("ab" * 32, "digits", "cd" * 32, DIGITS, (softmax,))))
