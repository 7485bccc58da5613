"""YAML that a user wrote, as the plain values that JSON has. No torch.

Plain scalars are read by the JSON schema of YAML 1.2: numbers, true, false and null, and all else is text. So a date, a
time, `8/255`, `no` or `007` is the text that stands there, and `1e-4` is a number, none of which YAML 1.1 says.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from gauntlet.errors import DocumentInvalid
from gauntlet.spec.reading.documents import json_pointer

# Aliases counted as often as they are used: a few lines of them can stand for more values than there is memory.
_MOST_VALUES = 100_000
_DEEPEST = 100
_TOO_DEEP = "The document is nested too deeply."
_TAG = "tag:yaml.org,2002:"
_NOT_FINITE = re.compile(r"[-+]?\.inf|\.nan", re.IGNORECASE)
_WORDS = {
    "found character '\\t' that cannot start any token": "a tab stands where YAML takes only spaces",
    "mapping values are not allowed here": "a colon stands where no field can begin; text that holds one needs quotes",
    "could not find expected ':'": "a field needs a colon and a space after its name",
    "but found another document": "the file holds a second document after a line of ---",
    "expected <block end>, but found '<block mapping start>'": "the line is indented otherwise than its neighbours",
    "expected <block end>, but found '<scalar>'": "something stands after a value that has ended",
    "found unexpected end of stream": "a quoted text is not ended",
    "expected the node content, but found '<stream end>'": "a list in [ ] or an object in { } is not ended",
    "expected ',' or ']', but got '<stream end>'": "a list in [ ] is not ended",
    "expected ',' or '}', but got '<stream end>'": "an object in { } is not ended",
}


@dataclass(frozen=True)
class YamlDocument:
    """The values; the line that each stands in, from 1, and what was written there without quotes, by JSON pointer."""

    values: Any
    lines: dict[str, int]
    written: dict[str, str]


def read_yaml(text: str) -> YamlDocument:
    """Read one document.

    Raises:
        DocumentInvalid: it is not YAML, has a key twice, or holds what JSON cannot: the message names the line.
    """
    reading = _Reading()
    try:
        node = _Loader(text).get_single_node()
        values = None if node is None else reading.value(node, "")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = "" if mark is None else f" at line {mark.line + 1}, column {mark.column + 1}"
        why = str(error.problem or error.context)
        raise DocumentInvalid(f"It is not YAML{where}: {_WORDS.get(why, why)}.") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise DocumentInvalid(f"It is not YAML at line {line}: a character there is not allowed in it.") from error
    if node is None:
        raise DocumentInvalid("It is empty.")
    return YamlDocument(values, reading.lines, reading.written)


class _Loader(yaml.SafeLoader):
    """PyYAML's parser with the resolution of the JSON schema: what matches nothing below is text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  # as the parser has it
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        # How deep Python itself would go is for other libraries to say, and they do.
        self._depth += 1
        if self._depth > _DEEPEST + 1:
            raise DocumentInvalid(_TOO_DEEP)
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


for _tag, _pattern, _first in (
    ("null", r"null|Null|NULL|~|", ["n", "N", "~", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"{_TAG}{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first)


class _Reading:
    """Nodes made values, which are counted on the way."""

    def __init__(self) -> None:
        self.lines: dict[str, int] = {}
        self.written: dict[str, str] = {}
        self._values = 0

    def value(self, node: yaml.Node, place: str) -> Any:
        self._count(place)
        self.lines.setdefault(place, _line(node))
        match node:
            case yaml.MappingNode(tag=tag) if tag == f"{_TAG}map":
                return self._fields(node, place)
            case yaml.SequenceNode(tag=tag) if tag == f"{_TAG}seq":
                return [self.value(item, place + json_pointer([index])) for index, item in enumerate(node.value)]
            case yaml.ScalarNode(style=style, value=text):
                if style is None:
                    self.written[place] = text
                return _scalar(node, place)
            case _:
                raise _fault(node, place, f"The tag {_short(node.tag)} means nothing here")

    def _fields(self, node: yaml.MappingNode, place: str, merges: int = 0) -> dict[str, Any]:
        self._count(place)
        if merges > _DEEPEST:
            raise DocumentInvalid(_TOO_DEEP)
        fields: dict[str, Any] = {}
        own: dict[str, int] = {}
        for merged in _merged(node, place):
            fields = self._fields(merged, place, merges + 1) | fields
        for key, value in node.value:
            if _is_merge(key):
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise _fault(key, place, "A field's name must be text, not a list or an object")
            name = str(key.value)
            below = place + json_pointer([name])
            if name in own:
                raise _given_twice(below, own[name], _line(key))
            own[name] = self.lines[below] = _line(key)
            fields[name] = self.value(value, below)
        return fields

    def _count(self, place: str) -> None:
        self._values += 1
        if self._values > _MOST_VALUES:
            raise DocumentInvalid(f"It has more than {_MOST_VALUES} values, an alias (*) counted each time it is used.")
        if place.count("/") > _DEEPEST:
            raise DocumentInvalid(_TOO_DEEP)


def _merged(node: yaml.MappingNode, place: str) -> Iterator[yaml.MappingNode]:
    """What `<<` names: fields that the object has too, unless it says them itself; of several the first counts."""
    for key, value in node.value:
        if not _is_merge(key):
            continue
        for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            if not isinstance(merged, yaml.MappingNode):
                raise _fault(merged, place, "What << takes over must be an object")
            yield merged


def _is_merge(key: yaml.Node) -> bool:
    return isinstance(key, yaml.ScalarNode) and key.style is None and key.value == "<<"


def _scalar(node: yaml.ScalarNode, place: str) -> str | float | bool | None:
    text = str(node.value)
    if node.style is None and _NOT_FINITE.fullmatch(text):
        raise _fault(node, place, f"{text} is nothing that a field can hold")
    try:
        match node.tag.removeprefix(_TAG):
            case "str":
                return text
            case "null":
                return None
            case "bool":
                return {"true": True, "false": False}[text.lower()]
            case "int":
                return int(text)
            case "float":
                return _finite(text)
    except (KeyError, ValueError) as error:
        raise _fault(node, place, f"{text[:40]} is nothing that a field can hold") from error
    raise _fault(node, place, f"The tag {_short(node.tag)} means nothing here")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _given_twice(place: str, first: int, second: int) -> DocumentInvalid:
    lines = f"line {first}" if first == second else f"lines {first} and {second}"
    return DocumentInvalid(f"The field is given twice, in {lines}.", place)


def _fault(node: yaml.Node, place: str, why: str) -> DocumentInvalid:
    return DocumentInvalid(f"{why} (line {_line(node)}).", place)


def _line(node: yaml.Node) -> int:
    line: int = node.start_mark.line
    return line + 1


def _short(tag: str) -> str:
    return f"!!{tag.removeprefix(_TAG)}" if tag.startswith(_TAG) else tag
