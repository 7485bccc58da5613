"""An attempt that ended without a word is told of by one worker, whoever else saw its end."""

import pytest

from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database
from store.queue import jobs
from store.queue.jobs import Claim
from store.subjects import experiments
from store.traces.spans import ASKED, Asked, Span
from tests.worker.processes.attempts import NEVER, expire, found
from worker.beside.reconciler import reconcile
from worker.entry import enter
from worker.forked import Forked, NotStarted
from worker.processes import JobProcesses, _Job
from worker.settings import WorkerSettings

PLACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


PLACED = Asked(PLACE)


def claimed(database: Database, spec: ExperimentSpec) -> Claim:
    """A run that was asked for in a trace, held by an attempt."""
    before = ASKED.set(PLACED)
    with database.writing() as session:
        (run_id,) = experiments.create(session, spec, None)[1]
    ASKED.reset(before)
    with database.writing() as session:
        held = jobs.claim(session, "run", run_id, "here:1", NEVER)
    assert held is not None
    return held


def test_an_attempt_that_could_not_be_started_is_told_as_that(
    settings: WorkerSettings, database: Database, tiny_spec: ExperimentSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its span has the reason that the API gives: nothing was lost."""
    told: list[Span] = []
    worker = JobProcesses(settings, database, told.append)
    held = claimed(database, tiny_spec)

    def refuse(_: Forked) -> None:
        raise NotStarted("Cannot allocate memory")

    monkeypatch.setattr(Forked, "start", refuse)
    worker._await_end(_Job([held], Forked(enter, (), held.id)))
    run = found(database, held.id)
    assert (run.status, run.status_reason) == ("queued", "not_started")
    (span,) = told
    assert (span.name, span.error) == ("run attempt", "not_started")
    assert span.attributes["gauntlet.status_reason"] == "not_started"
    worker.spans.close()


@pytest.mark.parametrize("taken_back", [False, True])
def test_an_attempt_is_told_of_once(
    settings: WorkerSettings, database: Database, tiny_spec: ExperimentSpec, *, taken_back: bool
) -> None:
    """By its worker when it ends its process, or by the one that took it back before; then its worker says nothing."""
    told: list[Span] = []
    told_by_another: list[Span] = []
    worker, another = (
        JobProcesses(settings, database, told.append),
        JobProcesses(settings, database, told_by_another.append),
    )
    held = claimed(database, tiny_spec)
    if taken_back:
        expire(database, held.id)
        another.shut_down()
        reconcile(database, another, retry_s=NEVER)
    worker._give_back(_Job([held], Forked(enter, (), held.id)), "was ended by SIGKILL")
    assert [len(told), len(told_by_another)] == ([0, 1] if taken_back else [1, 0])
    (span,) = told + told_by_another
    assert (span.name, span.parent, span.error) == ("run attempt", PLACE, "worker_lost")
    worker.spans.close()
    another.spans.close()
