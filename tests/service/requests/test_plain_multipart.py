"""Plain parts taken at once: what is read of a form, and what is refused, is what the other reader alone says."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.datastructures import UploadFile

from service.errors import ServiceError
from service.requests import plain_multipart
from service.requests.forms import Field, Form
from service.requests.multipart import MultipartReader
from service.requests.plain_multipart import PlainParts
from store.storage import FolderStorage
from tests.service.requests.test_forms import part

BOUNDARY = b"b"
FIELDS = {"image": Field(is_file=True, most=3), "checkpoint": Field(is_file=False, most=2)}
END = b"--b--\r\n"
PICTURE = part("image", b"\x89PNG\r\n\x1a\n", b"Content-Type: image/png", more=b'; filename="a picture (1).png"')
NAMED = part("checkpoint", b"ckpt_1")
# What `python_multipart` takes as one line of a head.
LINE = 4_224

_CONTENTS = st.one_of(
    st.sampled_from([b"", b"\r\n", b"--b", b"\r\n--", b"\r\n--bc", b"\r\n--b-c", b"--b--", b"\r\n\r\n", b"\xff\x00"]),
    st.binary(max_size=20),
)
_PLAIN_NAMES = [b"a.png", b"a b-(1),@+.png", b"a " * 1_900 + b"a", b"a" * 5_000, b"a" * (LINE - 40)]
_FILES = st.builds(
    lambda content, headers, name: part("image", content, *headers, more=b'; filename="' + name + b'"'),
    _CONTENTS,
    st.sampled_from([*[(), (b"Content-Type: image/png",)] * 4, (b"Content-Type: a/" + b"a" * 5_000,)]),
    st.sampled_from([*_PLAIN_NAMES[:3] * 4, *_PLAIN_NAMES]),
)
_TEXTS = st.builds(lambda text: part("checkpoint", text), st.sampled_from([*[b"ckpt_1"] * 6, b"", b"y" * 60, b"\xff"]))
_OTHERS = st.builds(
    lambda name, content, headers, more: part(name, content, *headers, more=more),
    st.sampled_from(["image", "checkpoint", "attack", "", "i mage", "i" * 5_000]),
    _CONTENTS,
    st.sampled_from(
        [
            (),
            (b"Content-Type: text/plain; charset=utf-8",),
            (b"Content-Type: text/plain; charset=utf-7",),
            (b"content-type: image/png",),
            (b"X-More: 1",),
            (b"Content-Type: image/png", b"Content-Type: image/png"),
        ]
    ),
    st.sampled_from(
        [
            b"",
            b'; filename=""',
            b'; filename=" a"',
            b'; filename="a;b"',
            b'; filename="caf\xc3\xa9"',
            b'; filename="a\\"b"',
            b"; filename=a",
        ]
    ),
)
_MOSTLY_PLAIN = st.one_of(*[_FILES] * 6, *[_TEXTS] * 3, _OTHERS)
_SHORT_FILES = st.builds(
    lambda content, name: part("image", content, more=b'; filename="' + name + b'"'),
    _CONTENTS,
    st.sampled_from(_PLAIN_NAMES[:3]),
)
_ALL_PLAIN = st.tuples(_SHORT_FILES, st.sampled_from([NAMED, PICTURE]), _SHORT_FILES, st.just(NAMED)).map(list)
_ENDS = st.sampled_from([END, END, END, END, b"--b--", b"", b"--b\r\n", b"--b \r\n", END + b"more"])
_CUTS: st.SearchStrategy[list[int]] = st.one_of(st.just([]), st.just([]), st.lists(st.integers(0, 20_000), max_size=4))


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


def read(pieces: list[bytes], *, at_once: bool) -> tuple[Any, int, int]:
    """What is in the form then, or how it was refused; after how many pieces, and how many parts were taken at once."""
    filled = form()
    reader = MultipartReader(BOUNDARY, filled)
    plain = PlainParts(BOUNDARY, filled) if at_once else None
    came = taken = 0
    try:
        for piece in pieces:
            came += 1
            rest: bytes | None = piece
            if plain is not None:
                try:
                    rest = plain.feed(piece)
                finally:
                    taken = len(filled.items)
            if rest is not None:
                plain = None
                reader.feed(rest)
        reader.require_end()
        return held(filled), came, taken
    except ServiceError as error:
        return (error.status, str(error), error.errors), came, taken
    finally:
        filled.close()


def cut(content: bytes, at: list[int]) -> list[bytes]:
    """A body in pieces, none of them empty, as they come from a server."""
    bounds = [0, *sorted({place % len(content) for place in at} - {0}), len(content)] if content else []
    return [content[one:other] for one, other in pairwise(bounds)]


def test_both_readers_say_the_same() -> None:
    """What is filled in, what is refused with which words and after which piece; most forms are read in both ways."""
    examples: list[int] = []
    whole: list[int] = []

    @given(st.one_of(_ALL_PLAIN, st.lists(_MOSTLY_PLAIN, min_size=1, max_size=5)), _ENDS, _CUTS)
    @example([PICTURE] * 4, END, [])
    @example([NAMED, part("checkpoint", b"z" * 60)], END, [])
    @example([part("image", b"x")], END, [])
    def same(parts: list[bytes], end: bytes, at: list[int]) -> None:
        pieces = cut(b"".join(parts) + end, at)
        said, came, taken = read(pieces, at_once=True)
        assert (said, came) == read(pieces, at_once=False)[:2]
        examples.append(taken)
        if isinstance(said, list) and taken == len(said):
            whole.append(taken)

    same()
    assert sum(taken > 0 for taken in examples) > len(examples) / 6
    assert sum(taken > 1 for taken in whole) > len(examples) / 34


@pytest.mark.parametrize("content", [PICTURE + NAMED + END, NAMED + PICTURE * 3 + END, part("checkpoint", b"") + END])
def test_what_clients_write_is_read(content: bytes) -> None:
    """All of its parts are taken at once, in whichever two pieces it comes unless one ends within a part's head."""
    expected, _, _ = read([content], at_once=False)
    assert read([content], at_once=True) == (expected, 1, len(expected))
    for place in range(1, len(content)):
        pieces = [content[:place], content[place:]]
        assert read(pieces, at_once=True)[0] == expected
    after_head = content.index(b"\r\n\r\n") + 4
    for place in (3, after_head, content.index(b"\r\n--b") + 4, len(content) - len(END)):
        assert read([content[:place], content[place:]], at_once=True) == (expected, 2, len(expected))


def _name(size: int) -> bytes:
    start = len(b'Content-Disposition: form-data; name="image"; filename=""')
    return part("image", b"x", more=b'; filename="' + b"a" * (size - start) + b'"')


def _type(size: int) -> bytes:
    start = len(b"Content-Type: a/")
    return part("image", b"x", b"Content-Type: a/" + b"a" * (size - start), more=b'; filename="a"')


def _field(size: int) -> bytes:
    return part("i" * (size - len(b'Content-Disposition: form-data; name=""')), b"x")


@pytest.mark.parametrize("long", [_name, _type, _field], ids=["file name", "type", "field"])
@pytest.mark.parametrize("size", [3_900, 4_096, LINE, LINE + 1, 5_000, 900_000])
def test_a_long_line_in_a_head_is_what_it_was(long: Any, size: int) -> None:
    """Longer than the other reader takes, it is refused in that one's words; shorter, it is read."""
    said, _, taken = read([PICTURE + long(size) + END], at_once=True)
    assert said == read([PICTURE + long(size) + END], at_once=False)[0]
    assert taken == (2 if size == 3_900 and long is not _field else 1)
    assert ("cannot be read" in str(said)) == (size > LINE)
    assert size > LINE or (isinstance(said, list) != (long is _field))


def test_no_more_of_a_head_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be where every request waits."""
    looked: list[int] = []

    class Watching:
        def match(self, content: bytearray, begin: int, end: int) -> Any:
            looked.append(end - begin)
            return head.match(content, begin, end)

    head = plain_multipart._HEAD
    monkeypatch.setattr(plain_multipart, "_HEAD", Watching())
    read([part("image", b"x", more=b'; filename="' + b"a " * 450_000 + b'"') + END], at_once=True)
    assert looked
    assert max(looked) < LINE


def test_one_part_too_many_is_refused_when_it_begins() -> None:
    """However many come."""
    said, came, taken = read([NAMED * 10_000, END], at_once=True)
    assert ("2 times" in str(said), came, taken) == (True, 1, 2)
