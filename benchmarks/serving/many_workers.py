"""What a thousand workers ask of PostgreSQL: where the knee is, and what it takes to claim a thousand runs.

The workers are made up (`made_up_workers`), on a durable PostgreSQL of this machine. Each holds a job and renews its
lease every second, or as rarely as beside so many others, says every 5 s that it lives and puts right what dead
workers held, and looks for archives every second and for webhooks every two, of which it takes part in as many as
`worker.presence` says. Late is how long after its time a lease was renewed. Those who ask share the cores with the
server, so each side's seconds of a processor are told apart. `--every-look` has all take part in all looks, and renew
every second.

A hundred idle ones, each woken by a message, claim what comes: all at once, of one experiment, and run by run. How long
a run waited is between its row's times, by the database's clock; a message's own way, a few ms, is not in it.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import select

from benchmarks.machine import describe_machine
from benchmarks.serving.made_up_workers import LEASE_S, PROCESSES, at_work, quantiles
from benchmarks.serving.stored import SMALL
from benchmarks.studies.record import code_commit
from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database, migrate
from store.models import Run
from store.queue import fused, jobs
from store.subjects import experiments
from store.subjects.runs import EpochRecord, record_epoch
from tests.postgres import running_postgres

_CLAIMERS = 16
_IDLE, _BURSTS, _SINGLES, _SINGLES_A_SECOND = 100, 3, 60, 6.0


def main() -> None:
    """Measure, print and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[100, 250, 500, 1000])
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--every-look", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with running_postgres(durable=True) as server:
        url = _database(server)
        result = {
            "machine": describe_machine() | {"load_before": round(load, 1)},
            "commit": code_commit(),
            "claims": _claims(url, options.runs),
            "pickup": _pickup(url),
            "epochs": _epochs(url),
            "every_look": options.every_look,
            "workers": [_crowd(url, count, options) for count in options.workers],
        }
    told = json.dumps(result, indent=1)
    print(told)
    if options.out is not None:
        options.out.write_text(told + "\n")


def _database(server: str) -> str:
    with psycopg.connect((server % "postgres").replace("postgresql+psycopg", "postgresql"), autocommit=True) as admin:
        admin.execute("CREATE DATABASE gauntlet")
    url = server % "gauntlet"
    migrate(url)
    return url


def _queue(database: Database, runs: int, experiments_count: int) -> list[str]:
    spec = ExperimentSpec.model_validate(SMALL | {"objectives": [{"kind": "cross_entropy"}]})
    each = spec.model_copy(update={"seeds": tuple(range(runs // experiments_count))})
    queued: list[str] = []
    for _ in range(experiments_count):
        with database.writing() as session:
            queued += experiments.create(session, each, None)[1]
    return queued


def _claims(url: str, runs: int) -> dict[str, Any]:
    """As many runs of ten experiments, each claimed by whoever is free and ended at once."""
    database = Database(url, connections=_CLAIMERS)
    _queue(database, runs, 10)
    took: list[float] = []

    def work(number: int) -> None:
        while True:
            began = time.monotonic()
            with database.writing() as session:
                claims = fused.claim_next(session, f"worker-{number}", LEASE_S, most=1)
            if not claims:
                return
            took.append(time.monotonic() - began)
            with database.writing() as session:
                jobs.finish(session, claims[0], "cancelled", "user")

    began = time.monotonic()
    with ThreadPoolExecutor(_CLAIMERS) as pool:
        list(pool.map(work, range(_CLAIMERS)))
    spent = time.monotonic() - began
    database.close()
    found = {"runs": len(took), "claimers": _CLAIMERS, "seconds": round(spent, 1), "claim_ms": quantiles(took)}
    print(found, file=sys.stderr)
    return found


def _pickup(url: str) -> dict[str, Any]:
    """How long runs wait for one of a hundred idle workers: as many as there are at once, and one after the other."""
    database = Database(url)
    context = multiprocessing.get_context("spawn")
    messages, ready = context.Queue(), context.Barrier(PROCESSES + 1)
    each = _IDLE // PROCESSES
    processes = [context.Process(target=_await_messages, args=(url, each, messages, ready)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    ready.wait()
    # The first claims make the connections.
    _waited(database, messages, _IDLE, 1)
    bursts = [seconds for _ in range(_BURSTS) for seconds in _waited(database, messages, _IDLE, 1)]
    singles: list[float] = []
    for _ in range(_SINGLES):
        began = time.monotonic()
        singles += _waited(database, messages, 1, 1)
        time.sleep(max(0.0, began + 1 / _SINGLES_A_SECOND - time.monotonic()))
    for _ in range(_IDLE):
        messages.put(None)
    for process in processes:
        process.join()
    database.close()
    found = {"idle_workers": _IDLE, "all_at_once_ms": quantiles(bursts), "one_by_one_ms": quantiles(singles)}
    print(found, file=sys.stderr)
    return found


def _waited(database: Database, messages: Any, runs: int, experiments_count: int) -> list[float]:
    """Submit so many runs, wake somebody for each, and say how long each waited until it was claimed."""
    queued = _queue(database, runs, experiments_count)
    for run in queued:
        messages.put(run)
    started = select(Run.started_at - Run.created_at).where(Run.id.in_(queued), Run.status == "cancelled")
    while True:
        with database.reading() as session:
            found = session.scalars(started).all()
        if len(found) == runs:
            return [float(seconds or 0.0) for seconds in found]
        time.sleep(0.02)


def _await_messages(url: str, workers: int, messages: Any, ready: Any) -> None:
    """So many idle workers, each of which claims a run at each message, and ends it at once."""
    database = Database(url, connections=workers // 2, kept=workers // 2)

    def work(number: int) -> None:
        while messages.get() is not None:
            with database.writing() as session:
                claims = fused.claim_next(session, f"idle-{number}", LEASE_S, most=1)
            for held in claims:
                with database.writing() as session:
                    jobs.finish(session, held, "cancelled", "user")

    ready.wait()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(workers)))
    database.close()


def _epochs(url: str, count: int = 300) -> dict[str, Any]:
    """One run after the other records its epochs, with metrics, the event and the look at its status."""
    database = Database(url)
    (run,) = _queue(database, 1, 1)
    with database.writing() as session:
        held = jobs.claim(session, "run", run, "worker", 3_600)
    assert held is not None
    metrics = {f"metric_{number}": 0.5 for number in range(12)}
    began = time.monotonic()
    for epoch in range(1, count + 1):
        with database.writing() as session:
            record_epoch(session, held, EpochRecord(epoch, metrics, 1.0, 1.0, [], None, ()))
    spent = time.monotonic() - began
    with database.writing() as session:
        jobs.finish(session, held, "cancelled", "user")
    database.close()
    return {"epochs": count, "a_second": round(count / spent)}


def _crowd(url: str, count: int, options: argparse.Namespace) -> dict[str, Any]:
    """So many workers at work for a while."""
    database = Database(url)
    queued = _queue(database, count, max(1, count // 50))
    database.close()
    found = at_work(url, queued, options.seconds, every_look=options.every_look)
    print(found, file=sys.stderr)
    return found


if __name__ == "__main__":
    main()
