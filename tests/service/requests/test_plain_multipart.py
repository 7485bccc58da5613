"""Plain forms taken apart at once: what is read of one, and what is refused, is what the other reader says."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.datastructures import UploadFile

from service.errors import ServiceError
from service.requests.forms import Field, Form
from service.requests.multipart import MultipartReader
from service.requests.plain_multipart import read_plain
from store.storage import FolderStorage
from tests.service.requests.test_forms import part

BOUNDARY = b"b"
FIELDS = {"image": Field(is_file=True, most=3), "checkpoint": Field(is_file=False, most=2)}
END = b"--b--\r\n"
PICTURE = part("image", b"\x89PNG\r\n\x1a\n", b"Content-Type: image/png", more=b'; filename="a picture (1).png"')
NAMED = part("checkpoint", b"ckpt_1")

_CONTENTS = st.one_of(
    st.sampled_from([b"", b"\r\n", b"--b", b"\r\n--", b"--b--", b"\r\n\r\n", b"\xff\x00", b"y" * 60]),
    st.binary(max_size=20),
)
_MORE = st.sampled_from(
    [
        b"",
        b'; filename="a.png"',
        b'; filename="a b-(1),@+.png"',
        b'; filename=""',
        b'; filename=" a"',
        b'; filename="a;b"',
        b'; filename="caf\xc3\xa9"',
        b'; filename="a\\"b"',
        b"; filename=a",
    ]
)
_HEADERS = st.sampled_from(
    [
        (),
        (b"Content-Type: image/png",),
        (b"Content-Type: text/plain; charset=utf-8",),
        (b"Content-Type: text/plain; charset=utf-7",),
        (b"content-type: image/png",),
        (b"X-More: 1",),
    ]
)
_PARTS = st.builds(
    lambda name, content, headers, more: part(name, content, *headers, more=more),
    st.sampled_from(["image", "image", "checkpoint", "attack", "", "i mage"]),
    _CONTENTS,
    _HEADERS,
    _MORE,
)


def form() -> Form:
    return Form(FIELDS, most_text_bytes=50, storage=FolderStorage(Path("unused")))


def held(filled: Form) -> list[Any]:
    """What the form has, files with all that is known of them."""
    return [
        (name, value.filename, value.size, value.headers.raw, value.file.tell(), value.file.read())
        if isinstance(value, UploadFile)
        else (name, value)
        for name, value in filled.items
    ]


def outcome(read: Any) -> Any:
    """What is in the form then, or how it was refused."""
    filled = form()
    try:
        return "unread" if read(filled) is False else held(filled)
    except ServiceError as error:
        return error.status, str(error), error.errors
    finally:
        filled.close()


def by_parts(content: bytes) -> Any:
    def read(filled: Form) -> None:
        reader = MultipartReader(BOUNDARY, filled)
        reader.feed(content)
        reader.require_end()

    return outcome(read)


def at_once(content: bytes) -> Any:
    return outcome(lambda filled: read_plain(BOUNDARY, content, filled))


@given(st.lists(_PARTS, max_size=7), st.sampled_from([END, END, b"--b--", b"", b"--b\r\n", END + b"more"]))
@example([PICTURE] * 4, END)
@example([NAMED, part("checkpoint", b"z" * 60)], END)
@example([part("image", b"x")], END)
def test_both_readers_say_the_same_of_what_both_read(parts: list[bytes], end: bytes) -> None:
    """What is filled in, and what is refused with which words."""
    content = b"".join(parts) + end
    assert at_once(content) in ("unread", by_parts(content))


@pytest.mark.parametrize("content", [PICTURE + NAMED + END, NAMED + PICTURE * 3 + END, part("checkpoint", b"") + END])
def test_what_clients_write_is_read(content: bytes) -> None:
    """It is not left to the other reader, for which there would be no need then."""
    assert at_once(content) == by_parts(content) != "unread"


def test_a_form_of_very_many_parts_is_not_taken_apart_here() -> None:
    """One too many is refused when it begins, by the reader that goes through it."""
    many = NAMED * 10_000 + END
    assert at_once(many) == "unread"
    assert re.search("2 times", str(by_parts(many)))
