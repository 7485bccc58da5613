"""Whoever sends what is no HTTP, as often as they like, does not fill the log."""

import logging

import pytest

from service.settings import ServiceSettings
from service.transport.connections import Crowd, Garbled
from tests.service.transport.test_connections import GET, asked, is_problem, serving


def test_garbage_is_told_of_once(settings: ServiceSettings, caplog: pytest.LogCaptureFixture) -> None:
    """Each sender is answered all the same, and so are others, whatever protocol they would rather have."""
    caplog.set_level(logging.INFO)
    with serving(settings, Crowd(100)) as (_, address):
        for _ in range(20):
            assert is_problem(asked(address, b"nonsense\r\n\r\n"), 400, "invalid-http")
        upgrade = b"Connection: close, upgrade\r\nUpgrade: websocket\r\n\r\n"
        assert asked(address, GET + upgrade).startswith(b"HTTP/1.1 200 ")
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warned == ["What was received is no HTTP; times since this was told last: 1."]


@pytest.mark.parametrize("asking", ["POST /unread HTTP/1.1\r\nHost: localhost", "POST / HTTP/1.1\r\nHost: elsewhere"])
def test_an_answer_to_what_turns_out_to_be_garbage_is_no_fault(
    settings: ServiceSettings, caplog: pytest.LogCaptureFixture, asking: str
) -> None:
    """Of a body that is no HTTP and comes with its head; the app answers that, or refuses it, without its body."""
    caplog.set_level(logging.INFO)
    with serving(settings, Crowd(100)) as (_, address):
        sent = f"{asking}\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n".encode()
        assert is_problem(asked(address, sent), 400, "invalid-http")
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warned == ["What was received is no HTTP; times since this was told last: 1."]


def test_how_often_it_came_is_told_a_minute_later(caplog: pytest.LogCaptureFixture) -> None:
    """With the next that comes."""
    now = 0.0
    garbled = Garbled(lambda: now)
    for now in (0.0, 1.0, 59.9, 60.0, 61.0, 500.0):  # noqa: B007  # the clock is asked
        garbled.note()
    times = [record.getMessage().partition(": ")[2] for record in caplog.records]
    assert times == ["1.", "3.", "2."]


def test_what_is_a_fault_of_the_services_is_told_each_time(caplog: pytest.LogCaptureFixture) -> None:
    """What uvicorn tells of an app that fails is no client's doing."""
    for _ in range(2):
        Crowd(1).faults.error("Exception in ASGI application")
    assert [record.getMessage() for record in caplog.records] == ["Exception in ASGI application"] * 2
