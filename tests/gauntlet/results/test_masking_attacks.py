"""Which attacks the checks for masked gradients have run: their steps, draws, budgets and sources."""

from fractions import Fraction
from typing import Any

import pytest

from gauntlet.results.masking import masking_attacks
from gauntlet.spec.evaluations.attacks import FgsmAttack, Noise, PgdAttack, Square, Transfer
from gauntlet.spec.evaluations.evaluation import EvaluationSpec


def wanted(*attacks: dict[str, Any], **masking: Any) -> EvaluationSpec:
    return EvaluationSpec.model_validate({"attacks": attacks, "masking": masking})


def test_each_attack_is_as_strong_as_is_told() -> None:
    """docs/evaluation.md: PGD-50 on both losses, Square with 1,000 queries and 10 draws of noise, in one norm."""
    eps = Fraction(1, 2)
    found = masking_attacks(wanted({"kind": "noise", "eps": "0.5", "norm": "L2"}, eps_grows_to=2, sources=["ckpt_a"]))
    assert found == (
        FgsmAttack(eps=eps, norm="L2"),
        *(
            PgdAttack(eps=budget, norm="L2", steps=50, loss=loss)
            for loss in ("cross_entropy", "margin")
            for budget in (eps, 2 * eps)
        ),
        Square(eps=eps, norm="L2", queries=1_000),
        Noise(eps=eps, norm="L2", draws=10),
        Transfer(eps=eps, norm="L2", steps=50, source="ckpt_a"),
    )


def test_gradients_are_averaged_as_often_as_the_evaluation_does_at_most() -> None:
    """Of all its attacks along a gradient, and once where there is none."""
    budgets = {"eps": "8/255"}
    attacks: list[dict[str, Any]] = [
        {"kind": "fgsm", "eot": 2} | budgets,
        {"kind": "pgd", "eot": 5} | budgets,
        {"kind": "noise"} | budgets,
    ]
    found = masking_attacks(wanted(*attacks, sources=["ckpt_a", "ckpt_b"]))
    averaged = [attack.eot for attack in found if isinstance(attack, FgsmAttack | PgdAttack | Transfer)]
    assert averaged == [5] * (1 + 2 * 5 + 2)
    alone = masking_attacks(wanted({"kind": "noise"} | budgets))
    assert {attack.eot for attack in alone if isinstance(attack, FgsmAttack | PgdAttack)} == {1}


@pytest.mark.parametrize(
    ("norm", "eps", "budgets"),
    [
        # Of the most digits that a spec keeps when it is doubled.
        ("Linf", Fraction(1234567890123456789, 10**20), [1, 2, 4, 5]),
        ("L2", Fraction(300), [1, 2, Fraction(10, 3)]),
        ("L2", Fraction(1_000), [1]),
    ],
)
def test_a_budget_grows_exactly_and_up_to_what_a_spec_can_say(
    norm: str, eps: Fraction, budgets: list[int | Fraction]
) -> None:
    """No digit of it is lost, and 1,000 is the largest under L2."""
    found = masking_attacks(wanted({"kind": "fgsm", "eps": str(eps), "norm": norm}, eps_grows_to=5))
    assert [each.eps / eps for each in found if isinstance(each, PgdAttack) and each.loss == "margin"] == budgets
