"""Requests for experiments: merge patches, and what stands beside a spec."""

from typing import Any

import pytest
from pydantic import ValidationError

from gauntlet.spec.asked.requests import ExperimentRequest, LikeRequest, merged
from gauntlet.spec.experiment import ExperimentSpec


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [
        # Of the appendix of RFC 7386, as far as both are objects.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        # Ours: the fields of another type go with it.
        ({"a": {"kind": "x", "b": 1}}, {"a": {"kind": "y"}}, {"a": {"kind": "y"}}),
        ({"a": {"kind": "x", "b": 1}}, {"a": {"kind": "x", "c": 2}}, {"a": {"kind": "x", "b": 1, "c": 2}}),
    ],
)
def test_a_merge_patch_is_applied(document: dict[str, Any], patch: dict[str, Any], result: dict[str, Any]) -> None:
    """As the standard's examples say, but where an object becomes one of another type."""
    before = str(document)
    assert merged(document, patch) == result
    assert str(document) == before


def test_labels_and_notes_stand_beside_the_spec(tiny_document: dict[str, Any]) -> None:
    """The spec is the same with and without them; labels are sorted."""
    asked = ExperimentRequest.model_validate(tiny_document | {"labels": ["b", "a=1"], "notes": "why\n\nbecause"})
    assert asked.spec() == ExperimentSpec.model_validate(tiny_document)
    assert asked.labels == ("a=1", "b")
    preset = ExperimentRequest.model_validate({"preset": "quickstart", "labels": ["x"]})
    assert preset.spec() == ExperimentSpec.model_validate({"preset": "quickstart"})
    assert preset.spec().model_dump_json() == ExperimentSpec.model_validate({"preset": "quickstart"}).model_dump_json()


@pytest.mark.parametrize(
    "beside",
    [
        {"labels": ["a", "a"]},
        {"labels": [""]},
        {"labels": [" a"]},
        {"labels": ["a\nb"]},
        {"labels": ["x" * 81]},
        {"labels": [str(number) for number in range(21)]},
        {"labels": "a"},
        {"notes": "x" * 10_001},
        {"notes": "bell \a"},
        {"notes": 1},
    ],
    ids=lambda beside: str(beside)[:40],
)
def test_labels_and_notes_are_bounded(beside: dict[str, Any]) -> None:
    """Twenty lines of 80 signs, each once; a text of 10,000."""
    with pytest.raises(ValidationError):
        LikeRequest.model_validate({"like": "exp_1"} | beside)
