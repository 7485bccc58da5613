"""What clients that reset their connection leave behind."""

import logging
import socket
import struct

import pytest

from service.settings import ServiceSettings
from service.transport.connections import Crowd
from tests.service.transport.test_connections import GET, asked, connected, serving


def reset(client: socket.socket) -> None:
    """Close it so that the server is sent a reset."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def test_a_client_that_resets_while_it_is_refused_is_no_fault(
    settings: ServiceSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever refuses it, the connection's own parser or the app: no error is logged, and others are answered."""
    unread = b"POST /unread HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx"
    with serving(settings, Crowd(1_000)) as (_, address):
        for _ in range(150):
            for sent in (b"\x16\x03 garbage\r\n\r\n", unread):
                client = connected(address)
                client.sendall(sent)
                reset(client)
        assert asked(address, GET + b"Connection: close\r\n\r\n").startswith(b"HTTP/1.1 200")
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
