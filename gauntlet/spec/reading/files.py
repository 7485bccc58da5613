"""Specs and cards in files, YAML or JSON: the one place where what a user wrote becomes values. No torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from gauntlet.errors import DocumentInvalid
from gauntlet.spec.reading.documents import json_pointer, read_json
from gauntlet.spec.reading.places import find_place
from gauntlet.spec.reading.yaml_documents import YamlDocument, read_yaml

# What the service takes as a body.
_MOST_BYTES = 1 << 20


class SpecFile:
    """The fields that a file holds, and where in it each stands."""

    def __init__(self, file: Path, fields: dict[str, Any], lines: Mapping[str, int]) -> None:
        self.file = file
        self.fields = fields
        self._lines = lines

    def tell(self, pointer: str, message: str) -> str:
        """The message with its place: the file, the line of the field or of what it is missing from, the pointer."""
        place = pointer
        while place and place not in self._lines:
            place = place.rpartition("/")[0]
        parts = [str(self.file)]
        if place:
            parts.append(f"line {self._lines[place]}")
        if pointer:
            parts.append(pointer)
        return f"{', '.join(parts)}: {message}"


def read_file(file: Path, kind: type[BaseModel]) -> SpecFile:
    """What the file holds, meant for `kind`, which looks at it later: JSON by its name `.json`, else YAML.

    Where a field of `kind` is text, so is what stands there without quotes: `name: 2026` and `classes: [0, 1]`.

    Raises:
        DocumentInvalid: it cannot be read, or is not an object; one sentence with the file, and the line and the field
            where there is one.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
        document = _read(content, is_json=file.suffix.lower() == ".json")
    except OSError as error:
        raise DocumentInvalid(f"{file} cannot be read: {error.strerror or error}.") from error
    except DocumentInvalid as error:
        raise DocumentInvalid(SpecFile(file, {}, {}).tell(error.pointer, str(error)), error.pointer) from error
    _take_as_text(document, kind)
    return SpecFile(file, document.values, document.lines)


def _read(content: bytes, *, is_json: bool) -> YamlDocument:
    if len(content) > _MOST_BYTES:
        raise DocumentInvalid(f"It is larger than {_MOST_BYTES >> 20} MiB, which no spec is.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DocumentInvalid(f"It is not UTF-8 text: line {line} holds a byte that is none of it.") from error
    document = _read_json(text) if is_json else read_yaml(text)
    if not isinstance(document.values, dict):
        raise DocumentInvalid("It holds no fields such as `name: value`.")
    return document


def _read_json(text: str) -> YamlDocument:
    """JSON, whose lines are those of the YAML that it also is; only its tabs, which are mere space, are not."""
    as_yaml = text.replace("\t", " ")
    try:
        values = read_json(text)
    except DocumentInvalid as error:
        if error.pointer:
            read_yaml(as_yaml)  # refuses it too, and names the lines
        raise
    try:
        lines = read_yaml(as_yaml).lines
    except DocumentInvalid:
        lines = {}  # such as NaN, which whoever looks at the fields tells
    return YamlDocument(values, lines, written={})


def _take_as_text(document: YamlDocument, kind: type[BaseModel]) -> None:
    try:
        kind.model_validate(document.values)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_context=False, include_input=False):
            if fault["type"] == "string_type":
                _put_text(document, find_place(kind, fault["loc"]).parts)


def _put_text(document: YamlDocument, place: tuple[str | int, ...]) -> None:
    """Put what was written at a place; of a list's item at all of them, as only the first faulty one is told."""
    *above, last = place
    inside = document.values
    for part in above:
        inside = inside[part]
    for part in range(len(inside)) if isinstance(inside, list) else [last]:
        written = document.written.get(json_pointer([*above, part]))
        if written is not None and inside[part] is not None:
            inside[part] = written
