"""What is wrong with a document is told in plain words, at its place, and in bounded length."""

import re
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from gauntlet.spec.checkpoint_card import ImportCard
from gauntlet.spec.evaluations.evaluation import EvaluationRequest
from gauntlet.spec.evaluations.transfers import TransferRequest
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.reading.documents import json_pointer
from gauntlet.spec.reading.messages import MOST_FAULTS, faults
from tests.gauntlet.spec.documents import changed, places, whole_documents

# As pydantic says it, or as Python calls it.
_PROGRAMMERS_WORDS = re.compile(
    r"Input|tuple|dictionary|instance|discriminator|should|match|pattern|pydantic|NoneType|<class|None\b|True\b|False\b"
)
_WRONG: list[Any] = [
    None, True, -1, 0, 8, 0.5, 10**30, 10**3_000, float("nan"), float("inf"),
    "", "x", "8/0", "a\nb", "\ud800", "y" * 5_000, [], ["x"], [None], [[]], ["x"] * 2_000,
    {}, {"kind": "x"}, {"kind": 1}, {"kind": None}, {"name": "x"}, {"x": 1},
]  # fmt: skip


def told(model: type[BaseModel], document: Any) -> list[tuple[str, str]]:
    """Pointers and messages; none where the document is sound."""
    try:
        model.model_validate(document)
    except ValidationError as error:
        return [tuple(fault) for fault in faults(error.errors(), model)]
    return []


@pytest.mark.parametrize(("model", "document"), whole_documents(), ids=lambda value: getattr(value, "__name__", ""))
def test_every_fault_is_told_in_plain_words_at_its_place(model: type[BaseModel], document: dict[str, Any]) -> None:
    """Whatever stands wherever: the pointer leads there, below it, or to an object around it."""
    assert told(model, document) == []
    kinds = 0
    for place, _ in places(document):
        for wrong in _WRONG:
            found = told(model, changed(document, place, wrong))
            kinds += bool(found)
            assert len(found) <= MOST_FAULTS
            here = json_pointer(place)
            for pointer, message in found:
                assert not _PROGRAMMERS_WORDS.search(message), (place, wrong, message)
                assert 10 < len(message) <= 300
                assert (pointer + message).encode()
                assert f"{here}/".startswith(f"{pointer}/") or pointer.startswith(f"{here}/") or wrong, (place, message)
    assert kinds > 10 * len(list(places(document)))


@pytest.mark.parametrize(
    ("change", "pointer", "message"),
    [
        ({"training": {"epochs": "1"}}, "/training/epochs", 'This must be a whole number, not the text "1".'),
        ({"training": {"epochs": 1.5}}, "/training/epochs", "This must be a whole number, not 1.5."),
        ({"training": {"epochs": 0}}, "/training/epochs", "This must be at least 1, not 0."),
        ({"training": {"epochs": None}}, "/training/epochs", "This must be a whole number, not null."),
        ({"training": {"epohcs": 1}}, "/training/epohcs", "There is no such field; did you mean epochs?"),
        ({"epochs": 1}, "/epochs", "There is no such field here; did you mean training.epochs?"),
        ({"training": []}, "/training", "This must be an object with fields of its own, not a list."),
        ({"seeds": 1}, "/seeds", "This must be a list, not 1."),
        ({"seeds": [False]}, "/seeds/0", "This must be a whole number, not false."),
        ({"seeds": [0] * 101}, "/seeds", "This list may hold at most 100, and holds 101."),
        ({"seeds": [3, 1, 3]}, "/seeds", "This list holds 3 more than once."),
        ({"objectives": [{"kind": "ppo"}] * 2}, "/objectives", "objectives lists ppo more than once"),
        ({"evaluation": {"select": ["last", "last"]}}, "/evaluation/select", "This list holds last more than once."),
        ({"objectives": []}, "/objectives", "This list must hold at least 1."),
        ({"objectives": [{"kind": "ppo", "ppo": 1}]}, "/objectives/0/ppo", "There is no such field; there are kind,"),
        (
            {"objectives": [{"kind": "policy-gradient"}]},
            "/objectives/0",
            "expected_reward, a2c, ppo and dqn. Did you mean policy_gradient?",
        ),
        ({"objectives": [{}]}, "/objectives/0", "This needs a kind: cross_entropy, trades, mart, policy_gradient,"),
        ({"dataset": {"name": "pets"}}, "/dataset", 'There is no name "pets"; there are digits, cifar10, cifar100,'),
        (
            {"training": {"mix": "hafl"}},
            "/training/mix",
            'This must be adversarial, half or both, not the text "hafl". Did you mean half?',
        ),
        ({"adversary": {"kind": "pdg", "eps": 0}}, "/adversary", "there are none, fgsm, fgsm_rs, n_fgsm and pgd."),
        ({"adversary": {"eps": 8}}, "/adversary/eps", "the range of a pixel; did you mean 8/255?"),
        ({"evaluation": {"attacks": [{"kind": "pgd", "eps": [16]}]}}, "/evaluation/attacks/0/eps", "mean 16/255?"),
        ({"evaluation": {"attacks": [{"kind": "pgd", "eps": 2.5}]}}, "/evaluation/attacks/0/eps", "range of a pixel"),
        ({"name": "a\tb"}, "/name", "This text must not hold line breaks, tabs or other control characters."),
        ({"name": ""}, "/name", "This text must not be empty."),
        ({"name": "x" * 201}, "/name", "This text may have at most 200 characters."),
        ({"dataset": {"name": "image_folder", "folder": "a/b"}}, "/dataset/folder", "the name of one folder"),
        ({"training": {"initial_checkpoint": "run_1"}}, "/training/initial_checkpoint", "the id of a checkpoint"),
        ({"sweep": {"over": {"seeds": [1]}}}, "/sweep/over/seeds", "Seeds have their own list."),
        (
            {"architecture": {"kind": "custom", "name": "x", "options": {"a b": 1}}},
            "/architecture/options/a b",
            "This must be a name of letters, digits",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_told_so_that_it_can_be_mended(change: dict[str, Any], pointer: str, message: str) -> None:
    """What it must be, what was given instead, and what was probably meant."""
    ((found, sentence),) = told(ExperimentSpec, {"preset": "quickstart"} | change)
    assert found == pointer
    assert message in sentence


def test_what_is_missing_is_named() -> None:
    """Each of the required fields."""
    assert [pointer for pointer, _ in told(ExperimentSpec, {})] == ["/dataset", "/objectives", "/adversary"]
    assert {message for _, message in told(ExperimentSpec, {})} == {"This field is required."}


@pytest.mark.parametrize("many", [40, 3_000])
def test_what_is_told_does_not_grow_with_what_is_wrong(many: int) -> None:
    """Very many unknown fields, list items and classes: pydantic itself finds few faults, whatever their number."""
    unknown = {f"field{number}": 0 for number in range(many)}
    experiment, evaluation, transfers, card = (document for _, document in whole_documents())
    for model, document in (
        (ExperimentSpec, experiment | unknown),
        (ExperimentSpec, experiment | {"objectives": [{"kind": "ppo"} | unknown]}),
        (ExperimentSpec, experiment | {"evaluation": evaluation | {"select": [1] * many}}),
        (ExperimentSpec, experiment | {"seeds": [None] * 10 * many}),
        (EvaluationRequest, evaluation | {"attacks": [{"kind": "pgd", "eps": [None] * 10 * many}]}),
        (EvaluationRequest, evaluation | {"masking": {"sources": [1] * many}}),
        (TransferRequest, transfers | {"checkpoints": [1] * many}),
        (ExperimentSpec, experiment | {"objectives": [1] * 10 * many}),
        (ImportCard, card | {"classes": [1] * many}),
        (ImportCard, card | {"normalisation": {"mean": [None] * many, "std": unknown}}),
    ):
        with pytest.raises(ValidationError) as refused:
            model.model_validate(document)
        assert refused.value.error_count() <= MOST_FAULTS + 4
