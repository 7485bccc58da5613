"""Inputs, and how they are sent: one by one, or many at once, each on a connection of its own."""

import http.client
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from benchmarks.serving.served import Served

# A status, or how a connection ended without one; how often.
Answers = Counter[str]
_PATIENCE_S = 120.0
_BOUNDARY = "b0undary"


@dataclass(frozen=True)
class Input:
    """Something hostile; `send` gives it to the service and tells what was answered."""

    name: str
    what: str
    send: Callable[[Served], Answers]


@dataclass(frozen=True)
class Request:
    """One request; a token is added when it is sent."""

    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def get(path: str, **headers: str) -> Request:
    """A GET."""
    return Request("GET", path, headers=headers)


def post(path: str, document: Any, method: str = "POST") -> Request:
    """A JSON document; text or bytes go as they are."""
    if isinstance(document, str):
        document = document.encode()
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Request(method, path, body, {"Content-Type": "application/json"})


def form(
    path: str,
    parts: Sequence[tuple[str, bytes | str]],
    *,
    charset: str = "",
    files: Sequence[str] = ("image", "weights", "archive"),
) -> Request:
    """A form; the parts with these names go as files."""
    body = bytearray()
    for name, content in parts:
        file = f'; filename="{name}"' if name in files else ""
        body += f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()
        body += (content.encode() if isinstance(content, str) else content) + b"\r\n"
    body += f"--{_BOUNDARY}--\r\n".encode()
    kind = f"multipart/form-data; boundary={_BOUNDARY}" + (f"; charset={charset}" if charset else "")
    return Request("POST", path, bytes(body), {"Content-Type": kind})


def once(name: str, what: str, *requests: Request) -> Input:
    """The requests one after the other."""
    return Input(name, what, partial(_all_of, requests, 1))


def burst(name: str, what: str, request: Request, times: int, at_once: int | None = None) -> Input:
    """The request so often, all at once or by so many senders."""
    return Input(name, what, partial(_all_of, [request] * times, at_once or times))


def _all_of(requests: Sequence[Request], at_once: int, api: Served) -> Answers:
    answers: Answers = Counter()
    with ThreadPoolExecutor(at_once) as senders:
        answers.update(senders.map(partial(answered, api), requests))
    return answers


def answered(api: Served, request: Request) -> str:
    """The status that the request is answered with; the answer is read whole."""
    connection = http.client.HTTPConnection("127.0.0.1", api.settings.port, timeout=_PATIENCE_S)
    try:
        connection.request(request.method, request.path, request.body, {**api.bearer("admin"), **request.headers})
        answer = connection.getresponse()
        while answer.read(1 << 16):
            pass
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    else:
        return str(answer.status)
    finally:
        connection.close()
