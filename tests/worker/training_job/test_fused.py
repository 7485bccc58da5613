"""Runs that a worker trains together: each leaves what it leaves alone, whatever becomes of the others."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import update

from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.training.fused.program import Program
from store import events
from store.database import Database
from store.models import Run
from store.queue import fused, jobs
from store.queue.jobs import Claim
from store.subjects import experiments, runs
from store.traces import attempts
from store.traces.spans import ASKED, Asked, Span
from tests.worker.training_job.attempts import (
    CPU,
    NEVER,
    StopsAt,
    claim,
    kept,
    messages,
    result,
    resume_path,
    spec_with,
    state_files,
    submit,
    train,
)
from worker.jobs.fused_training_job import Member, train_runs
from worker.jobs.heartbeat import Heartbeat, StopReason
from worker.jobs.job_log import JobLog
from worker.settings import WorkerSettings
from worker.spans import Tell

pytestmark = [pytest.mark.long(seconds=40), pytest.mark.thorough]

Stops = Mapping[int, tuple[int, StopReason]]


def of_seeds(tiny_spec: ExperimentSpec, seeds: int, **training: object) -> ExperimentSpec:
    """Runs of three batches to an epoch that differ in seed alone; RMSprop would enlarge their last bits at once."""
    still = {"epochs": 2, "checkpoint_every": 2, "optimizer": {"kind": "sgd", "lr": 0.05}}
    spec = spec_with(tiny_spec, **still | training)
    return spec.model_copy(update={"seeds": tuple(range(seeds)), "architecture": tiny_spec.architecture})


def submit_all(database: Database, spec: ExperimentSpec) -> list[str]:
    with database.writing() as session:
        return experiments.create(session, spec, None)[1]


def claim_together(database: Database) -> tuple[Claim, ...]:
    with database.writing() as session:
        return fused.claim_next(session, "worker", 60, most=8)


def train_all(
    database: Database,
    settings: WorkerSettings,
    claims: Sequence[Claim],
    stops: Stops | None = None,
    tell: Tell | None = None,
) -> None:
    """One attempt at all of them; `stops` says by place after which batch, counted from 1, one is told to stop."""
    members = []
    for place, held in enumerate(claims):
        log = JobLog(database, held)
        heartbeat = Heartbeat(database, held, settings, log, tell)
        if stops is not None and place in stops:
            heartbeat = StopsAt(database, held, settings, *stops[place], tell)
        members.append(Member(held, heartbeat, log))
    train_runs(database, members, settings, CPU)
    assert all(member.heartbeat.has_left for member in members)


def stands(database: Database, run: str) -> tuple[str, str | None]:
    with database.reading() as session:
        row = runs.get(session, run)
        return row.status, row.status_reason


def kinds(database: Database, run: str) -> list[str]:
    """What is told of a run, but for where it was trained."""
    with database.reading() as session:
        told = events.page(session, subject=run, types=(), after=None, limit=100).rows
    return sorted(event.kind for event in told if event.kind not in ("fused", "resumed_elsewhere"))


def assert_alike(found: tuple[list[Any], list[Any]], alone: tuple[list[Any], list[Any]]) -> None:
    """The same epochs with the same numbers, but for their last bits, and checkpoints of the same epochs."""
    assert [epoch for epoch, _ in found[0]] == [epoch for epoch, _ in alone[0]]
    for (_, metrics), (_, expected) in zip(found[0], alone[0], strict=True):
        assert metrics == pytest.approx(expected, rel=1e-3, abs=1e-4)
    assert [epoch for epoch, _ in found[1]] == [epoch for epoch, _ in alone[1]]


def test_runs_trained_together_leave_what_they_leave_alone(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec
) -> None:
    """Metrics, checkpoints, events and evaluations that wait; no state stays; and each says that it was not alone."""
    spec = of_seeds(tiny_spec, 2)
    together = submit_all(database, spec)
    claims = claim_together(database)
    assert [held.id for held in claims] == together
    train_all(database, settings, claims)
    alone = submit_all(database, spec)
    for run in alone:
        train(database, settings, run)
    for run, its in zip(together, alone, strict=True):
        assert_alike(result(database, run), result(database, its))
        assert kinds(database, run) == kinds(database, its)
        assert stands(database, run) == ("succeeded", None)
        assert "in one process with 1 other of its experiment" in messages(database, run)["fused"]
        assert len(kept(database, run)) == 1
    assert state_files(settings) == []


def test_who_leaves_does_not_disturb_the_others(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec
) -> None:
    """One is cancelled, one paused and one diverges; the last ends as it does alone, and the paused one later."""
    spec = of_seeds(tiny_spec, 3)
    wild = of_seeds(tiny_spec, 1, optimizer={"kind": "rmsprop", "lr": 10.0})
    wild = wild.model_copy(update={"objectives": tiny_spec.objectives})
    cancelled, paused, steady = submit_all(database, spec)
    ids = [cancelled, paused, steady, submit(database, wild)]
    claims = [claim(database, run) for run in ids]
    with database.writing() as session:
        runs.cancel(session, cancelled)
        runs.pause(session, paused)
    train_all(database, settings, claims, {0: (2, "cancelled"), 1: (4, "paused")})
    assert [stands(database, run) for run in ids] == [
        ("cancelled", "user"),
        ("paused", "user"),
        ("succeeded", None),
        ("failed", "diverged"),
    ]
    assert resume_path(database, paused) == f"{paused}/attempt-1/epoch-00002-batch-00001.state.safetensors"
    alone = submit_all(database, spec)
    train(database, settings, alone[2])
    assert_alike(result(database, steady), result(database, alone[2]))

    with database.writing() as session:
        runs.resume(session, paused)
    train(database, settings, paused)
    assert "beside other runs" in messages(database, paused)["resumed_elsewhere"]
    train(database, settings, alone[1])
    assert_alike(result(database, paused), result(database, alone[1]))


def test_a_killed_workers_runs_are_taken_over(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec
) -> None:
    """Their leases run out; they are claimed together again, and none has a hole or an epoch twice."""
    spec = of_seeds(tiny_spec, 2)
    together = submit_all(database, spec)
    # One was quicker to save than the other when the worker died.
    seldom = settings.model_copy(update={"state_every_s": NEVER})
    claims = claim_together(database)
    members = []
    for held, how, after in zip(claims, (settings, seldom), (4, 4), strict=True):
        members.append(Member(held, StopsAt(database, held, how, after, "lease_lost"), JobLog(database, held)))
    train_runs(database, members, settings, CPU)
    with database.writing() as session:
        session.execute(update(Run).where(Run.id.in_(together)).values(lease_expires_at=0.0))
        jobs.reclaim_expired(session, Run, retry_s=NEVER)
    again = claim_together(database)
    assert again == tuple(Claim("run", held.id, 2, held.experiment) for held in claims)
    train_all(database, settings, again)
    alone = submit_all(database, spec)
    for run, its in zip(together, alone, strict=True):
        train(database, settings, its)
        assert_alike(result(database, run), result(database, its))
        assert stands(database, run) == ("succeeded", None)


@pytest.mark.parametrize(
    ("error", "reason"),
    [(MemoryError(), "out_of_memory"), (RuntimeError("wrong"), "internal_error")],
)
def test_a_fault_of_what_is_computed_for_all_fails_none(
    database: Database,
    settings: WorkerSettings,
    tiny_spec: ExperimentSpec,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    reason: str,
) -> None:
    """They wait for another attempt, and the third is each one's by itself."""

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(Program, "do", fails)
    together = submit_all(database, of_seeds(tiny_spec, 2))
    soon = settings.model_copy(update={"retry_s": 1e-9})
    for _ in range(2):
        claims = claim_together(database)
        assert [held.id for held in claims] == together
        train_all(database, soon, claims)
        assert [stands(database, run) for run in together] == [("queued", reason)] * 2
    assert [held.id for held in claim_together(database)] == together[:1]


def test_what_is_told_of_runs_that_are_trained_together_is_each_ones_own(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec
) -> None:
    """Each in its own attempt: prepared one after the other, not from the process's start, and trained after that.

    One that is cancelled on the way has the epochs that it finished; the others have all.
    """
    told: list[Span] = []
    before = ASKED.set(Asked("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
    submit_all(database, of_seeds(tiny_spec, 3))
    ASKED.reset(before)
    claims = claim_together(database)
    with database.writing() as session:
        runs.cancel(session, claims[1].id)
    train_all(database, settings, claims, {1: (4, "cancelled")}, told.append)
    of_each = [[span for span in told if span.attributes["gauntlet.run.id"] == held.id] for held in claims]
    assert sum(map(len, of_each)) == len(told)
    prepared, begun = [], []
    for held, spans, epochs in zip(claims, of_each, ([1, 2], [1], [1, 2]), strict=True):
        by_name: dict[str, list[Span]] = {}
        for span in spans:
            by_name.setdefault(span.name, []).append(span)
        (attempt,), (prepare,) = by_name["run attempt"], by_name["prepare"]
        assert attempt.place == attempts.place_of(held)
        assert {span.parent for span in (prepare, *by_name["epochs"])} == {attempt.place}
        assert [span.attributes["gauntlet.first"] for span in by_name["epochs"]] == epochs
        assert all(span.began <= span.ended for span in spans)
        prepared.append(prepare)
        begun.append(by_name["epochs"][0].began)
    assert [span.ended <= after.began for span, after in pairwise(prepared)] == [True, True]
    assert all(began >= prepared[-1].ended for began in begun)
