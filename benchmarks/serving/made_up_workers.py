"""Made-up workers at work: two processes do on time what each of them would, by the code that workers have."""

import heapq
import multiprocessing
import os
import random
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sqlalchemy import delete, update

from store import webhooks
from store.database import Database, db_now
from store.models import Run, Worker
from store.queue import helpers, jobs, unpacking, workers
from store.queue.jobs import Claim, JobProgress
from store.queue.workers import Presence
from worker.presence import beats_every_s, takes_part

LEASE_S = 15.0
PROCESSES = 2
_THREADS = 8
# So long connections are made, and statements met for the first time.
_WARM_S = 2.0
_TICKS = os.sysconf("SC_CLK_TCK")


def at_work(url: str, queued: Sequence[str], seconds: float, *, every_look: bool) -> dict[str, Any]:
    """A worker for each of the queued runs, for a while; `every_look` has all of them take part in all looks."""
    database = Database(url)
    # As if each had been claimed; that is measured by itself.
    running = {"status": "running", "attempt": 1, "lease_expires_at": db_now() + 3_600}
    with database.writing() as session:
        session.execute(update(Run).where(Run.id.in_(queued)).values(running))
        for part in range(PROCESSES):
            for number in range(len(queued[part::PROCESSES])):
                workers.enter(session, Presence(f"{part}-{number}", 1, "0"))
    held = [Claim("run", run, 1) for run in queued]
    before, began = _server_seconds(), time.monotonic()
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    start = context.Barrier(PROCESSES)
    crowd = 1 if every_look else len(queued)
    processes = [
        context.Process(target=_part, args=(url, held[part::PROCESSES], part, crowd, seconds, start, told))
        for part in range(PROCESSES)
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
    late = [late_s for part in parts for late_s in part["late"]]
    done = sum(part["done"] for part in parts)
    return {
        "workers": len(queued),
        "transactions_a_second": round(done / seconds),
        "renewed_late_ms": quantiles(late),
        "server_ms_each": round(1000 * server / done, 2),
        "askers_ms_each": round(1000 * sum(part["spent"] for part in parts) / done, 2),
        "wall_s": round(time.monotonic() - began, 1),
    }


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
            with database.looking() as session:
                helpers.any_expired(session)
        return takes

    def look_for_archives() -> bool:
        if takes := takes_part(crowd):
            with database.looking() as session:
                unpacking.any_waits(session)
        return takes

    def look_for_deliveries() -> bool:
        if takes := takes_part(crowd):
            with database.looking() as session:
                webhooks.has_work(session)
        return takes

    return [
        (beats_every_s(1.0, LEASE_S, crowd), renew),
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


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """The median, the 95th of a hundred and the longest, in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    return {"p50": round(1000 * cuts[49], 1), "p95": round(1000 * cuts[94], 1), "most": round(1000 * max(seconds), 1)}
