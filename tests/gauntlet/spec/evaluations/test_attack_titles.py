"""Attacks as a reader knows them."""

from typing import Any

import pytest

from gauntlet.spec.evaluations.attack_titles import attack_heading, attack_name
from gauntlet.spec.evaluations.evaluation import EvaluationSpec


@pytest.mark.parametrize(
    ("attack", "heading"),
    [
        ({"kind": "pgd", "eps": "8/255"}, "PGD 8/255"),
        ({"kind": "pgd", "eps": "8/255", "steps": 20, "loss": "margin"}, "PGD (20 steps, margin) 8/255"),
        ({"kind": "pgd", "eps": "8/255", "steps": 1_000, "step": 0.25}, "PGD (1,000 steps, step 0.25) 8/255"),
        ({"kind": "pgd", "eps": "8/255", "steps": 1, "restarts": 2}, "PGD (1 step, 2 restarts) 8/255"),
        ({"kind": "square", "eps": "0.031", "queries": 20_000}, "Square (20,000 queries) 0.031"),
        ({"kind": "autoattack", "eps": "0.5", "norm": "L2", "version": "plus"}, "AutoAttack (plus) L2 0.5"),
        ({"kind": "transfer", "eps": 0, "source": "ckpt_1", "loss": "cross_entropy"}, "transfer (from ckpt_1) 0"),
    ],
)
def test_a_heading_says_what_departs_from_the_defaults(attack: dict[str, Any], heading: str) -> None:
    """In words, with the budget in its own unit, and with no sign of a program."""
    (found,) = EvaluationSpec.model_validate({"attacks": [attack]}).attacks
    assert attack_heading(found) == heading
    assert not set("=_'{") & set(heading.replace("ckpt_1", ""))


def test_a_name_says_the_norm() -> None:
    """In a sentence the budget is told in full."""
    (found,) = EvaluationSpec.model_validate({"attacks": [{"kind": "fgsm", "eps": "8/255"}]}).attacks
    assert attack_name(found) == "FGSM at ε = 8/255 (L∞)"
