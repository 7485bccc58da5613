"""JSON that anyone may send, as plain values: UTF-8, every key once, and bounded before it is decoded. No torch."""

import json
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gauntlet.errors import DocumentInvalid

# A card with 10,000 classes, some with commas in their names, is the longest document that means anything. Measured: an
# object of 75,000 fields kept everything else from running for 60 ms.
_MOST_VALUES = 40_000
_MOST_OBJECTS = 10_000

_WORDS = {
    "Expecting value": "a value is expected here",
    "Expecting property name enclosed in double quotes": "a field's name in double quotes is expected here",
    "Expecting ',' delimiter": "a comma or the end of the list or object is expected here",
    "Expecting ':' delimiter": "a colon is expected here",
    "Extra data": "the document has ended, and more follows",
}


def read_json(content: bytes | str) -> Any:
    """The values of a JSON document.

    NaN and infinity pass as numbers, so that whoever looks at the fields can name the one that holds them.

    Raises:
        DocumentInvalid: it is not UTF-8, not JSON, too deep or too long, or an object has a key twice.
    """
    text = content if isinstance(content, str) else _decoded(content)
    # Each value but the first of a list or an object follows a comma. Objects take ten times as long as values.
    if text.count(",") >= _MOST_VALUES or text.count("{") > _MOST_OBJECTS:
        raise DocumentInvalid(f"The document has more than {_MOST_VALUES} values or {_MOST_OBJECTS} objects.")
    doubled: list[_Doubled] = []

    def as_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) == len(pairs):
            return fields
        doubled.append(_Doubled(fields, Counter(key for key, _ in pairs).most_common(1)[0][0]))
        return doubled[-1]

    try:
        document = json.loads(text, object_pairs_hook=as_object)
    except json.JSONDecodeError as error:
        why = _WORDS.get(error.msg, error.msg.lower().removesuffix(" at"))
        raise DocumentInvalid(f"It is not JSON at line {error.lineno}, column {error.colno}: {why}.") from error
    except RecursionError as error:
        raise DocumentInvalid("The document is nested too deeply.") from error
    except ValueError as error:
        raise DocumentInvalid("A number has too many digits.") from error
    if doubled:
        raise _given_twice(document)
    return document


def json_pointer(places: Iterable[object]) -> str:
    """The place in a document as RFC 6901 writes it, such as `/objectives/0/kind`."""
    return "".join("/" + str(place).replace("~", "~0").replace("/", "~1") for place in places)


class _Doubled(dict[str, Any]):
    """An object with a key given twice, of which the last value is held."""

    def __init__(self, fields: Mapping[str, Any], key: str) -> None:
        super().__init__(fields)
        self.key = key


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentInvalid(f"The text is not UTF-8, as JSON must be: byte {error.start} is none of it.") from error


def _given_twice(document: Any) -> DocumentInvalid:
    """What is wrong with a document that has such a key, and where the first one stands.

    The outermost is always found; one within a value that another value replaced is not.
    """
    place, fields = next((place, value) for place, value in _walk(document) if isinstance(value, _Doubled))
    return DocumentInvalid("The field is given twice.", pointer=json_pointer([*place, fields.key]))


def _walk(document: Any) -> Iterator[tuple[tuple[object, ...], Any]]:
    """All values of a document with their places, those further out first."""
    waiting: deque[tuple[tuple[object, ...], Any]] = deque([((), document)])
    while waiting:
        place, value = waiting.popleft()
        yield place, value
        if isinstance(value, dict):
            waiting.extend(((*place, key), item) for key, item in value.items())
        elif isinstance(value, list):
            waiting.extend(((*place, index), item) for index, item in enumerate(value))
