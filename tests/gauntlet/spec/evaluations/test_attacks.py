from typing import get_args

import pytest
from pydantic import ValidationError

from gauntlet.spec.evaluations.attacks import AnyAttack, AttackKind, AutoAttack, FgsmAttack, PgdAttack, attack_label
from gauntlet.spec.evaluations.evaluation import EvaluationRequest, EvaluationSpec


def test_every_kind_of_attack_is_listed() -> None:
    """What a filter may name is what a spec may hold."""
    assert list(get_args(AttackKind)) == [model.model_fields["kind"].default for model in get_args(AnyAttack)]


def test_an_attack_is_labelled_with_its_exact_budget() -> None:
    """Two budgets of one attack have different labels, two spellings of one budget the same."""
    assert attack_label(FgsmAttack.model_validate({"eps": "8/255"})) == "fgsm@8/255"
    assert attack_label(AutoAttack.model_validate({"eps": "0.031"})) == "autoattack@0.031"
    assert attack_label(FgsmAttack.model_validate({"eps": 0.2})) == attack_label(
        FgsmAttack.model_validate({"eps": "1/5"})
    )


def test_a_list_of_budgets_is_one_attack_for_each() -> None:
    """A sweep is a shorthand of the request: the spec holds one attack per budget, in order, among the others."""
    sweep = {"kind": "pgd", "steps": 20, "eps": ["2/255", "4/255"]}
    spec = EvaluationSpec.model_validate({"attacks": [{"kind": "fgsm", "eps": "8/255"}, sweep]})
    assert [attack_label(attack) for attack in spec.attacks] == [
        "fgsm@8/255",
        "pgd(steps=20)@2/255",
        "pgd(steps=20)@4/255",
    ]
    assert EvaluationSpec.model_validate_json(spec.model_dump_json()) == spec


def test_attacks_are_named_by_what_sets_them_apart() -> None:
    """Norm and budget are in a label always, other fields where they depart from the default."""
    pgd = PgdAttack.model_validate({"eps": "0.5", "norm": "L2", "restarts": 3, "loss": "margin"})
    assert attack_label(pgd) == "pgd(restarts=3, loss=margin)@L2:0.5"


def test_a_request_names_its_checkpoint() -> None:
    """The body of an evaluation's request is an evaluation's spec and a checkpoint's id."""
    body = {"checkpoint": "ckpt_1", "attacks": [{"kind": "fgsm", "eps": "8/255"}], "samples": 7}
    assert EvaluationRequest.model_validate(body).spec() == EvaluationSpec.model_validate(
        {"attacks": body["attacks"], "samples": 7}
    )


def test_a_faulty_attack_is_named_where_it_was_written() -> None:
    """A list of budgets before it moves no place, and a faulty budget is named within its list."""
    sweep = {"kind": "pgd", "eps": ["2/255", "4/255", "8/255"]}
    faulty = [{"kind": "fgsm", "eps": "x"}, sweep | {"eps": [1, "8/0"]}, sweep | {"steps": 0}, {"kind": "magic"}]
    with pytest.raises(ValidationError) as refused:
        EvaluationSpec.model_validate({"attacks": [sweep, *faulty]})
    assert [error["loc"] for error in refused.value.errors()] == [
        ("attacks", 1, "fgsm", "eps"),
        ("attacks", 2, "eps", 1),
        ("attacks", 3, "pgd", "steps"),
        ("attacks", 4),
    ]


def test_budgets_count_as_attacks() -> None:
    """A list of budgets takes as much of the bound as it has attacks."""
    budgets = [f"{level}/255" for level in range(1, 101)]
    sweep = {"kind": "pgd", "eps": budgets}
    assert len(EvaluationSpec.model_validate({"attacks": [sweep]}).attacks) == 100
    for attacks in ([sweep, {"kind": "fgsm", "eps": "1/255"}], [sweep | {"eps": [*budgets, "101/255"]}]):
        with pytest.raises(ValidationError, match="at most 100") as refused:
            EvaluationSpec.model_validate({"attacks": attacks})
        assert [error["loc"] for error in refused.value.errors()] == [("attacks",)]


@pytest.mark.parametrize("budgets", [100, 1_000])
def test_a_faulty_sweep_is_told_once(budgets: int) -> None:
    """Unknown fields beside a list of budgets are not multiplied by it, so a short request costs little."""
    junk = {f"field{number}": 0 for number in range(1_000)}
    sweep = {"kind": "pgd", "eps": [f"{level}/1000" for level in range(budgets)]} | junk
    with pytest.raises(ValidationError) as refused:
        EvaluationSpec.model_validate({"attacks": [sweep]})
    assert refused.value.error_count() <= len(junk)


def test_pma_is_defined_for_linf_alone() -> None:
    """Another norm is refused at its field."""
    with pytest.raises(ValidationError) as refused:
        EvaluationSpec.model_validate({"attacks": [{"kind": "pma", "eps": "0.5", "norm": "L2"}]})
    assert [error["loc"] for error in refused.value.errors()] == [("attacks", 0, "pma", "norm")]
