"""A shell for the documents' blocks: bash, whose `gauntlet` is the command's own code in this process.

A process for each command would take most of the time. `gauntlet up` is a service in a thread here, and the jobs are
done by another one, by the worker's own functions, while a command waits for them.
"""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from _thread import interrupt_main
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Final

import torch

from service.settings import ServiceSettings
from store.database import Database
from store.queue import turns
from tests import command
from tests.service.test_documented_requests import served
from worker.beside.unpacker import Unpacker
from worker.jobs.evaluation_job import evaluate_checkpoint
from worker.jobs.heartbeat import Heartbeat, beating
from worker.jobs.training_job import train_run
from worker.settings import WorkerSettings

_NOWHERE: Final = "redis+socket:///nonexistent/broker.sock"
_LONGEST_S: Final = 120
# Where the command's own process would be: it sends what it was called with and writes what came of it.
_SENDER: Final = """
import json, os, socket, sys
if sys.argv[1] in {own_processes!r}:
    os.execv({whole!r}, sys.argv)
with socket.socket(socket.AF_UNIX) as link:
    link.connect({address!r})
    given = {{name: value for name, value in os.environ.items() if name.startswith("GAUNTLET_")}}
    with link.makefile("rw") as both:
        both.write(json.dumps([sys.argv[1:], os.getcwd(), given]) + "\\n")
        both.flush()
        out, err, status = json.loads(both.readline())
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(status)
"""
Answer = Callable[[list[str], str, dict[str, str]], tuple[str, str, int]]
_WAITING: Final = ("--watch", "--follow", "watch", "upload")


def typed(
    script: str, folder: Path, settings: Mapping[str, str], answer: Answer, *, own_processes: Sequence[str] = ()
) -> str:
    """What a script writes in a shell in that folder, whose `gauntlet` is answered here, but for those commands.

    The shell knows of no other settings of Gauntlet than these. What it started ends with it.

    Raises:
        AssertionError: it ended with another status than 0.
    """
    bin_folder = folder.parent / "bin"
    bin_folder.mkdir(exist_ok=True)
    address = str(folder.parent / "command.sock")
    whole = str(Path(sys.executable).parent / "gauntlet")
    sender = bin_folder / "gauntlet"
    told_of = _SENDER.format(address=address, whole=whole, own_processes=list(own_processes))
    sender.write_text(f"#!{sys.executable} -IS\n{told_of}")
    sender.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.upper().startswith("GAUNTLET_")}
    environment |= {"PATH": f"{bin_folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"} | settings
    told = folder.parent / "told.txt"
    with socket.socket(socket.AF_UNIX) as listening, told.open("w") as output:
        listening.bind(address)
        listening.listen()
        listening.settimeout(0.05)
        with subprocess.Popen(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as bash:
            try:
                while bash.poll() is None:
                    try:
                        link, _ = listening.accept()
                    except TimeoutError:
                        continue
                    with link, link.makefile("rw") as both:
                        arguments, where, given = json.loads(both.readline())
                        both.write(json.dumps(answer(arguments, where, given)) + "\n")
            finally:
                if bash.returncode != 0:
                    # Nothing is left where it ended by itself.
                    with suppress(ProcessLookupError):
                        os.killpg(bash.pid, signal.SIGKILL)
    Path(address).unlink()
    assert bash.returncode == 0, f"{script}\n{told.read_text()}"
    return told.read_text()


def answered(arguments: Sequence[str], where: str, given: Mapping[str, str]) -> tuple[str, str, int]:
    """What the command says to these words in that folder, with those settings, and its exit status."""
    with _as_if(where, given):
        done = command.run(*arguments)
    return done.stdout, done.stderr, done.exit_code


class Shell:
    """Runs blocks in one folder, against one service."""

    def __init__(self, folder: Path, settings: ServiceSettings, url: str) -> None:
        self.folder = folder
        self.database = Database(settings.database_url)
        self._worker = WorkerSettings(
            home=settings.home, database_url=settings.database_url, broker_url=_NOWHERE, threads=1, heartbeat_s=0.1
        )
        self._url = url
        self._failed: Exception | None = None

    def run(self, script: str) -> str:
        """What a script writes.

        Raises:
            AssertionError: it ended with another status than 0.
        """
        here = {"GAUNTLET_URL": self._url, "GAUNTLET_HOME": str(self._worker.home)}
        here |= {"GAUNTLET_DATABASE_URL": self._worker.database_url, "GAUNTLET_BROKER_URL": _NOWHERE}
        return typed(script, self.folder, here, self._answer)

    def _answer(self, arguments: list[str], where: str, given: dict[str, str]) -> tuple[str, str, int]:
        if arguments == ["up"]:
            return "", "", 0
        with self._at_work() if any(word in arguments for word in _WAITING) else nullcontext():
            return answered(arguments, where, given)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Inside, whatever is queued is done."""
        ended = threading.Event()

        def work() -> None:
            try:
                while not ended.is_set():
                    if not self._do_next():
                        ended.wait(0.05)
            except Exception as error:  # noqa: BLE001  # whatever it is, who waits for the job would wait for ever
                self._failed = error
                interrupt_main()

        hands = threading.Thread(target=work)
        hands.start()
        try:
            yield
        finally:
            ended.set()
            hands.join(_LONGEST_S)
        if self._failed is not None:
            raise self._failed

    def _do_next(self) -> bool:
        Unpacker(self.database, self._worker).look()
        with self.database.writing() as session:
            held = turns.claim_next(session, "here", self._worker.lease_s)
        if held is None:
            return False
        do = train_run if held.kind == "run" else evaluate_checkpoint
        heartbeat = Heartbeat(self.database, held, self._worker)
        with beating(heartbeat):
            do(self.database, held, self._worker, heartbeat, torch.device("cpu"))
        return True


@contextmanager
def _as_if(folder: str, given: Mapping[str, str]) -> Iterator[None]:
    """Inside, this process is where a command's own would be, with its settings; its log ends with it."""
    where, environment, log = Path.cwd(), dict(os.environ), logging.getLogger()
    handlers, level = log.handlers[:], log.level
    os.chdir(folder)
    # Who runs the tests may have a Gauntlet, whose address and token are not for these commands.
    for name in [name for name in environment if name.upper().startswith("GAUNTLET_")]:
        del os.environ[name]
    os.environ.update(given)
    try:
        yield
    finally:
        os.chdir(where)
        os.environ.clear()
        os.environ.update(environment)
        log.handlers[:], log.level = handlers, level


@contextmanager
def shell(folder: Path, settings: ServiceSettings) -> Iterator[Shell]:
    """A shell in an empty folder, and a service on `settings` for it."""
    folder.mkdir()
    with served(settings) as address:
        opened = Shell(folder, settings, f"http://{address}")
        yield opened
        opened.database.close()
