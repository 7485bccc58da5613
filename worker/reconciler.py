"""Puts right what the broker lost and what dead workers held. Every worker runs one; all of it is idempotent."""

import logging
import threading

from celery import Celery
from sqlalchemy.exc import OperationalError

from store import jobs
from store.broker import wake
from store.database import Database
from worker.processes import JobProcesses
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)


class Reconciler(threading.Thread):
    """Looks every `reconcile_s` seconds, until it is stopped."""

    def __init__(self, app: Celery, database: Database, processes: JobProcesses, settings: WorkerSettings) -> None:
        super().__init__(name="reconciler", daemon=True)
        self._app = app
        self._database = database
        self._processes = processes
        self._settings = settings
        self._stopped = threading.Event()

    def run(self) -> None:
        """The thread's body."""
        while not self._stopped.wait(self._settings.reconcile_s):
            try:
                self.reconcile()
            except OperationalError as error:
                logger.warning("The reconciler could not reach the database: %s", error)

    def stop(self) -> None:
        """End after the current look."""
        self._stopped.set()

    def reconcile(self) -> None:
        """Queue what a dead worker held; and if this worker has room although a job waits, wake it for that job.

        A worker with room has emptied its queue, so a job that still waits lost its message. At most one message per
        free slot and look keeps this harmless if the message was merely on its way.
        """
        with self._database.writing() as session:
            for model in jobs.JOB_MODELS.values():
                for identifier in jobs.reclaim_expired(session, model):
                    logger.warning("The lease of %s ran out; its worker is lost.", identifier)
        free = self._processes.free_slots
        if free <= 0:
            return
        with self._database.reading() as session:
            waiting = jobs.longest_waiting(session, free)
        for kind, identifier in waiting:
            wake(self._app, kind, [identifier])
