"""JSON from anywhere: read exactly, or refused with the place and the reason."""

import json

import pytest

from gauntlet.errors import DocumentInvalid
from gauntlet.spec.reading.documents import json_pointer, read_json


@pytest.mark.parametrize(
    "text",
    ['{"a": {"b": [1, 2.5, "ü", null, true]}, "c": {"b": 1}}', "[]", '"text"', "0", '{"a": 1, "A": 2}', "[1,1,1]"],
)
def test_a_sound_document_is_read_as_json_is(text: str) -> None:
    """As text, as UTF-8, and as UTF-8 with the mark that some editors put in front."""
    expected = json.loads(text)
    assert read_json(text) == read_json(text.encode()) == read_json(b"\xef\xbb\xbf" + text.encode()) == expected


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ('{"epochs": 1, "epochs": 3}', "/epochs"),
        ('{"training": {"epochs": 1, "lr": 2, "epochs": 1}}', "/training/epochs"),
        ('{"a": [0, {"b/c": 1, "b/c": 1}]}', "/a/1/b~1c"),
        ('{"a": {"x": 1, "x": 2}, "a": 3}', "/a"),
        ('{"a": 1, "\\u0061": 2}', "/a"),
    ],
    ids=["top", "nested", "in-a-list", "hidden-by-another", "written-otherwise"],
)
def test_a_key_given_twice_is_named(text: str, pointer: str) -> None:
    """Wherever it stands, and however it is written."""
    with pytest.raises(DocumentInvalid, match="given twice") as caught:
        read_json(text)
    assert caught.value.pointer == pointer


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1, column 1: a value is expected here"),
        (b'{"a": 1,\n "b" 2}', "line 2, column 6: a colon is expected here"),
        (b'{"a": 1} {}', "more follows"),
        (b"{'a': 1}", "a field's name in double quotes"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 5_000, "nested too deeply"),
        (b"9" * 5_000, "too many digits"),
        (b"[" + b"1," * 200_000 + b"1]", "more than 40000 values"),
        (b"[" + b"{}," * 20_000 + b"1]", "or 10000 objects"),
        ('{"a": "ü"}'.encode("utf-16"), "not UTF-8"),
        ('{"a": "ü"}'.encode("utf-32-be"), "not UTF-8"),
        ('{"a": "ü"}'.encode("latin-1"), "byte 7 is none of it"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_json_is_refused_with_the_reason(content: bytes, message: str) -> None:
    """In a sentence that says where, and of the whole document."""
    with pytest.raises(DocumentInvalid, match=message) as caught:
        read_json(content)
    assert caught.value.pointer == ""


def test_a_pointer_is_escaped() -> None:
    """RFC 6901 writes `~` and `/` within a name otherwise."""
    assert json_pointer(["a/b", 0, "m~n"]) == "/a~1b/0/m~0n"
