"""Connections to where users ask us to: only to addresses that were looked at, and only until a deadline."""

import socket
import time
from collections.abc import Iterable, Sequence
from ssl import SSLContext
from typing import Any

import httpcore2

from store.addresses import is_allowed


class AddressRefused(ValueError):
    """The address is not one that may be connected to."""


class Checked(httpcore2.NetworkBackend):
    """Resolves a name once, looks at every address that it has, and connects to one of these very addresses.

    So no second answer of a name server leads elsewhere. A certificate is still held against the name.
    """

    def __init__(self, networks: Sequence[str], deadline: float) -> None:
        self._networks = networks
        self._deadline = deadline
        self._plain = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002  # the deadline is the same for all that is done
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect.

        Raises:
            AddressRefused: one of its addresses is of an internal network that is not named.
            httpcore2.NetworkError, OSError: there is no such name, or nobody answers there.
        """
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(place[0]) for *_, place in found))
        refused = [address for address in addresses if not is_allowed(address, self._networks)]
        if refused:
            named = host if host == refused[0] else f"{host} is {refused[0]}, and that"
            raise AddressRefused(
                f"{named} is an address of an internal network; GAUNTLET_WEBHOOK_NETWORKS names those that may be told."
            )
        fault: Exception | None = None
        for address in addresses:
            try:
                stream = self._plain.connect_tcp(address, port, _rest(self._deadline), local_address, socket_options)
            except (httpcore2.NetworkError, httpcore2.TimeoutException) as error:
                fault = error
            else:
                return _Bounded(stream, self._deadline)
        raise fault or OSError(f"{host} has no address.")


class _Bounded(httpcore2.NetworkStream):
    """A connection on which everything together ends by the deadline, however slowly the other side trickles."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002  # the interface's
        return self._stream.read(max_bytes, _rest(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002  # the interface's
        self._stream.write(buffer, _rest(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002  # the interface's
    ) -> httpcore2.NetworkStream:
        return _Bounded(self._stream.start_tls(ssl_context, server_hostname, _rest(self._deadline)), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _rest(deadline: float) -> float:
    rest = deadline - time.monotonic()
    if rest <= 0:
        raise httpcore2.ReadTimeout("It did not answer in time.")
    return rest
