import copy

import pytest

from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.presets import PRESETS, overlay


def test_an_overlay_goes_field_by_field() -> None:
    """Nested fields that the override does not name keep the base's value."""
    base = {"a": {"kind": "x", "lr": 1, "decay": 2}, "b": 3}
    assert overlay(base, {"a": {"lr": 5}}) == {"a": {"kind": "x", "lr": 5, "decay": 2}, "b": 3}


def test_lists_are_replaced_whole() -> None:
    """A list in the override takes the place of the base's."""
    assert overlay({"seeds": [0, 1]}, {"seeds": [2]}) == {"seeds": [2]}


@pytest.mark.parametrize("tag", ["kind", "name"])
def test_another_type_replaces_the_object_whole(tag: str) -> None:
    """An object of another kind or data set inherits no field of the base's."""
    base = {"part": {tag: "x", "lr": 1}}
    assert overlay(base, {"part": {tag: "y", "rho": 2}}) == {"part": {tag: "y", "rho": 2}}
    assert overlay(base, {"part": {tag: "x", "rho": 2}}) == {"part": {tag: "x", "lr": 1, "rho": 2}}


def test_a_value_may_take_an_objects_place() -> None:
    """Where only one side is an object, the override's value stands."""
    assert overlay({"a": {"b": 1}}, {"a": None}) == {"a": None}
    assert overlay({"a": None}, {"a": {"b": 1}}) == {"a": {"b": 1}}


@pytest.mark.parametrize("name", PRESETS)
def test_reading_a_preset_leaves_it_as_it_is(name: str) -> None:
    """Neither reading nor overriding a preset changes it for the next request."""
    before = copy.deepcopy(PRESETS[name])
    ExperimentSpec.model_validate({"preset": name, "training": {"epochs": 1, "optimizer": {"lr": 0.5}}})
    assert PRESETS[name] == before


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_whole_spec(name: str) -> None:
    """A preset is valid on its own and carries its own name."""
    assert ExperimentSpec.model_validate(PRESETS[name]).name == name
