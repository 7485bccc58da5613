"""What MLflow calls an attack's accuracy: a name that it takes, and another for each attack."""

import posixpath
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any, get_args

import pytest

from gauntlet.exports.trackers import mlflow_name
from gauntlet.spec.evaluations.attacks import AnyAttack, attack_label
from gauntlet.spec.evaluations.evaluation import EvaluationSpec

_BUDGETS = ({"eps": "8/255"}, {"eps": "0.0123"}, {"eps": "0.5", "norm": "L2"})
# Of each field a value that is not its default; behind a kind, that of this kind alone.
_OTHER: dict[str, Any] = {
    "eot": 20,
    "restarts": 5,
    "steps": 7,
    "step": 0.00025,
    "queries": 17,
    "draws": 3,
    "targets": 2,
    "loss": "margin",
    "mm loss": "scaled",
    "version": 3,
    "autoattack version": "rand",
}


def _departures(kind: str, fields: frozenset[str]) -> Iterator[dict[str, Any]]:
    """Of none of the fields, of each, of each two and of all."""
    chosen = {name: _OTHER.get(f"{kind} {name}", _OTHER.get(name)) for name in sorted(fields)}
    assert None not in chosen.values(), f"{kind} has a field that this test knows no other value of."
    for count in {0, 1, 2, len(chosen)}:
        for names in combinations(chosen, count):
            yield {name: chosen[name] for name in names}


def _attacks() -> Iterator[AnyAttack]:
    for of_kind in get_args(AnyAttack):
        kind = of_kind.model_fields["kind"].default
        fields = frozenset(of_kind.model_fields) - {"kind", "eps", "norm", "source"}
        source = {"source": "ckpt_01hzy"} if "source" in of_kind.model_fields else {}
        for departure in _departures(kind, fields):
            for budget in _BUDGETS:
                if kind != "pma" or "norm" not in budget:
                    spec = {"attacks": [{"kind": kind} | budget | source | departure]}
                    yield from EvaluationSpec.model_validate(spec).attacks


LABELS = ["natural", *dict.fromkeys(attack_label(attack) for attack in _attacks())]
NAMES = [mlflow_name(label) for label in LABELS]


def _takes(name: str) -> bool:
    """As `validate_param_and_metric_name`, `path_not_unique` and the length's bound in MLflow 3's `utils/validation`.

    Names become files where a store is one of files, so they are to be paths as they stand.
    """
    path = posixpath.normpath(name)
    unique = path == name and path != "." and not path.startswith(("..", "/"))
    return unique and len(name) <= 250 and re.match(r"^[/\w.\- :]*$", name) is not None


def test_mlflow_takes_every_attacks_name() -> None:
    """It refused those of attacks that are not their kind's default, at the end of a run that it had followed."""
    assert [name for name in NAMES if not _takes(name)] == []
    # The labels themselves it does not take, for each has its budget behind an @.
    assert [label for label in LABELS if _takes(label)] == ["natural"]


def test_mlflows_own_check_takes_them() -> None:
    """Where somebody has it: MLflow brings 20 packages of 88 MB."""
    validation = pytest.importorskip("mlflow.utils.validation")
    for name in NAMES:
        validation._validate_metric(name, 0.5, 0, 1)
    with pytest.raises(validation.MlflowException, match="Names may only contain"):
        validation._validate_metric(f"evaluation/{LABELS[1]}", 0.5, 0, 1)


def test_two_attacks_have_two_names() -> None:
    """Of one name for both, the later would be taken for another step of the first."""
    assert len(set(NAMES)) == len(LABELS) > 200


def test_names_are_read_as_the_labels_are() -> None:
    """Words in the place of the characters that it refuses."""
    labels = [
        "natural",
        "fgsm@8/255",
        "pgd(steps=20)@8/255",
        "pgd(steps=20, restarts=5)@L2:0.5",
        "transfer(source=ckpt_1)@8/255",
        "screen(version=3)@8/255",
        "pgd(step=0.25, loss=margin)@8/255",
    ]
    assert [mlflow_name(label) for label in labels] == [
        "evaluation/natural",
        "evaluation/fgsm at 8/255",
        "evaluation/pgd steps 20 at 8/255",
        "evaluation/pgd steps 20 restarts 5 at L2:0.5",
        "evaluation/transfer source ckpt_1 at 8/255",
        "evaluation/screen version 3 at 8/255",
        "evaluation/pgd step 0.25 loss margin at 8/255",
    ]
