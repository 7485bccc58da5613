"""`gauntlet up`: one command brings everything up, and one signal takes all of it down."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import pytest
from typer.testing import CliRunner

from cli.commands import app
from cli.machine import embedded
from cli.machine.embedded import address, free_port
from gauntlet.client import GauntletClient
from service.settings import ServiceSettings
from tests.e2e.system import await_that

pytestmark = pytest.mark.long(seconds=20)


def descendants(pid: int) -> set[int]:
    """The processes below `pid`, from Linux's process table."""
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            for child in map(int, children.read_text().split()):
                found.add(child)
                waiting.append(child)
    return found


def is_alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


@dataclass(frozen=True)
class Up:
    """`gauntlet up` on a data folder, and what it has said so far."""

    home: Path
    process: subprocess.Popen[bytes]
    client: GauntletClient
    output: Path

    @property
    def said(self) -> str:
        """Its sentences, wherever the lines were broken."""
        return " ".join(self.output.read_text().split())

    def end(self, number: signal.Signals) -> None:
        """Send it the signal and wait for its end."""
        self.client.close()
        self.process.send_signal(number)
        self.process.wait(90)


def start(home: Path, **environment: str) -> Up:
    port, output = free_port("127.0.0.1", 0), home.with_name("output.txt")
    environment = os.environ | {"GAUNTLET_HOME": str(home), "GAUNTLET_PORT": str(port)} | environment
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "up"], env=environment, stdout=file, start_new_session=True
        )
    up = Up(home, process, GauntletClient(f"http://127.0.0.1:{port}"), output)
    await_that(lambda: "Gauntlet runs at" in up.said)
    return up


@pytest.mark.thorough
def test_an_interrupt_ends_all_of_it(tmp_path: Path) -> None:
    """Broker, API, worker and fork server are gone, the exit status is 0, and nothing was left behind.

    The broker's socket lies in a temporary folder, which goes too, where its own path would be too long. What was
    asked of the API meanwhile is in no log. The environment's proxies have no part in it. The tutorial's test has
    SIGTERM end one whose socket lies at home.
    """
    home = tmp_path / f"[{'long' * 30}]"
    with tempfile.TemporaryDirectory(dir="/tmp") as elsewhere:
        proxies = {"http_proxy": "http://127.0.0.1:9", "all_proxy": "socks5://127.0.0.1:9", "no_proxy": ""}
        up = start(home, TMPDIR=elsewhere, **proxies)
        await_that(lambda: "ready." in (home / "logs/worker.log").read_text())
        assert f"logs: {home} Ctrl-C" in up.said
        below = descendants(up.process.pid)
        assert len(below) >= 3
        assert list(Path(elsewhere).glob("gauntlet-*/broker.sock"))
        # Where the API looks for images: it can tell a folder that is not there from data that it cannot see.
        assert (home / "data").is_dir()
        up.end(signal.SIGINT)
        assert up.process.returncode == 0
        assert up.said.endswith("Stopped.")
        assert not GauntletClient(up.client.url).ready()
        await_that(lambda: not any(map(is_alive, below)))
        assert not (home / "broker.sock").exists()
        assert not list(Path(elsewhere).glob("gauntlet-*"))
    log = (home / "logs/api.log").read_text()
    assert "Uvicorn running" in log
    assert "/readyz" not in log


@pytest.mark.thorough
def test_a_fallen_api_comes_back_and_a_killed_supervisor_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervisor says that a child died and starts it again; after kill -9 its children end by themselves.

    What they left at home keeps the next one there from nothing. Meanwhile a second one on the same folder is refused,
    on whatever port, and does not disturb the first.
    """
    up = start(tmp_path / "home")
    (api,) = (pid for pid in descendants(up.process.pid) if b"-m\0service" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(api, signal.SIGKILL)
    await_that(lambda: not is_alive(api))
    await_that(up.client.ready)
    assert "The api ended with -9" in up.said

    second = refused(monkeypatch, up.home, GAUNTLET_PORT=str(free_port("127.0.0.1", 0)))
    assert "GAUNTLET_HOME" in second
    assert (up.home / "broker.sock").exists()
    assert up.client.ready()

    below = descendants(up.process.pid)
    up.end(signal.SIGKILL)
    await_that(lambda: not any(map(is_alive, below)))
    again = start(up.home)
    assert again.client.ready()
    again.end(signal.SIGINT)
    assert again.process.returncode == 0


def refused(monkeypatch: pytest.MonkeyPatch, home: Path, **environment: str) -> str:
    """What `gauntlet up` says when it starts nothing, on one line."""
    for name, value in ({"GAUNTLET_HOME": str(home)} | environment).items():
        monkeypatch.setenv(name, value)
    ended = CliRunner().invoke(app, ["up"])
    assert ended.exit_code == 1
    return " ".join(ended.stderr.split())


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_a_taken_port_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, family: socket.AddressFamily
) -> None:
    """The command says what to change and starts nothing."""
    with socket.create_server((host, 0), family=family) as other:
        port = str(other.getsockname()[1])
        said = refused(monkeypatch, tmp_path, GAUNTLET_HOST=host, GAUNTLET_PORT=port)
    assert f"Something already listens on port {port} of {host}. Set GAUNTLET_PORT" in said
    assert list(tmp_path.iterdir()) == []


def test_a_host_of_another_machine_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command says so and starts nothing; 192.0.2.1 is nobody's."""
    assert "Nothing can listen on 192.0.2.1: " in refused(monkeypatch, tmp_path, GAUNTLET_HOST="192.0.2.1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("10.0.0.7", "http://10.0.0.7:8000"),
        ("box", "http://box:8000"),
    ],
)
def test_the_address_can_be_visited(tmp_path: Path, host: str, url: str) -> None:
    """What listens everywhere is reached by loopback."""
    assert address(ServiceSettings(home=tmp_path, host=host)) == url


def test_a_free_port_is_used_as_wanted() -> None:
    """A taken one is replaced by another."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        assert free_port("127.0.0.1", taken) != taken
    assert free_port("127.0.0.1", taken) == taken


def waits_for_itself(_number: int, _frame: FrameType | None) -> None:
    pytest.fail("The signal's handler waits for the thread in which it came.")


def test_a_signal_is_heard_wherever_it_comes() -> None:
    """Between any two lines that the supervisor runs while it waits, those of libraries too, none holds it up."""
    traced, before = sys.gettrace(), signal.signal(signal.SIGALRM, waits_for_itself)
    try:
        for number in itertools.count(1):
            lines = 0

            def interrupt(_frame: FrameType, event: str, _value: object, number: int = number) -> Callable[..., object]:
                nonlocal lines
                lines += event == "line"
                if event == "line" and lines == number:
                    signal.raise_signal(signal.SIGTERM)
                return interrupt

            with embedded._asked_to_stop() as stop:
                signal.setitimer(signal.ITIMER_REAL, 10)
                sys.settrace(interrupt)
                try:
                    stop.wait(0.01)
                finally:
                    sys.settrace(traced)
                    signal.setitimer(signal.ITIMER_REAL, 0)
                if lines < number:
                    assert number > 1
                    break
                assert stop.is_set()
                assert stop.wait(0.0)
    finally:
        signal.signal(signal.SIGALRM, before)
