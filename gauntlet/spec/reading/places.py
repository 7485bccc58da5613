"""Where in a document a fault stands: pydantic's location of it, followed through the models. No torch."""

import types
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel


class Place(NamedTuple):
    """A place in a document, and the models that may stand there: several for a union, none for a plain value."""

    parts: tuple[str | int, ...]
    models: tuple[type[BaseModel], ...]


def find_place(model: type[BaseModel] | None, location: Sequence[str | int]) -> Place:
    """Follow a location from a document's model.

    Pydantic also names the member of a union by its tag, and says `[key]` behind a key that is itself at fault; these
    are no places in the document. Where the models say nothing of a part, it is taken for a place.
    """
    parts: list[str | int] = []
    annotation: Any = model
    is_key = False
    for part in location:
        if is_key and part == "[key]":
            continue
        is_key = get_origin(annotation) is dict
        members = list(_models(annotation))
        if len(members) > 1 and part in (tags := _by_tag(members)):
            annotation = tags[part]
            continue
        parts.append(part)
        annotation = _item(annotation) if isinstance(part, int) else _field(members, part)
    return Place(tuple(parts), tuple(_models(annotation)))


def find_field(model: type[BaseModel], name: str) -> tuple[str, ...] | None:
    """Where a field of that name is in a model's own objects, or in theirs; lists and unions are not looked into."""
    if name in model.model_fields:
        return (name,)
    for field, info in model.model_fields.items():
        inner = list(_models(info.annotation))
        if len(inner) == 1 and _item(info.annotation) is None and (below := find_field(inner[0], name)):
            return (field, *below)
    return None


def tag_of(model: type[BaseModel]) -> tuple[str, object] | None:
    """The field by which a member of a union is told apart, `kind` or `name`, with its one value."""
    for tag in ("kind", "name"):
        field = model.model_fields.get(tag)
        if field is not None and len(get_args(field.annotation)) == 1:
            return tag, get_args(field.annotation)[0]
    return None


def _by_tag(members: Sequence[type[BaseModel]]) -> dict[object, type[BaseModel]]:
    return {tag[1]: member for member in members if (tag := tag_of(member)) is not None}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is Annotated:
        yield from _models(get_args(annotation)[0])
    elif get_origin(annotation) in {Union, types.UnionType}:
        for member in get_args(annotation):
            yield from _models(member)


def _item(annotation: Any) -> Any:
    """What a list holds; None where it is no list."""
    if get_origin(annotation) is Annotated:
        return _item(get_args(annotation)[0])
    if get_origin(annotation) in {Union, types.UnionType}:
        return next((item for member in get_args(annotation) if (item := _item(member)) is not None), None)
    return get_args(annotation)[0] if get_origin(annotation) in {tuple, list} else None


def _field(members: Sequence[type[BaseModel]], name: str) -> Any:
    return next((model.model_fields[name].annotation for model in members if name in model.model_fields), None)
