"""The catalog against the spec's classes, found in another way."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel, TypeAdapter

from gauntlet.spec.catalog import Catalog, CatalogEntry, catalog
from gauntlet.spec.evaluations.attacks import AttackKind
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.kinds import Spec
from gauntlet.spec.presets import DESCRIPTIONS, PRESETS
from gauntlet.spec.reading.places import tag_of
from gauntlet.spec.runs.training import TrainingSpec

ENTRIES: dict[str, tuple[CatalogEntry, ...]] = {
    kind: getattr(catalog(), kind) for kind in Catalog.model_fields if kind not in ("object", "presets")
}


def concrete(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """The tag and name of each class of the spec that is told apart by one."""
    for member in model.__subclasses__():
        named = tag_of(member)
        if named is not None and member.__module__.startswith("gauntlet.spec."):
            yield named[0], str(named[1])
        yield from concrete(member)


def test_nothing_is_missing() -> None:
    """Every class of the spec that names itself by a `kind` or `name` is there, and every preset."""
    listed = {(entry.tag, entry.name) for entries in ENTRIES.values() for entry in entries}
    cards = {("kind", "trained"), ("kind", "imported")}  # where a checkpoint comes from, which nobody chooses
    assert set(concrete(Spec)) - cards <= listed
    assert {entry.name for entry in ENTRIES["attacks"]} == set(get_args(AttackKind))
    assert {entry.name for entry in ENTRIES["training_options"]} == {
        name
        for name, field in TrainingSpec.model_fields.items()
        if field.default is None and name != "initial_checkpoint"
    } | {"guard"}
    presets = ExperimentSpec.model_fields["preset"].annotation
    named = {name for literal in get_args(presets) for name in get_args(literal)}
    assert {preset.name for preset in catalog().presets} == set(PRESETS) == set(DESCRIPTIONS) == named


# One's own pictures and networks, a budget without an adversary, a rate that stays, points, examples and ensembles of
# nobody's method.
WITHOUT_A_SOURCE = {
    "image_folder",
    "uploaded",
    "parquet",
    "custom",
    "none",
    "constant",
    "noise",
    "transfer",
    "screen",
    "fast",
}


def test_everything_has_its_source_but_what_is_nobodys() -> None:
    """The work that it is of, with its year."""
    without = {entry.name for entries in ENTRIES.values() for entry in entries if entry.source is None}
    assert without <= WITHOUT_A_SOURCE


def test_everything_is_described() -> None:
    """In a sentence."""
    for entries in ENTRIES.values():
        for entry in entries:
            assert entry.description.endswith("."), entry.name
            assert len(entry.description) < 200, entry.name
    assert next(entry for entry in ENTRIES["attacks"] if entry.name == "pgd").source == "Madry et al. 2018"
    assert next(entry for entry in ENTRIES["objectives"] if entry.name == "a2c").source == "Mnih et al. 2016"
    assert ENTRIES["experiment_options"][0].source == "Li et al. 2020, arXiv 1810.05934"
    assert ENTRIES["training_options"][0].source == "Pascanu et al. 2013"


@pytest.mark.parametrize(
    ("kind", "name", "field", "expected"),
    [
        ("attacks", "pgd", "steps", {"type": "integer", "required": False, "default": 50, "ge": 1, "le": 10_000}),
        ("attacks", "pgd", "loss", {"type": "string", "choices": ("cross_entropy", "margin")}),
        ("attacks", "transfer", "source", {"type": "string", "required": True}),
        ("objectives", "ppo", "clip_range", {"type": "number", "default": 0.2, "gt": 0, "le": 1, "ge": None}),
        ("objectives", "ppo", "normalize_advantage", {"type": "boolean", "default": True}),
        ("objectives", "policy_gradient", "log_prob_floor", {"type": "number or null", "default": None, "lt": 0}),
        ("training_options", "max_grad_norm", "max_grad_norm", {"type": "number or null", "gt": 0, "le": 1_000}),
        ("experiment_options", "sweep", "method", {"default": "grid", "choices": ("grid", "random", "asha")}),
        ("experiment_options", "sweep", "reduction", {"type": "integer", "default": 3, "ge": 2, "le": 10}),
        ("datasets", "image_folder", "image_size", {"type": "integer", "default": 32, "ge": 10}),
    ],
)
def test_a_field_says_what_it_takes(kind: str, name: str, field: str, expected: dict[str, Any]) -> None:
    """Type, default, choices and bounds, as the class has them."""
    (entry,) = (entry for entry in ENTRIES[kind] if entry.name == name)
    (told,) = (each for each in entry.fields if each.name == field)
    assert {key: getattr(told, key) for key in expected} == expected


def test_an_object_has_fields_of_its_own() -> None:
    """Such as a reward."""
    (entry,) = (entry for entry in ENTRIES["objectives"] if entry.name == "ppo")
    (reward,) = (field for field in entry.fields if field.name == "reward")
    assert [field.name for field in reward.fields] == ["correct", "wrong"]
    assert (reward.type, reward.default) == ("object", {"correct": 1.0, "wrong": -1.0})


def test_the_catalog_is_read_back() -> None:
    """By a client, as it was sent; a preset's spec is one."""
    sent = catalog().model_dump_json()
    assert TypeAdapter(Catalog).validate_json(sent).model_dump_json() == sent
    for preset in catalog().presets:
        assert ExperimentSpec.model_validate(preset.spec) == ExperimentSpec.model_validate({"preset": preset.name})
