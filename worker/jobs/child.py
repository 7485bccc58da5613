"""A process of jobs: everything that touches torch or the GPU happens here and ends with it.

It has one job, several runs that are trained together, or a share of another worker's evaluation.
"""

import logging
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from gauntlet.errors import ModelUnfit
from gauntlet.models.memory import keep_freed_memory
from gauntlet.models.own_networks import own_networks, take_from
from store import logs
from store.database import Database
from store.errors import LeaseLost
from store.queue import jobs
from store.queue.broker import create_celery, wake
from store.queue.helpers import Help
from store.queue.jobs import Claim
from worker.jobs.devices import choose_device
from worker.jobs.endings import conclude
from worker.jobs.evaluation_job import evaluate_checkpoint
from worker.jobs.fused_training_job import Member, train_runs
from worker.jobs.heartbeat import Heartbeat, Stopped, beating, end
from worker.jobs.helping_job import CannotHelp, help_evaluate
from worker.jobs.job_log import JobLog
from worker.jobs.shared_sweep import NothingToDo
from worker.jobs.training_job import train_run
from worker.settings import WorkerSettings
from worker.spans import Tell, teller
from worker.unhelped import NOTHING_LEFT

logger = logging.getLogger(__name__)


def main(settings: WorkerSettings, claims: Sequence[Claim], spans: socket.socket | None) -> None:
    """Do one claimed job, or train several claimed runs, and write down how each ended. Entry of the process."""
    first, others = claims[0], len(claims) - 1
    who = f"{first.id} attempt {first.token}" + (f" and {others} more" if others else "")
    logs.configure(who, settings.log_format, job=None if others else first.id, attempt=None if others else first.token)
    started = time.monotonic()
    database = Database(settings.database_url, kept=1)
    tell = None if spans is None else teller(spans)
    members = [_member(database, held, settings, tell) for held in claims]
    with _logging_to(*(member.log for member in members)):
        with _at_work(settings, *(member.heartbeat for member in members)):
            for member in members:
                member.heartbeat.course.begin(database)
            if others:
                train_runs(database, members, settings, choose_device(settings.device))
            else:
                _work(database, first, settings, members[0].heartbeat)
        with database.reading() as session:
            for held in claims:
                with logs.about(held.id, held.token):
                    logger.info("After %.1f s: %s", time.monotonic() - started, jobs.end_of(session, held))
        for member in members:
            member.heartbeat.course.end(database)
    database.close()


def help_out(settings: WorkerSettings, helped: Help, spans: socket.socket | None) -> None:
    """Help with another worker's evaluation. Entry of the process, whose exit status says where it is of no use."""
    logs.configure(f"{helped.job} {helped.speaker}", settings.log_format, job=helped.job)
    database = Database(settings.database_url, kept=1)
    log = JobLog(database, helped)
    heartbeat = Heartbeat(database, helped, settings, log, None if spans is None else teller(spans))
    try:
        with _logging_to(log), _at_work(settings, heartbeat):
            _help(database, helped, settings, heartbeat)
    finally:
        heartbeat.course.end(database)
    database.close()


@contextmanager
def _logging_to(*job_logs: JobLog) -> Iterator[None]:
    for log in job_logs:
        logging.getLogger().addHandler(log)
    try:
        yield
    finally:
        for log in job_logs:
            log.store_last()


@contextmanager
def _at_work(settings: WorkerSettings, *heartbeats: Heartbeat) -> Iterator[None]:
    """Inside, this process is as its jobs want it, and tells and hears of them."""

    def shut_down(*_: object) -> None:
        for heartbeat in heartbeats:
            heartbeat.stop("shutdown")

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, shut_down)
    torch.set_num_threads(settings.threads_per_job)
    keep_freed_memory()
    take_from(settings.architectures)
    with beating(*heartbeats):
        yield


def _member(database: Database, held: Claim, settings: WorkerSettings, tell: Tell | None) -> Member:
    log = JobLog(database, held)
    return Member(held, Heartbeat(database, held, settings, log, tell), log)


def _work(database: Database, held: Claim, settings: WorkerSettings, heartbeat: Heartbeat) -> None:
    try:
        device = choose_device(settings.device)
        if held.kind == "run":
            waiting = train_run(database, held, settings, heartbeat, device)
            wake(create_celery(settings.broker_url), len(waiting))
        else:
            evaluate_checkpoint(database, held, settings, heartbeat, device)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is written down
        conclude(error, database, held, settings)


def _help(database: Database, helped: Help, settings: WorkerSettings, heartbeat: Heartbeat) -> None:
    """Whatever goes wrong here is no matter of the evaluation's: its own worker comes to the same batches."""
    try:
        help_evaluate(database, helped, settings, heartbeat, choose_device(settings.device))
        end(database, helped, "shutdown")
    except Stopped as stopped:
        end(database, helped, stopped.reason)
    except LeaseLost as error:
        logger.info("%s", error)
        end(database, helped, "lease_lost")
    except NothingToDo as error:
        logger.info("%s", error)
        end(database, helped, "shutdown")
        sys.exit(NOTHING_LEFT)
    except CannotHelp as error:
        logger.warning("%s", error)
        sys.exit(1)
    except Exception:
        logger.exception("This worker cannot help.")
        sys.exit(1)


def probe(settings: WorkerSettings) -> tuple[str, dict[str, str] | str]:
    """Use the device once, and return its type; raises whatever torch raises where it cannot be used.

    Beside it a team's own networks, by name, each with its package; or, as a sentence, why there are none.
    """
    device = choose_device(settings.device)
    torch.zeros(1, device=device)
    take_from(settings.architectures)
    try:
        return device.type, {name: network.package for name, network in own_networks().items()}
    except ModelUnfit as error:
        return device.type, str(error)
