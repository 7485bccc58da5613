"""What a thousand workers ask of PostgreSQL: where the knee is, and what it takes to claim a thousand runs.

The workers are made up: two processes do on time what each of them would, by the code that workers have, on a durable
PostgreSQL of this machine. Each holds a job and renews its lease every second, or as rarely as beside so many others,
says every 5 s that it lives and puts right what dead workers held, and looks for archives every second and for webhooks
every two, of which it takes part in as many as `worker.presence` says. Late is how long after its time a lease was
renewed. Those who ask share the cores with the server, so each side's seconds of a processor are told apart.
`--every-look` has all take part in all looks, and renew every second.

A hundred idle ones, each woken by a message, claim what comes: all at once, of one experiment, and run by run. How long
a run waited is between its row's times, by the database's clock; a message's own way, a few ms, is not in it.
"""

import argparse
import heapq
import json
import multiprocessing
import os
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import delete, select, update

from benchmarks.machine import describe_machine
from benchmarks.serving.stored import SMALL
from benchmarks.studies.record import code_commit
from gauntlet.spec.experiment import ExperimentSpec
from store import webhooks
from store.database import Database, db_now, migrate
from store.models import Run, Worker
from store.queue import fused, helpers, jobs, unpacking, workers
from store.queue.jobs import Claim, JobProgress
from store.queue.workers import Presence
from store.subjects import experiments
from store.subjects.runs import EpochRecord, record_epoch
from tests.postgres import running_postgres
from worker.presence import beats_every_s, takes_part

_LEASE_S = 15.0
_PROCESSES, _THREADS = 2, 8
_CLAIMERS = 16
_IDLE, _BURSTS, _SINGLES, _SINGLES_A_SECOND = 100, 3, 60, 6.0
# So long connections are made, and statements met for the first time.
_WARM_S = 2.0
_TICKS = os.sysconf("SC_CLK_TCK")


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
                claims = fused.claim_next(session, f"worker-{number}", _LEASE_S, most=1)
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
    found = {"runs": len(took), "claimers": _CLAIMERS, "seconds": round(spent, 1), "claim_ms": _quantiles(took)}
    print(found, file=sys.stderr)
    return found


def _pickup(url: str) -> dict[str, Any]:
    """How long runs wait for one of a hundred idle workers: as many as there are at once, and one after the other."""
    database = Database(url)
    context = multiprocessing.get_context("spawn")
    messages, ready = context.Queue(), context.Barrier(_PROCESSES + 1)
    each = _IDLE // _PROCESSES
    processes = [context.Process(target=_await_messages, args=(url, each, messages, ready)) for _ in range(_PROCESSES)]
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
    found = {"idle_workers": _IDLE, "all_at_once_ms": _quantiles(bursts), "one_by_one_ms": _quantiles(singles)}
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
                claims = fused.claim_next(session, f"idle-{number}", _LEASE_S, most=1)
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
    # As if each had been claimed; that is measured by itself.
    running = {"status": "running", "attempt": 1, "lease_expires_at": db_now() + 3_600}
    with database.writing() as session:
        session.execute(update(Run).where(Run.id.in_(queued)).values(running))
        for part in range(_PROCESSES):
            for number in range(len(queued[part::_PROCESSES])):
                workers.enter(session, Presence(f"{part}-{number}", 1, "0"))
    held = [Claim("run", run, 1) for run in queued]
    before, began = _server_seconds(), time.monotonic()
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    start = context.Barrier(_PROCESSES)
    crowd = 1 if options.every_look else count
    processes = [
        context.Process(target=_part, args=(url, held[part::_PROCESSES], part, crowd, options.seconds, start, told))
        for part in range(_PROCESSES)
    ]
    for process in processes:
        process.start()
    parts = [told.get() for _ in processes]
    for process in processes:
        process.join()
    server = _server_seconds() - before
    with database.writing() as session:
        session.execute(update(Run).where(Run.id.in_(queued)).values(status="cancelled"))
        session.execute(delete(Worker))
    database.close()
    late = [seconds for part in parts for seconds in part["late"]]
    done = sum(part["done"] for part in parts)
    found = {
        "workers": count,
        "transactions_a_second": round(done / options.seconds),
        "renewed_late_ms": _quantiles(late),
        "server_ms_each": round(1000 * server / done, 2),
        "askers_ms_each": round(1000 * sum(part["spent"] for part in parts) / done, 2),
        "wall_s": round(time.monotonic() - began, 1),
    }
    print(found, file=sys.stderr)
    return found


def _part(url: str, held: Sequence[Claim], part: int, crowd: int, seconds: float, start: Any, told: Any) -> None:
    """What some of the workers do, each at its time, with a few connections for all."""
    database = Database(url, connections=_THREADS)
    late: list[float] = []
    counts = {"done": 0}
    lock = threading.Lock()
    due: list[tuple[float, int, float, Callable[[], bool], bool]] = []
    chance = random.Random(part)  # noqa: S311  # no secret
    start.wait()
    began, spent = time.monotonic(), time.process_time()
    for number, claim in enumerate(held):
        for every, work in _duties(database, claim, f"{part}-{number}", crowd):
            at = began + chance.random() * every
            heapq.heappush(due, (at, len(due), every, work, work.__name__ == "renew"))

    def serve() -> None:
        while True:
            with lock:
                if not due or due[0][0] > began + seconds:
                    return
                at, order, every, work, renews = heapq.heappop(due)
                heapq.heappush(due, (at + every, order, every, work, renews))
            time.sleep(max(0.0, at - time.monotonic()))
            if time.monotonic() > began + seconds:
                return
            asked = work()
            with lock:
                counts["done"] += asked
                if renews and at > began + _WARM_S:
                    late.append(time.monotonic() - at)

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(lambda _: serve(), range(_THREADS)))
    told.put({"late": late, "spent": time.process_time() - spent, **counts})
    database.close()


def _duties(database: Database, held: Claim, name: str, crowd: int) -> list[tuple[float, Callable[[], bool]]]:
    """What a worker with one job does, and how often."""
    presence = Presence(name, 1, "0")

    def renew() -> bool:
        with database.writing() as session:
            jobs.renew(session, held, 3_600, JobProgress("training", 1, 2, "images", 1.0))
        return True

    def beat() -> bool:
        with database.writing() as session:
            workers.beat(session, presence)
            workers.count_alive(session)
        return True

    def reclaim() -> bool:
        if takes := takes_part(crowd):
            with database.writing() as session:
                for model in jobs.JOB_MODELS.values():
                    jobs.reclaim_expired(session, model, retry_s=30)
                helpers.forget_expired(session)
        return takes

    def look_for_archives() -> bool:
        if takes := takes_part(crowd):
            with database.reading() as session:
                unpacking.any_waits(session)
        return takes

    def look_for_deliveries() -> bool:
        if takes := takes_part(crowd):
            with database.reading() as session:
                webhooks.has_work(session)
        return takes

    return [
        (beats_every_s(1.0, _LEASE_S, crowd), renew),
        (5.0, beat),
        (5.0, reclaim),
        (1.0, look_for_archives),
        (2.0, look_for_deliveries),
    ]


def _server_seconds() -> float:
    """Of a processor, by all processes of PostgreSQL that this machine's user has, ended ones too."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(") ")[2].split()
            if (folder / "comm").read_text().strip() == "postgres":
                total += int(fields[11]) + int(fields[12])
                if fields[1] == str(os.getpid()):
                    # Those of its children that have ended.
                    total += int(fields[13]) + int(fields[14])
        except OSError:
            continue
    return total / _TICKS


def _quantiles(seconds: Sequence[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=100)
    return {"p50": round(1000 * cuts[49], 1), "p95": round(1000 * cuts[94], 1), "most": round(1000 * max(seconds), 1)}


if __name__ == "__main__":
    main()
