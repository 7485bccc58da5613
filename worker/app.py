"""The Celery worker: a message wakes it, and the job whose turn it is gets a process of its own."""

import logging
import threading
from functools import partial
from typing import Any

from celery import Celery, signals

import gauntlet
from store.database import Database
from store.queue.broker import TASK, create_celery
from store.texts import masked
from store.traces.sending import sender
from worker.beside.reconciler import reconcile
from worker.beside.rounds import Rounds
from worker.beside.sweeper import sweep
from worker.beside.unpacker import Unpacker
from worker.beside.webhooks import deliver
from worker.forked import NotStarted
from worker.jobs.images import decoded_cache
from worker.presence import Announcer
from worker.processes import JobProcesses
from worker.settings import WorkerSettings
from worker.spans import Tell
from worker.stopping import Stopping
from worker.temporary import take_folder

logger = logging.getLogger(__name__)

# Somebody waits for it.
_LOOK_FOR_ARCHIVES_S = 1.0
_TELL_WEBHOOKS_S = 2.0


def create_worker(settings: WorkerSettings, tell: Tell | None) -> tuple[Celery, JobProcesses, Stopping]:
    """A Celery app with this project's task and its reconciler, the processes of its jobs, and its orderly shutdown.

    `tell` sends spans, if any are wanted.

    Raises:
        DeviceUnusable: no job of this worker could run.
    """
    app = create_celery(settings.broker_url)
    database = Database(settings.database_url, kept=1)
    processes = JobProcesses(settings, database, tell)
    processes.preparation.make()
    announcer = Announcer(database, settings, processes.preparation.networks)
    presence = Rounds("presence", announcer.tell, announcer.every_s, at_once=True)
    look = partial(
        reconcile,
        database,
        processes,
        retry_s=settings.retry_s,
        takes_part=announcer.takes_part,
        may_judge=announcer.may_judge,
    )
    reconciler = Rounds("reconciler", look, settings.reconcile_s)
    # Apart from the reconciler, which a storage that hangs must not hold up.
    ages = {
        "events_days": settings.events_days,
        "audit_days": settings.audit_days,
        "retry_days": settings.retry_days,
    }
    tidy = partial(sweep, database, settings.storage, decoded=decoded_cache(settings), **ages)
    sweeper = Rounds("sweeper", tidy, settings.sweep_s)
    unpacker = Unpacker(database, settings, tell, announcer.may_judge)
    unpacking = Rounds("unpacker", announcer.in_turn(unpacker.look), _LOOK_FOR_ARCHIVES_S)
    is_stopping = threading.Event()
    deliveries = partial(deliver, database, settings.webhook_networks, stopped=is_stopping.is_set)
    telling = Rounds("webhooks", announcer.in_turn(deliveries), _TELL_WEBHOOKS_S)
    beside = reconciler, sweeper, unpacking, telling

    @app.task(name=TASK)
    def work() -> None:
        processes.run()

    def stop() -> None:
        logger.info("The worker stops; its jobs go back to the queue.")
        is_stopping.set()
        for rounds in beside:
            rounds.stop()
        unpacker.stop()
        processes.shut_down()
        presence.stop()
        announcer.leave()

    stopping = Stopping(stop)

    # Not `worker_ready`: that waits for the broker.
    @signals.worker_init.connect(weak=False)
    def start(**_: Any) -> None:
        presence.start()
        for rounds in beside:
            rounds.start()
        stopping.start()

    # By a signal's handler.
    @signals.worker_shutting_down.connect(weak=False)
    def ask_to_stop(**_: Any) -> None:
        stopping.ask()

    # With somebody connected Celery leaves the logging as it is.
    @signals.setup_logging.connect(weak=False)
    def keep_logging(**_: Any) -> None:
        pass

    return app, processes, stopping


def run_worker(settings: WorkerSettings) -> None:
    """Run the worker in this process until SIGTERM. Threads only wait for processes, so the parent stays responsive.

    Raises:
        DeviceUnusable: no job of this worker could run.
        NotStarted: this machine has no folder for what is temporary, or no room.
    """
    logger.info(
        "Gauntlet %s: %d jobs at once, %d threads each, on %s; database %s, files in %s.",
        gauntlet.__version__,
        settings.worker_slots,
        settings.threads_per_job,
        settings.device,
        masked(settings.database_url),
        settings.storage,
    )
    try:
        take_folder()
    except OSError as error:
        raise NotStarted(error.strerror or type(error).__name__) from error
    # In this process alone, which is never forked: jobs' processes hand it their spans.
    spans = sender(settings.traces, "gauntlet-worker", settings.worker_name)
    app, processes, stopping = create_worker(settings, None if spans is None else spans.tell)
    try:
        app.worker_main(
            [
                # No banner, whose lines are of another form.
                "--quiet",
                "worker",
                "--pool=threads",
                f"--concurrency={settings.worker_slots}",
                f"--hostname=gauntlet@{settings.worker_name.replace(':', '-')}",
                "--loglevel=INFO",
                "--without-gossip",
                "--without-mingle",
            ]
        )
    finally:
        stopping.await_end()
        if spans is not None:
            processes.await_end()
            spans.close()
