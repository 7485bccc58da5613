"""One fresh process per job, made by a fork server that has torch loaded but never touches a GPU.

A process starts in 45 ms (after 2.5 s for the first), and all its memory, the GPU's too, comes back when it ends.
"""

import contextlib
import logging
import multiprocessing
import signal
import threading
from multiprocessing.context import ForkServerProcess

from store import jobs
from store.database import Database
from store.errors import LeaseLost
from store.jobs import Claim, JobKind
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)


class DeviceUnusable(Exception):
    """The device that the settings name is not there or does not work."""


class JobProcesses:
    """The processes of the jobs that this worker holds, at most one per slot. Thread-safe."""

    def __init__(self, settings: WorkerSettings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._context = multiprocessing.get_context("forkserver")
        self._slots = threading.BoundedSemaphore(settings.worker_slots)
        self._running: dict[Claim, ForkServerProcess] = {}
        self._lock = threading.Lock()
        self._closing = False

    def prepare(self) -> None:
        """Start the fork server and wait until it has torch, so that no job's lease runs while it loads.

        Raises:
            DeviceUnusable: no job of this worker could run; better to claim none.
        """
        self._context.set_forkserver_preload(["worker.child"])
        probe = self._context.Process(target=_probe, args=(self._settings,), name="probe")
        probe.start()
        probe.join()
        if probe.exitcode != 0:
            raise DeviceUnusable(f"The device {self._settings.device!r} (GAUNTLET_DEVICE) cannot be used here.")

    @property
    def free_slots(self) -> int:
        """How many more jobs could start now."""
        return 0 if self._closing else self._settings.worker_slots - len(self._running)

    def run(self, kind: JobKind, identifier: str) -> None:
        """Once a slot is free, claim the job and do it in a process of its own; returns when that ends.

        Nothing happens if it cannot be claimed.
        """
        with self._slots:
            self._do(kind, identifier)

    def start(self, kind: JobKind, identifier: str) -> None:
        """The same in a thread of its own, and only if a slot is free now."""
        # No daemon: the worker's end waits until what its jobs leave behind is written down.
        threading.Thread(target=self._run_at_once, args=(kind, identifier), name=identifier).start()

    def _run_at_once(self, kind: JobKind, identifier: str) -> None:
        if not self._slots.acquire(blocking=False):
            return
        try:
            self._do(kind, identifier)
        except Exception:
            logger.exception("The %s %s could not be started or put back.", kind, identifier)
        finally:
            self._slots.release()

    def _do(self, kind: JobKind, identifier: str) -> None:
        if self._closing:
            return
        with self._database.writing() as session:
            held = jobs.claim(session, kind, identifier, self._settings.worker_name, self._settings.lease_s)
        if held is None:
            return
        process = self._context.Process(target=_enter, args=(self._settings, held), name=identifier)
        with self._lock:
            process.start()
            logger.info("%s attempt %d starts as process %d.", held.id, held.token, process.pid)
            self._running[held] = process
            if self._closing:
                process.terminate()
        process.join()
        with self._lock:
            del self._running[held]
        if process.exitcode != 0:
            self._give_back(held, process.exitcode)

    def shut_down(self) -> None:
        """Ask every job to stop at its next batch and go back to the queue; start no more."""
        self._closing = True
        with self._lock:
            for process in self._running.values():
                process.terminate()

    def _give_back(self, held: Claim, exit_code: int | None) -> None:
        fault = f"The process of attempt {held.token} {_ending(exit_code)}."
        with contextlib.suppress(LeaseLost), self._database.writing() as session:
            if self._closing:
                # It was told to stop before it could listen; that is no crash of its own.
                jobs.release(session, held, "worker_shutdown")
            else:
                jobs.abandon(session, held, fault, retry_s=self._settings.retry_s)
        with self._database.reading() as session:
            logger.error("%s %s Now %s", held.id, fault, jobs.end_of(session, held))


def _ending(exit_code: int | None) -> str:
    if exit_code is None or exit_code >= 0:
        return f"ended with exit status {exit_code}"
    return f"was ended by {signal.Signals(-exit_code).name}"


def _enter(settings: WorkerSettings, held: Claim) -> None:
    # Imported in the job's process: the worker itself stays free of torch.
    from worker.child import main

    main(settings, held)


def _probe(settings: WorkerSettings) -> None:
    from worker.child import probe

    probe(settings)
