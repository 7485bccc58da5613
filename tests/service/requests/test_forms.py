"""Forms: declared fields only, UTF-8 only, bounded in parts, headers and bytes, and spooled where there is room."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event

from service.settings import ServiceSettings
from tests.disks import largest_file
from tests.service.requests.test_parameters import faults

# What is at fault of it is said once the whole form was read, and before a process is started to try the weights.
CARD = {"name": "naïve", "architecture": {"kind": "cnn"}, "dataset": {"name": "digits"}, "colour": "blue"}


def part(name: str, content: bytes, *headers: bytes, more: bytes = b"") -> bytes:
    """One part of a form with the boundary `b`."""
    lines = [b"--b", b'Content-Disposition: form-data; name="' + name.encode() + b'"' + more, *headers, b"", content]
    return b"\r\n".join([*lines, b""])


WEIGHTS = part("weights", b"x" * 9, more=b'; filename="w"')
TEXT = json.dumps(CARD, ensure_ascii=False).encode()


def post(api: TestClient, *parts: bytes, options: str = "", end: bytes = b"--b--\r\n") -> Any:
    headers = {"Content-Type": f"multipart/form-data; boundary=b{options}"}
    return api.post("/v1/checkpoints", content=b"".join(parts) + end, headers=headers)


@pytest.fixture
def understood(api: TestClient) -> dict[str, str]:
    """What is told of a form that is read to its end, of whose card one field alone is at fault."""
    return faults(post(api, WEIGHTS, part("card", TEXT)))


def test_a_card_may_come_as_text_or_as_a_file(api: TestClient, understood: dict[str, str]) -> None:
    """`-F card='{…}'` and `-F card=@card.json` are alike, in either order with the weights, with a type or without."""
    assert list(understood) == ["/card/colour"]
    as_file = b'; filename="card.json"'
    for card in (
        part("card", TEXT, more=as_file),
        part("card", TEXT, b"Content-Type: application/json", more=as_file),
        part("card", TEXT, b"Content-Type: application/octet-stream", more=as_file),
        part("card", TEXT, b"Content-Type: text/plain; charset=utf-8"),
    ):
        assert faults(post(api, card, WEIGHTS)) == understood
        assert faults(post(api, WEIGHTS, card, options="; charset=UTF-8")) == understood


@pytest.mark.parametrize(
    "charset", ["punycode", "latin-1", "utf-16", "utf-7", "idna", "unicode_escape", "nonsense", "''"]
)
def test_no_charset_is_taken_from_the_request(api: TestClient, charset: str) -> None:
    """Neither from the form's own type nor from a part's: to decode some takes the square of the length."""
    assert post(api, part("card", TEXT), WEIGHTS, options=f"; charset={charset}").status_code == 415
    assert post(api, part("card", TEXT, f"Content-Type: text/plain; charset={charset}".encode())).status_code == 415
    assert post(api, part("_charset_", charset.encode()), WEIGHTS).status_code == 422


def test_text_that_is_not_utf8_is_refused(api: TestClient, understood: dict[str, str]) -> None:
    """It is not taken for Latin-1. The name of a file is for people to read, whatever its bytes."""
    assert faults(post(api, part("card", b"\xff"), WEIGHTS)) == {"/card": "This text is not UTF-8."}
    latin = part("weights", b"x" * 9, more=b"; filename=\"caf\xe9.st\"; filename*=punycode''caf-dma")
    assert faults(post(api, part("card", TEXT), latin)) == understood


@pytest.mark.parametrize(
    ("parts", "pointer", "message"),
    [
        ([part("eps", b"8/255")], "/eps", "There is no such field; there are weights and card."),
        ([part("wieghts", b"", more=b'; filename="w"')], "/wieghts", "There is no such field; did you mean weights?"),
        ([part("c" * 3_000, b"")], "/" + "c" * 300, "There is no such field; there are"),
        ([part("card", TEXT), part("card", TEXT)], "/card", "This field may be given once only."),
        ([WEIGHTS, WEIGHTS], "/weights", "This field may be given once only."),
        ([part("weights", b"x")], "/weights", "This must be sent as a file, such as -F weights=@FILE."),
        ([WEIGHTS], "/card", "This field is required."),
        ([part("card", TEXT)], "/weights", "This field is required."),
        ([part("card", b"{'name'}"), WEIGHTS], "/card", "It is not JSON at line 1, column 2"),
        ([part("card", b'{"name": "a", "name": "b"}'), WEIGHTS], "/card/name", "The field is given twice."),
        ([part("card", b"[]"), WEIGHTS], "/card", "This must be an object with fields of its own, not a list."),
    ],
)
def test_a_field_that_is_wrong_is_named(api: TestClient, parts: list[bytes], pointer: str, message: str) -> None:
    """With what may stand there."""
    found = faults(post(api, *parts))
    assert list(found) == [pointer]
    assert found[pointer].startswith(message)


def test_a_list_has_as_many_files_as_its_route_says(api: TestClient) -> None:
    """The one too many is refused when it begins, and nothing after it is read."""
    files = [("image", ("a.png", b"x"))] * 65
    assert faults(api.post("/v1/classifications", files=files)) == {"/image": "This field may be given 64 times only."}
    many = {"checkpoint": [f"ckpt_{number}" for number in range(9)]}
    answer = api.post("/v1/classifications", data=many, files=files[:1])
    assert faults(answer) == {"/checkpoint": "This field may be given 8 times only."}


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ((b"", "; boundary=x"), "no form at all"),
        ((WEIGHTS[:-10], ""), "cut"),
        ((WEIGHTS + b"--b--" + b"more" * 9 + b"\r\n" + b"x" * 70_000, ""), "more follows"),
        ((b"--b\r\nno header\r\n\r\n", ""), "no header"),
        ((b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n", ""), "no name"),
        ((b"--b\r\n\r\nx\r\n", ""), "no headers"),
        ((part("card", b"", *(b"X-%d: 1" % number for number in range(50))), ""), "many headers"),
        ((part("card", b"", b"X: " + b"y" * 100_000), ""), "a long header"),
        ((part("card", b"", b"X: 1", b"x: 1"), ""), "a header twice"),
        ((part("", b""), ""), "an empty name"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_form_is_refused(api: TestClient, form: tuple[bytes, str], why: str) -> None:
    """In bounded time, and with nothing kept."""
    content, options = form
    answer = post(api, content, options=options, end=b"" if why in {"cut", "more follows"} else b"--b--\r\n")
    assert answer.status_code == 422, why


@pytest.mark.parametrize("boundary", ["", "; boundary=", "; boundary=" + "b" * 300, ";" * 2_000])
def test_a_boundary_is_given_and_short(api: TestClient, boundary: str) -> None:
    """As RFC 2046 says."""
    headers = {"Content-Type": f"multipart/form-data{boundary}"}
    assert api.post("/v1/checkpoints", content=b"--b--", headers=headers).status_code in {415, 422}


def test_a_part_that_is_encoded_is_refused(api: TestClient) -> None:
    """What was sent would not be what is read (RFC 7578 deprecates it)."""
    assert post(api, part("card", b"e30=", b"Content-Transfer-Encoding: base64"), WEIGHTS).status_code == 415
    assert list(faults(post(api, part("card", b"{}", b"Content-Transfer-Encoding: 8bit")))) == ["/weights"]


def test_the_texts_of_a_form_are_bounded_together(api: TestClient, settings: ServiceSettings) -> None:
    """As a JSON body is, though files may be larger."""
    assert post(api, part("card", b" " * (settings.max_json_bytes + 1))).status_code == 413
    body = f"card={'+' * settings.max_json_bytes}"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert api.post("/v1/checkpoints", content=body, headers=headers).status_code == 413


def test_a_form_without_files_is_told_that_it_lacks_them(api: TestClient) -> None:
    """One written as a query is understood as far as it goes."""
    assert list(faults(api.post("/v1/checkpoints", data={"card": "{}"}))) == ["/weights"]
    assert list(faults(api.post("/v1/checkpoints", data={"card": "{}", "weights": "w"}))) == ["/weights"]
    assert list(faults(api.post("/v1/checkpoints", data={"name": "x"}))) == ["/name"]
    assert api.post("/v1/checkpoints", json=CARD).status_code == 415
    assert api.post("/v1/checkpoints").status_code == 415


def test_a_full_disk_is_the_services_fault(api: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an upload cannot be spooled the answer is 507, and nothing of it stays; later it goes through."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    weights = part("weights", b"x" * 3_000_000, more=b'; filename="w"')
    with largest_file(2_000_000):
        answer = post(api, part("card", TEXT), weights)
    assert (answer.status_code, answer.json()["type"]) == (507, "urn:gauntlet:problem:storage-full")
    assert list(faults(post(api, part("card", TEXT), weights))) == ["/card/colour"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("tmp")] == []


def test_a_full_database_is_the_services_fault(api: TestClient, tiny_document: dict[str, Any]) -> None:
    """It is told apart from one that is away, which a client would ask again."""

    def fill(connection: Any, _: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")

    engine = api.app.state.database._engine  # type: ignore[attr-defined]  # an ASGI app in general has no state
    event.listen(engine, "connect", fill)
    engine.dispose()
    many = {"objectives": [{"kind": "policy_gradient", "epsilon": number / 100} for number in range(99)]}
    answer = api.post("/v1/experiments", json=tiny_document | many)
    assert (answer.status_code, answer.json()["type"]) == (507, "urn:gauntlet:problem:storage-full")
    event.remove(engine, "connect", fill)
    engine.dispose()
    assert api.post("/v1/experiments", json=tiny_document).status_code == 202
