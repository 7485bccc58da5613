"""Attacks as a reader knows them."""

from typing import Any, get_args

import pytest

from gauntlet.spec.evaluations.attack_titles import _KINDS, attack_heading, attack_name, attack_title
from gauntlet.spec.evaluations.evaluation import EvaluationSpec


@pytest.mark.parametrize(
    ("attack", "heading"),
    [
        ({"kind": "pgd", "eps": "8/255"}, "PGD 8/255"),
        ({"kind": "pgd", "eps": "8/255", "steps": 20, "loss": "margin"}, "PGD (20 steps, margin) 8/255"),
        ({"kind": "pgd", "eps": "8/255", "steps": 1_000, "step": 0.25}, "PGD (1,000 steps, step 0.25) 8/255"),
        ({"kind": "pgd", "eps": "8/255", "steps": 1, "step": 0.2500001}, "PGD (1 step, step 0.2500001) 8/255"),
        ({"kind": "pgd", "eps": "8/255", "steps": 1, "restarts": 2}, "PGD (1 step, 2 restarts) 8/255"),
        ({"kind": "square", "eps": "0.031", "queries": 20_000}, "Square (20,000 queries) 0.031"),
        ({"kind": "autoattack", "eps": "0.5", "norm": "L2", "version": "plus"}, "AutoAttack (plus) L2 0.5"),
        ({"kind": "fast", "eps": "8/255", "version": 2}, "fast (version 2) 8/255"),
        ({"kind": "fast", "eps": "8/255", "version": 3, "eot": 20}, "fast (EOT 20, version 3) 8/255"),
        ({"kind": "mm", "eps": "8/255", "targets": 1, "loss": "scaled"}, "MM (1 target, scaled) 8/255"),
        ({"kind": "transfer", "eps": 0, "source": "ckpt_1", "loss": "cross_entropy"}, "transfer (from ckpt_1) 0"),
    ],
)
def test_a_heading_says_what_departs_from_the_defaults(attack: dict[str, Any], heading: str) -> None:
    """In words, with the budget in its own unit, and with no sign of a program."""
    (found,) = EvaluationSpec.model_validate({"attacks": [attack]}).attacks
    assert attack_heading(found) == heading
    assert not set("=_'{") & set(heading.replace("ckpt_1", ""))


def test_a_number_is_said_of_what_it_counts() -> None:
    """Of each field of each attack: so many of what is counted, and behind the word where nothing is."""
    said = {}
    for kind in _KINDS:
        attack: dict[str, Any] = {"kind": kind, "eps": "8/255"} | ({"source": "ckpt_1"} if kind == "transfer" else {})
        (plain,) = EvaluationSpec.model_validate({"attacks": [attack]}).attacks
        for field, info in type(plain).model_fields.items():
            if field != "eps" and isinstance(info.default, int):
                # Of versions the last: there may be none behind the first.
                other = (info.default + 1, *get_args(info.annotation))[-1]
                (changed,) = EvaluationSpec.model_validate({"attacks": [attack | {field: other}]}).attacks
                title = attack_title(changed).removeprefix(attack_title(plain).removesuffix(")"))
                said[field] = title.strip(" (),").replace(str(other), "N").replace("5,001", "N")
    assert said == {
        "draws": "N draws",
        "eot": "EOT N",
        "queries": "N queries",
        "restarts": "N restarts",
        "steps": "N steps",
        "targets": "N targets",
        "version": "version N",
    }


def test_a_name_says_the_norm() -> None:
    """In a sentence the budget is told in full."""
    (found,) = EvaluationSpec.model_validate({"attacks": [{"kind": "fgsm", "eps": "8/255"}]}).attacks
    assert attack_name(found) == "FGSM at ε = 8/255 (L∞)"
