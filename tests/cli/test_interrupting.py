"""Ctrl-C in a command that waits, as a terminal sends it: a process of its own, and SIGINT."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.system import System, await_that


def interrupted(*arguments: str, url: str, to: Path, once: Callable[[], bool]) -> int:
    """The exit status of the command if it is interrupted as soon as that is so; what it says goes `to` a file."""
    with to.open("w") as told:
        command = subprocess.Popen(
            # Whoever has these tests run in the background has them ignore Ctrl-C, and so all that they start.
            ["env", "--default-signal=INT", sys.executable, "-m", "cli", *arguments],
            env=os.environ | {"GAUNTLET_URL": url},
            stdout=told,
            stderr=subprocess.STDOUT,
        )
    try:
        await_that(once)
        command.send_signal(signal.SIGINT)
        return command.wait(timeout=30)
    finally:
        command.kill()
        command.wait()


def test_whoever_stops_watching_is_told_how_to_return(
    system: System, tiny_document: dict[str, Any], tmp_path: Path
) -> None:
    """130, and the experiment goes on."""
    experiment = system.client.submit(tiny_document).id
    told = tmp_path / "told"
    status = interrupted("watch", experiment, url=system.client.url, to=told, once=lambda: bool(told.stat().st_size))
    assert status == 130
    assert f"gauntlet watch {experiment} returns to it" in told.read_text()
    assert "Traceback" not in told.read_text()
    assert system.client.experiment(experiment).status == "queued"


@pytest.mark.parametrize("arguments", [["experiments"], ["usage", "--json"]], ids=" ".join)
def test_any_other_command_ends_at_once(arguments: list[str], tmp_path: Path) -> None:
    """130 too, where a service that has taken the connection does not answer."""
    with ExitStack() as held:
        silent = held.enter_context(socket.create_server(("127.0.0.1", 0)))
        silent.settimeout(30)

        def take() -> bool:
            held.enter_context(silent.accept()[0])
            return True

        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        status = interrupted(*arguments, url=url, to=tmp_path / "told", once=take)
    assert status == 130
    assert "Traceback" not in (tmp_path / "told").read_text()
