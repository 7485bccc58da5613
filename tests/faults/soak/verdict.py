"""What must be true once nobody asks for anything more and nothing is killed."""

import os
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from sqlalchemy import exists, func, or_, select

from gauntlet.resources import TERMINAL
from store.database import Database
from store.models import (
    Dataset,
    EpochMetrics,
    Evaluation,
    EvaluationHelper,
    Event,
    Experiment,
    LoggedLines,
    Run,
    TakenBatch,
)
from tests.e2e.system import System
from tests.faults.soak.parts import Parts

_PATIENCE_S = 180.0
GRAVE = ("ERROR", "CRITICAL", "Traceback")
# With these lines it answers 503: the database was struck.
_AWAY = ("The database is unavailable: ", "The storage is away: ")
_OWN = ("api", "worker", "fork server", "resource tracker", "broker", "aside", "database session")


def reach(system: System, database: Database, parts: Parts, kept: set[str]) -> dict[str, Any]:
    """Each sentence with what speaks against it: nothing, where it holds."""
    _make_old(system)
    return {
        **lost_and_doubled(database, kept),
        "jobs_that_did_not_end": _until_none(lambda: _unended(database)),
        "jobs_that_ended_twice": _ended_twice(database),
        "holes_in_metrics": _holes(database),
        "claims_of_ended_evaluations": _until_none(lambda: _left_claims(database)),
        "rows_of_deleted_jobs": _left_rows(database),
        "orphan_files": _until_none(lambda: [] if system.leaves_no_orphan() else ["files that no row names"]),
        "orphan_processes": _until_none(lambda: _orphans(parts)),
    }


def too_few_strikes(strikes: int, minutes: float, every_s: float) -> list[str]:
    """A soak that struck less than half as often as it was to has shown nothing: some strikes wait, or find nobody."""
    wanted = max(1, int(60 * minutes / every_s / 2))
    return [] if strikes >= wanted else [f"{strikes} strikes, of {wanted} at least"]


def faults_of_the_service(log: str) -> list[str]:
    """Its lines that tell of answers 500 and of what failed beside them; users ask again whatever the answer was."""
    grave = [line for line in log.splitlines() if any(word in line for word in GRAVE)]
    return [line for line in grave if not any(words in line for words in _AWAY)]


def lost_and_doubled(database: Database, kept: set[str]) -> dict[str, list[str]]:
    """What is there beside what users have been told is there and have not deleted."""
    queries = (
        select(Experiment.id),
        select(Evaluation.id).where(Evaluation.experiment_id.is_(None)),
        select(Dataset.id).where(Dataset.deleted_at.is_(None)),
    )
    with database.reading() as session:
        there = {identifier for query in queries for identifier in session.scalars(query)}
    return {"lost": sorted(kept - there), "doubled_or_not_deleted": sorted(there - kept)}


def left_processes(parts: Parts) -> list[str]:
    """What lives after all has been told to end."""
    return _until_none(lambda: [each.kind for each in parts.alive() if each.kind != "database session"])


def _until_none(look: Callable[[], list[str]]) -> list[str]:
    """What is still found after a while."""
    deadline = time.monotonic() + _PATIENCE_S
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(1)
    return found


def _make_old(system: System) -> None:
    """As if two hours had passed: an upload that its service did not live to answer is kept for one."""
    for file in (system.home / "checkpoints").rglob("*"):
        try:
            os.utime(file, (0, 0))
        except FileNotFoundError:
            continue


def _unended(database: Database) -> list[str]:
    with database.reading() as session:
        jobs = [
            session.scalars(select(model.id).where(model.status.not_in(TERMINAL))).all() for model in (Run, Evaluation)
        ]
        unpacking = session.scalars(select(Dataset.id).where(Dataset.status == "unpacking")).all()
    return [identifier for found in (*jobs, unpacking) for identifier in found]


def _ended_twice(database: Database) -> list[str]:
    """A terminal status never changes, so of each job one event tells of it."""
    ends = select(Event.subject).where(Event.type == "status", Event.kind.in_(TERMINAL))
    jobs = (Event.subject.startswith("run_"), Event.subject.startswith("eval_"))
    with database.reading() as session:
        told = Counter(session.scalars(ends.where(jobs[0] | jobs[1])))
        ended = [
            session.scalars(select(model.id).where(model.status.in_(TERMINAL))).all() for model in (Run, Evaluation)
        ]
    untold = [identifier for found in ended for identifier in found if told[identifier] == 0]
    return untold + [identifier for identifier, count in told.items() if count > 1]


def _holes(database: Database) -> list[str]:
    """Epochs are counted from one; the key of a row keeps each from being there twice."""
    counted = select(EpochMetrics.run_id, func.count(), func.min(EpochMetrics.epoch), func.max(EpochMetrics.epoch))
    with database.reading() as session:
        rows = session.execute(counted.group_by(EpochMetrics.run_id)).all()
    return [run for run, count, first, last in rows if (first, last) != (1, count)]


def _left_claims(database: Database) -> list[str]:
    with database.reading() as session:
        taken = session.scalars(select(TakenBatch.evaluation_id)).all()
        return [*taken, *session.scalars(select(EvaluationHelper.id)).all()]


def _left_rows(database: Database) -> list[str]:
    """Logs stand on nothing that would keep a job from being deleted before them, or them from being written after."""
    there = (exists().where(model.id == LoggedLines.job_id) for model in (Run, Evaluation))
    with database.reading() as session:
        return list(session.scalars(select(LoggedLines.job_id).where(~or_(*there)).distinct()))


def _orphans(parts: Parts) -> list[str]:
    """Processes of workers and services that died, and of jobs that ended."""
    listed = parts.alive()
    living = {process.pid for process in listed if process.kind in ("api", "worker")}
    for _ in range(3):
        living |= {process.pid for process in listed if process.parent in living}
    without = [each for each in listed if each.kind not in ("broker", "database session")]
    return [each.kind for each in without if each.pid not in living or each.kind not in _OWN]
