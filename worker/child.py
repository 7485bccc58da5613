"""A process of jobs: everything that touches torch or the GPU happens here and ends with it.

It has one job, or several runs that are trained together.
"""

import logging
import signal
import time
from collections.abc import Sequence

import torch

from gauntlet.errors import ModelUnfit
from gauntlet.models.own_networks import own_networks, take_from
from store import jobs, logs
from store.broker import create_celery, wake
from store.database import Database
from store.jobs import Claim
from worker.devices import choose_device
from worker.endings import conclude
from worker.evaluation_job import evaluate_checkpoint
from worker.fused_training_job import Member, train_runs
from worker.heartbeat import Heartbeat, beating
from worker.job_log import JobLog
from worker.settings import WorkerSettings
from worker.training_job import train_run

logger = logging.getLogger(__name__)


def main(settings: WorkerSettings, claims: Sequence[Claim]) -> None:
    """Do one claimed job, or train several claimed runs, and write down how each ended. Entry of the process."""
    first, others = claims[0], len(claims) - 1
    who = f"{first.id} attempt {first.token}" + (f" and {others} more" if others else "")
    logs.configure(who, settings.log_format, job=None if others else first.id, attempt=None if others else first.token)
    started = time.monotonic()
    database = Database(settings.database_url)
    members = [_member(database, held, settings) for held in claims]
    for member in members:
        logging.getLogger().addHandler(member.log)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: _shut_down(members))
    torch.set_num_threads(settings.threads_per_job)
    take_from(settings.architectures)
    try:
        with beating(*(member.heartbeat for member in members)):
            if others:
                train_runs(database, members, settings, choose_device(settings.device))
            else:
                _work(database, first, settings, members[0].heartbeat)
        with database.reading() as session:
            for held in claims:
                with logs.about(held.id, held.token):
                    logger.info("After %.1f s: %s", time.monotonic() - started, jobs.end_of(session, held))
    finally:
        for member in members:
            member.log.store_last()
    database.close()


def _shut_down(members: Sequence[Member]) -> None:
    for member in members:
        member.heartbeat.stop("shutdown")


def _member(database: Database, held: Claim, settings: WorkerSettings) -> Member:
    log = JobLog(database, held)
    return Member(held, Heartbeat(database, held, settings, log), log)


def _work(database: Database, held: Claim, settings: WorkerSettings, heartbeat: Heartbeat) -> None:
    device = choose_device(settings.device)
    try:
        if held.kind == "run":
            waiting = train_run(database, held, settings, heartbeat, device)
            wake(create_celery(settings.broker_url), len(waiting))
        else:
            evaluate_checkpoint(database, held, settings, heartbeat, device)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is written down
        conclude(error, database, held, settings)


def probe(settings: WorkerSettings) -> dict[str, str] | str:
    """Use the device once; raises whatever torch raises where it cannot be used.

    Returns a team's own networks, by name, each with its package; or, as a sentence, why there are none.
    """
    torch.zeros(1, device=choose_device(settings.device))
    take_from(settings.architectures)
    try:
        return {name: network.package for name, network in own_networks().items()}
    except ModelUnfit as error:
        return str(error)
