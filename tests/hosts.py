"""Hosts for a test: network namespaces of their own, each on a cable that can be cut, with clocks that may be wrong.

The cables' other ends are in one, too: a browser gives up what it has begun when its machine's addresses change. What
hosts reach of the test's own machine is a relay to one unix socket. Nothing outside is reached from them.
"""

import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import ip_network
from pathlib import Path

# The block for tests of networks (RFC 2544). A cable takes four addresses of it; the host has the second to use.
_BLOCK = ip_network("198.18.0.0/15")
_OF_A_CABLE = 4
_NAME = "gauntlet-{maker}-{of}"
_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)

_CLOCK = """
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *told) {
    int failed = syscall(SYS_clock_gettime, clock, told);
    const char *ahead = getenv("CLOCK_AHEAD_S");
    if (!failed && clock == CLOCK_REALTIME && ahead) told->tv_sec += atol(ahead);
    return failed;
}

int gettimeofday(struct timeval *restrict told, void *restrict zone) {
    struct timespec now;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    told->tv_sec = now.tv_sec;
    told->tv_usec = now.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *told) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (told) *told = now.tv_sec;
    return now.tv_sec;
}
"""


def unavailable() -> str | None:
    """Why this machine can give a test no hosts of its own; None if it can."""
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("unshare") is None:
        return "network namespaces need root and iproute2"
    if subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode != 0:
        return "this machine lets nobody make network namespaces"
    if shutil.which("cc") is None:
        return "there is no C compiler to set a process's clock wrong with"
    return None


def wrong_clock(folder: Path) -> Path:
    """A library that, loaded before all others, has a process's clock go `CLOCK_AHEAD_S` seconds ahead."""
    library = folder / "clock.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), "-x", "c", "-"]
    subprocess.run(command, input=_CLOCK.encode(), check=True, capture_output=True)
    return library


class Host:
    """One host; what is started on it sees its end of the cable and nothing else."""

    def __init__(self, number: int, hub: str) -> None:
        self.name = _NAME.format(maker=os.getpid(), of=number)
        self.gateway = str(_BLOCK[number * _OF_A_CABLE + 1])
        self._hub = hub
        self._cable = f"cable{number}"
        _ip("netns", "add", self.name)
        _ip("-n", hub, "link", "add", self._cable, "type", "veth", "peer", "name", "far", "netns", self.name)
        _ip("-n", hub, "addr", "add", f"{self.gateway}/30", "dev", self._cable)
        _ip("-n", self.name, "addr", "add", f"{_BLOCK[number * _OF_A_CABLE + 2]}/30", "dev", "far")
        _ip("-n", self.name, "link", "set", "far", "up")
        _ip("-n", self.name, "link", "set", "lo", "up")
        self.join()

    def start(self, module: str, log: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a module of this project there, as the leader of a process group."""
        command = ["ip", "netns", "exec", self.name, sys.executable, "-m", module]
        with log.open("wb") as output:
            return subprocess.Popen(
                command, env={**os.environ, **environment}, stdout=output, stderr=output, start_new_session=True
            )

    def cut(self) -> None:
        """From now on nothing goes in or out, and nobody is told."""
        _ip("-n", self._hub, "link", "set", self._cable, "down")

    def join(self) -> None:
        """The cable is whole."""
        _ip("-n", self._hub, "link", "set", self._cable, "up")

    def listen(self) -> socket.socket:
        """A socket at the other end of the cable, at a free port of `gateway`."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        hub = os.open(f"/run/netns/{self._hub}", os.O_RDONLY)
        try:
            _enter(hub)
            return socket.create_server((self.gateway, 0))
        finally:
            _enter(home)
            os.close(hub)
            os.close(home)

    def remove(self) -> None:
        """The host is no more; its processes have ended."""
        _ip("netns", "del", self.name)


@contextmanager
def hosts(count: int) -> Iterator[list[Host]]:
    """So many hosts for as long as the block."""
    _remove_abandoned()
    hub = _NAME.format(maker=os.getpid(), of="hub")
    with ExitStack() as stack:
        _ip("netns", "add", hub)
        stack.callback(_ip, "netns", "del", hub)
        made = []
        for number in range(count):
            host = Host(number, hub)
            stack.callback(host.remove)
            made.append(host)
        yield made


def _remove_abandoned() -> None:
    """A test that was killed has left its hosts, with what ran on them."""
    named = re.compile(_NAME.format(maker=r"(\d+)", of=r"\w+"))
    for found in named.finditer(_ip("netns", "list")):
        if not Path("/proc", found[1]).exists():
            # Another session that begins now may remove it too.
            with suppress(subprocess.CalledProcessError):
                for left in _ip("netns", "pids", found[0]).split():
                    with suppress(ProcessLookupError):
                        os.kill(int(left), signal.SIGKILL)
                _ip("netns", "del", found[0])


@contextmanager
def relay(host: Host, target: Path) -> Iterator[int]:
    """What connects to the host's gateway speaks with the unix socket `target`; yields the port."""
    with ExitStack() as stack, host.listen() as listener:
        open_sockets: list[socket.socket] = []

        def close() -> None:
            for each in open_sockets:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()

        stack.callback(close)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    caller, _ = listener.accept()
                    called = socket.socket(socket.AF_UNIX)
                    called.connect(str(target))
                    open_sockets.extend((caller, called))
                    for pair in ((caller, called), (called, caller)):
                        threading.Thread(target=_pass_on, args=pair, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        # `accept` does not return for a close alone.
        listener.shutdown(socket.SHUT_RDWR)


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(65536):
            sink.sendall(content)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)


def _enter(namespace: int) -> None:
    """Have this thread in the network namespace that is open there."""
    if _LIBC.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout
