"""What a spec can choose among, told by the spec's own classes: a class that is added is listed by itself. No torch.

The description of each is its docstring's first sentence, and its source the work that the docstring names with a year.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict

from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.presets import DESCRIPTIONS, PRESETS
from gauntlet.spec.reading.places import find_place, tag_of
from gauntlet.spec.reproductions import REPRODUCTIONS, Reproduction

# Where in a spec each kind of thing is chosen.
_CHOSEN: Final[Mapping[str, tuple[str | int, ...]]] = {
    "datasets": ("dataset",),
    "architectures": ("architecture",),
    "objectives": ("objectives", 0),
    "adversaries": ("adversary",),
    "optimizers": ("training", "optimizer"),
    "schedules": ("training", "schedule"),
    "attacks": ("evaluation", "attacks", 0),
}
# Fields that an experiment may have or not, each a value or of one class of its own, by where they are.
_OPTIONS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "network_options": (("normalisation",),),
    "training_options": tuple(
        ("training", name) for name in ("max_grad_norm", "augmentation", "grad_align", "awp", "averaging", "guard")
    ),
    "experiment_options": (("sweep",),),
}
_SENTENCE = re.compile(r"(.+?\.)(?= [A-Z`]|$)", re.DOTALL)
_SOURCE = re.compile(r"\(([^()]*?[^()\d]\d{4}[^()]*)\)")


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class CatalogField(_Value):
    """One field: what it takes, and what it is where it is not given (unless it is `required`).

    `type` is of JSON, several joined by `or`; `choices` are all that it takes, where these are few. Of an object
    `fields` are its own. Of a number the bounds are those that it has: `ge` and `le` may be reached, `gt` and `lt` not.
    """

    name: str
    type: str
    required: bool
    default: Any = None
    choices: tuple[Any, ...] = ()
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    description: str = ""
    fields: tuple["CatalogField", ...] = ()


class CatalogEntry(_Value):
    """Something to choose, by the `tag` that names it (`kind`, or `name` for a data set) and its value `name`.

    Of options `name` is the field itself, and there is no tag.
    """

    name: str
    tag: Literal["kind", "name"] | None
    description: str
    source: str | None
    fields: tuple[CatalogField, ...]


class CatalogPreset(_Value):
    """A whole experiment by its name; `spec` is what it stands for, and `reproduces` what it is to come to, if that."""

    name: str
    description: str
    spec: dict[str, Any]
    reproduces: Reproduction | None = None


class Catalog(_Value):
    """All there is to choose, in the order of the spec's classes."""

    object: Literal["catalog"] = "catalog"
    datasets: tuple[CatalogEntry, ...]
    architectures: tuple[CatalogEntry, ...]
    network_options: tuple[CatalogEntry, ...]
    objectives: tuple[CatalogEntry, ...]
    adversaries: tuple[CatalogEntry, ...]
    optimizers: tuple[CatalogEntry, ...]
    schedules: tuple[CatalogEntry, ...]
    training_options: tuple[CatalogEntry, ...]
    experiment_options: tuple[CatalogEntry, ...]
    attacks: tuple[CatalogEntry, ...]
    presets: tuple[CatalogPreset, ...]


@cache
def catalog() -> Catalog:
    """The catalog of this version."""
    chosen = {
        kind: tuple(_entry(model) for model in find_place(ExperimentSpec, place).models)
        for kind, place in _CHOSEN.items()
    }
    options = {kind: tuple(map(_option, places)) for kind, places in _OPTIONS.items()}
    presets = tuple(
        CatalogPreset(
            name=name,
            description=DESCRIPTIONS[name],
            spec=ExperimentSpec.model_validate(preset).model_dump(mode="json"),
            reproduces=REPRODUCTIONS.get(name),
        )
        for name, preset in PRESETS.items()
    )
    return Catalog.model_validate({**chosen, **options, "presets": presets})


def _entry(model: type[BaseModel]) -> CatalogEntry:
    named = tag_of(model)
    assert named is not None, f"{model.__name__} has no kind of its own"
    tag, name = named
    fields = (field for field in _fields_of(model) if field.name != tag)
    return _told(model.__doc__ or "", {"name": name, "tag": tag, "fields": tuple(fields)})


def _option(place: tuple[str, ...]) -> CatalogEntry:
    *above, name = place
    models = find_place(ExperimentSpec, place).models
    if models:
        return _told(models[0].__doc__ or "", {"name": name, "tag": None, "fields": tuple(_fields_of(models[0]))})
    (holder,) = find_place(ExperimentSpec, above).models
    (value,) = (field for field in _fields_of(holder) if field.name == name)
    return _told(value.description, {"name": name, "tag": None, "fields": (value,)})


def _told(about: str, parts: Mapping[str, Any]) -> CatalogEntry:
    told = " ".join(about.split())
    sentence, source = _SENTENCE.match(told), _SOURCE.search(told)
    return CatalogEntry.model_validate(
        {
            "description": sentence[1] if sentence else told,
            "source": source[1] if source else None,
            **parts,
        }
    )


def _fields_of(model: type[BaseModel]) -> Iterator[CatalogField]:
    schema = model.model_json_schema()
    return _fields(schema, schema.get("$defs", {}))


def _fields(schema: Mapping[str, Any], named: Mapping[str, Any]) -> Iterator[CatalogField]:
    required = schema.get("required", ())
    for name, described in schema.get("properties", {}).items():
        members = list(_members(described, named))
        bounds = {bound: value for member in members for bound, value in _bounds(member)}
        yield CatalogField(
            name=name,
            type=" or ".join(dict.fromkeys(filter(None, map(_type, members)))),
            required=name in required,
            default=described.get("default"),
            choices=tuple(choice for member in members for choice in _choices(member)),
            description=described.get("description", ""),
            fields=tuple(field for member in members for field in _fields(member, named)),
            **bounds,
        )


def _members(described: Mapping[str, Any], named: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What a field's schema stands for: one type, or those of a union."""
    if "$ref" in described:
        yield from _members(named[described["$ref"].rpartition("/")[2]], named)
    elif any(several in described for several in ("anyOf", "oneOf", "allOf")):
        for several in ("anyOf", "oneOf", "allOf"):
            for member in described.get(several, ()):
                yield from _members(member, named)
    else:
        yield described


def _type(schema: Mapping[str, Any]) -> str:
    return str(schema.get("type", "")) or ("string" if "const" in schema or "enum" in schema else "")


def _choices(schema: Mapping[str, Any]) -> tuple[Any, ...]:
    return (schema["const"],) if "const" in schema else tuple(schema.get("enum", ()))


def _bounds(schema: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for word, bound in (
        ("minimum", "ge"),
        ("exclusiveMinimum", "gt"),
        ("maximum", "le"),
        ("exclusiveMaximum", "lt"),
    ):
        if word in schema:
            yield bound, schema[word]
