"""Which accuracies under attack an experiment has, and which of them objectives are compared in."""

from typing import Any

import pytest

from gauntlet.report.columns import Column, columns, headline
from gauntlet.spec.eps import parse_eps
from gauntlet.spec.evaluations.evaluation import EvaluationSpec


def of(*attacks: dict[str, Any]) -> tuple[Column, ...]:
    return columns(EvaluationSpec.model_validate({"attacks": attacks}))


EVERY_KIND: list[dict[str, Any]] = [
    *({"kind": kind} for kind in ("fgsm", "pgd", "apgd-ce", "apgd-t", "fab-t", "square", "autoattack", "noise")),
    {"kind": "transfer", "source": "ckpt_1"},
    {"kind": "autoattack", "version": "rand"},
]


@pytest.mark.parametrize(("norm", "eps", "budget"), [("Linf", "8/255", "8/255"), ("L2", "0.5", "L2 0.5")])
def test_every_kind_of_attack_has_a_column_with_its_budget(norm: str, eps: str, budget: str) -> None:
    """Nine kinds and a version in either norm: headings and keys differ, and each names the budget in its own unit."""
    found = of(*(attack | {"norm": norm, "eps": eps} for attack in EVERY_KIND))
    assert len(found) == len(EVERY_KIND) + 1
    assert len({column.key for column in found}) == len({column.heading for column in found}) == len(found)
    assert all(column.heading.endswith(f" {budget}") for column in found)
    assert all(eps in column.key and eps in column.name for column in found)
    assert found[-1].key == f"worst_case@{'' if norm == 'Linf' else 'L2:'}{eps}"


def test_budgets_stand_together() -> None:
    """A sweep of two attacks: each budget with its attacks and their worst case, in the order asked for."""
    sweep = ["4/255", "8/255"]
    found = of({"kind": "fgsm", "eps": sweep}, {"kind": "pgd", "steps": 20, "eps": sweep}, {"kind": "noise", "eps": 0})
    assert [column.heading for column in found] == [
        "FGSM 4/255",
        "PGD (20 steps) 4/255",
        "worst case 4/255",
        "FGSM 8/255",
        "PGD (20 steps) 8/255",
        "worst case 8/255",
        "random noise 0",
    ]
    assert found[5].name == "the worst of FGSM and PGD (20 steps) at ε = 8/255 (L∞)"
    assert found[5].attacks == ("fgsm@8/255", "pgd(steps=20)@8/255")


@pytest.mark.parametrize(
    ("attacks", "key"),
    [
        ([{"kind": "fgsm", "eps": ["4/255", "8/255", "16/255"]}], "fgsm@8/255"),
        ([{"kind": "fgsm", "eps": "8/255"}, {"kind": "square", "eps": "8/255"}], "worst_case@8/255"),
        ([{"kind": "fgsm", "eps": [0, "2/255", "4/255"]}], "fgsm@4/255"),
        ([{"kind": "pgd", "norm": "L2", "eps": ["0.5", "1", "0.25"]}], "pgd@L2:1"),
        ([{"kind": "pgd", "norm": "L2", "eps": "8/255"}, {"kind": "fgsm", "eps": "2/255"}], "pgd@L2:8/255"),
        ([{"kind": "noise", "eps": 0}], "noise@0"),
        ([{"kind": "fgsm", "eps": 0}, {"kind": "pgd", "norm": "L2", "eps": 1}], "pgd@L2:1"),
    ],
    ids=["training's budget", "worst case there", "largest", "largest in L2", "first norm", "nothing else", "not zero"],
)
def test_objectives_are_compared_at_the_budget_of_training(attacks: list[dict[str, Any]], key: str) -> None:
    """All attacks of that budget together; where it was not asked for, the first norm's largest; never at no budget."""
    assert headline(of(*attacks), "Linf", parse_eps("8/255")).key == key


def test_the_budget_of_training_has_a_norm() -> None:
    """Trained under L2 they are compared there, though a stronger L∞ attack was asked for first."""
    asked = of({"kind": "fgsm", "eps": "8/255"}, {"kind": "pgd", "norm": "L2", "eps": "8/255"})
    assert headline(asked, "L2", parse_eps("8/255")).key == "pgd@L2:8/255"


def test_training_without_an_attack_has_no_budget_to_compare_at() -> None:
    """A network trained at 0 is compared under the largest budget, not at 0."""
    assert headline(of({"kind": "fgsm", "eps": [0, "8/255", "4/255"]}), "Linf", parse_eps(0)).key == "fgsm@8/255"


def test_three_attacks_are_named_and_more_are_counted() -> None:
    """In the name of their worst case."""
    attacks = [{"kind": kind, "eps": "8/255"} for kind in ("fgsm", "apgd-ce", "square", "noise")]
    assert of(*attacks[:3])[-1].name == "the worst of FGSM, APGD-CE and Square at ε = 8/255 (L∞)"
    assert of(*attacks)[-1].name == "the worst of 4 attacks at ε = 8/255 (L∞)"
