from gauntlet.spec.attacks import AutoAttack, FgsmAttack, PgdAttack, attack_label, attack_title
from gauntlet.spec.evaluation import EvaluationRequest, EvaluationSpec


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
    assert attack_title(pgd) == "PGD (restarts=3, loss=margin)"


def test_a_request_names_its_checkpoint() -> None:
    """The body of an evaluation's request is an evaluation's spec and a checkpoint's id."""
    body = {"checkpoint": "ckpt_1", "attacks": [{"kind": "fgsm", "eps": "8/255"}], "samples": 7}
    assert EvaluationRequest.model_validate(body).spec() == EvaluationSpec.model_validate(
        {"attacks": body["attacks"], "samples": 7}
    )
