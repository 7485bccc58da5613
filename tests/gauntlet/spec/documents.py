"""One document for each model that a request may hold, in which every field of every kind is written out."""

import copy
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

from gauntlet.spec.checkpoint_card import ImportCard
from gauntlet.spec.evaluations.attacks import AnyAttack
from gauntlet.spec.evaluations.evaluation import EvaluationRequest
from gauntlet.spec.evaluations.transfers import TransferRequest
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.runs.objectives import AgentSpec, LossSpec

Place = tuple[str | int, ...]


def whole_documents() -> list[tuple[type[BaseModel], dict[str, Any]]]:
    attacks = [
        {"kind": kind, "eps": "8/255"} | ({"source": "ckpt_1"} if kind == "transfer" else {})
        for kind in _kinds(AnyAttack)
    ]
    evaluation = {"attacks": attacks, "masking": {"sources": ["ckpt_1", "ckpt_2"]}}
    experiment = {
        "dataset": {"name": "image_folder", "folder": "pets", "train_samples": 100},
        "objectives": [{"kind": kind} for kind in _kinds(LossSpec | AgentSpec)],
        "normalisation": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
        "adversary": {"kind": "fgsm", "eps": "8/255"},
        "training": {"initial_checkpoint": "ckpt_1"},
        "evaluation": evaluation | {"select_on": "validation", "validation_samples": 10, "select": ["last"]},
    }
    card = {
        "name": "theirs",
        "architecture": {"kind": "cnn"},
        "dataset": {"name": "image_folder", "folder": "pets"},
        "classes": ["cat", "dog"],
        "image_shape": [3, 32, 32],
        "normalisation": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
    }
    requests: list[tuple[type[BaseModel], dict[str, Any]]] = [
        (ExperimentSpec, experiment),
        (EvaluationRequest, evaluation | {"checkpoint": "ckpt_3"}),
        (TransferRequest, {"checkpoints": ["ckpt_1", "ckpt_2"]}),
        (ImportCard, card),
    ]
    return [(model, model.model_validate(document).model_dump(mode="json")) for model, document in requests]


def _kinds(union: Any) -> list[str]:
    return [model.model_fields["kind"].default for model in get_args(union)]


def places(document: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every value of a document with its place."""
    yield place, document
    within = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in within:
        yield from places(value, (*place, key))


def changed(document: Any, place: Place, value: Any) -> Any:
    """The document with another value at a place."""
    if not place:
        return value
    other = copy.copy(document)
    other[place[0]] = changed(document[place[0]], place[1:], value)
    return other
