"""Nothing in a document is taken for what it is not."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from gauntlet.spec.checkpoint_card import ImportCard
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.runs.architectures import Cnn, ResNet
from tests.gauntlet.spec.documents import changed, places, whole_documents

_OF_OTHER_TYPES: dict[type, list[Any]] = {
    bool: [0, 1, 1.0, "true", "yes", "1", [True]],
    int: [True, False, "1", "1.0", "", [1], {}, 1.5],
    float: [True, False, "1", "0.5", "1e-3", "", [0.5], {}],
    str: [True, 1, 0.5, [1], {}, {"kind": "fgsm"}],
    list: ["1", 1, True, {}],
    dict: ["digits", 1, True, [], [1]],
}


@pytest.mark.parametrize(("model", "document"), whole_documents(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_value_of_another_type_is_refused(model: type[BaseModel], document: dict[str, Any]) -> None:
    """Every field of every kind: a number is neither text nor true or false, and neither is a number."""
    changes = [
        (place, value, other)
        for place, value in places(document)
        # A budget may be a number or a list, a selection one text.
        if "select" not in place and place[-1:] != ("eps",)
        for other in _OF_OTHER_TYPES.get(type(value), [])
    ]
    assert len(changes) > 50
    assert [change for change in changes if _is_sound(model, changed(document, change[0], change[2]))] == []


def _is_sound(model: type[BaseModel], document: Any) -> bool:
    try:
        model.model_validate(document)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("eps", [True, False, [True], ["8/255", False], None, {}, [[1]]])
def test_a_budget_is_a_number_or_text(eps: Any) -> None:
    """In both places where a spec has one."""
    for change in ({"adversary": {"eps": eps}}, {"evaluation": {"attacks": [{"kind": "fgsm", "eps": eps}]}}):
        with pytest.raises(ValidationError):
            ExperimentSpec.model_validate({"preset": "quickstart"} | change)


def test_a_whole_number_may_stand_for_one_with_a_fraction() -> None:
    """JSON writers drop a fraction of zero."""
    change = {"training": {"optimizer": {"kind": "rmsprop", "lr": 1, "decay": 0}}}
    optimizer = ExperimentSpec.model_validate({"preset": "quickstart"} | change).training.optimizer
    assert (optimizer.lr, optimizer.decay) == (1.0, 0.0)
    assert isinstance(optimizer.lr, float)


@pytest.mark.parametrize("model", [model for model, _ in whole_documents()], ids=lambda model: model.__name__)
def test_every_part_of_a_document_is_bounded(model: type[BaseModel]) -> None:
    """A list has a most, a text a longest, a number a largest, and an object its own fields, or a most of them."""
    schema = model.model_json_schema()
    parts = [part for _, part in places(schema) if isinstance(part, dict) and isinstance(part.get("type"), str)]
    unbounded = [part for part in parts if not _is_bounded(part)]
    assert unbounded == []
    assert len(parts) > 10


def _is_bounded(part: dict[str, Any]) -> bool:
    match part["type"]:
        case "array":
            return part.get("maxItems", 10**9) <= 10_000
        case "object":
            # Of a mapping its writer names the fields.
            return part.get("additionalProperties") is False or part.get("maxProperties", 10**9) <= 100
        case "string":
            is_budget = part.get("pattern", "").startswith("^[0-9]{1,40}(")
            return is_budget or not {"maxLength", "enum", "const"}.isdisjoint(part)
        case "integer":
            return not {"maximum", "enum"}.isdisjoint(part)
        case kind:
            return kind in {"number", "boolean", "null"}  # a number has 64 bits


@pytest.mark.parametrize(
    ("architecture", "side", "fits"), [(Cnn(), 128, True), (Cnn(), 129, False), (ResNet(), 256, True)]
)
def test_a_network_takes_images_of_its_size(architecture: Cnn | ResNet, side: int, fits: bool) -> None:
    """The cnn has a bound of its own, in an experiment, a run and an import alike; the field is named."""
    said: dict[str, Any] = {
        "dataset": {"name": "image_folder", "folder": "pets", "image_size": side},
        "architecture": architecture.model_dump(),
    }
    imported = said | {"name": "mine", "classes": ["cat", "dog"]}
    for model, document in ((ExperimentSpec, {"preset": "quickstart"} | said), (ImportCard, imported)):
        found = faults_of(model, document)
        assert [fault["loc"] for fault in found] == ([] if fits else [("dataset", "image_size")])
        assert all("at most 128 × 128" in fault["msg"] for fault in found)


def faults_of(model: type[BaseModel], document: dict[str, Any]) -> list[Any]:
    try:
        model.model_validate(document)
    except ValidationError as error:
        return list(error.errors())
    return []


@pytest.mark.parametrize(("model", "document"), whole_documents(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_tag_is_required_where_there_is_a_choice(model: type[BaseModel], document: dict[str, Any]) -> None:
    """The schema and what is accepted agree: without its tag nothing of a union is."""
    schema = model.model_json_schema()
    chosen = {ref["$ref"] for _, part in places(schema) for ref in _choices(part)}
    for name, part in schema.get("$defs", {}).items():
        tags = {tag for tag in ("kind", "name") if "const" in part["properties"].get(tag, {})}
        assert tags & set(part.get("required", ())) == (tags if f"#/$defs/{name}" in chosen else set()), name
    without = {
        place: faults_of(model, changed(document, place, {key: kept for key, kept in value.items() if key != "kind"}))
        for place, value in places(document)
        if isinstance(value, dict) and "kind" in value
    }
    assert all(without.values())


def _choices(part: Any) -> list[Any]:
    return part["oneOf"] if isinstance(part, dict) and "discriminator" in part else []
