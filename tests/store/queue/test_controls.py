"""Pausing and resuming jobs, and what may happen meanwhile; on both databases."""

import pytest

from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database
from store.errors import LeaseLost
from store.models import Evaluation, Run
from store.queue import controls, jobs, turns
from store.queue.jobs import Claim
from store.subjects import evaluations, experiments, runs
from tests.store.recorded import EPOCHS, submit, train

LONG = 60.0
EXPIRED = -1.0
AT_ONCE = 1e-9


@pytest.fixture
def submitted(database: Database, tiny_spec: ExperimentSpec) -> tuple[str, str]:
    """An experiment with two queued runs, and the first of them."""
    with database.writing() as session:
        experiment, (run, _) = experiments.create(session, tiny_spec.model_copy(update={"seeds": (0, 1)}), None)
    return experiment.id, run


@pytest.fixture
def run_id(submitted: tuple[str, str]) -> str:
    return submitted[1]


def claim(database: Database, run: str, lease_s: float = LONG) -> Claim:
    with database.writing() as session:
        held = jobs.claim(session, "run", run, "worker", lease_s)
    assert held is not None
    return held


def pause(database: Database, run: str) -> None:
    with database.writing() as session:
        runs.pause(session, run)


def resume(database: Database, run: str) -> int:
    with database.writing() as session:
        return runs.resume(session, run)[1]


def standing(database: Database, run: str) -> tuple[str, str | None]:
    with database.reading() as session:
        row = runs.get(session, run)
    return row.status, row.status_reason


def stop(database: Database, held: Claim) -> None:
    """What a job does that heard of a pause and came to its next batch."""
    with database.writing() as session:
        jobs.release(session, held, None)


def test_a_waiting_job_pauses_at_once(database: Database, run_id: str) -> None:
    """Nobody claims it and no reconciler wakes it, however often it is paused, until it is resumed."""
    for _ in range(2):
        pause(database, run_id)
        assert standing(database, run_id) == ("paused", "user")
    with database.writing() as session:
        assert jobs.claim(session, "run", run_id, "worker", LONG) is None
        assert jobs.reclaim_expired(session, Run, retry_s=AT_ONCE) == {}
        assert turns.count_waiting(session) == 1
    assert resume(database, run_id) == 1
    assert standing(database, run_id) == ("queued", None)
    claim(database, run_id)


def test_a_running_job_pauses_when_it_stops(database: Database, run_id: str) -> None:
    """It hears of it by its heartbeat and shows what it was asked; then its slot is free, and its crashes are none."""
    held = claim(database, run_id)
    pause(database, run_id)
    with database.writing() as session:
        assert jobs.renew(session, held, LONG, None) == "pause"
        assert jobs.shown(session.get_one(Run, run_id))["stopping"] == "pause"
    assert standing(database, run_id) == ("running", None)
    stop(database, held)
    assert standing(database, run_id) == ("paused", "user")
    with database.reading() as session:
        row = runs.get(session, run_id)
    assert (row.worker, row.lease_expires_at, row.crashes, row.finished_at) == (None, None, 0, None)
    assert jobs.shown(row)["stopping"] is None
    assert resume(database, run_id) == 1
    assert claim(database, run_id).token == held.token + 1


def test_one_that_is_resumed_before_it_stops_goes_on(database: Database, run_id: str) -> None:
    """Nothing waits for it; and if it had begun to stop, it is queued."""
    held = claim(database, run_id)
    pause(database, run_id)
    assert resume(database, run_id) == 0
    with database.writing() as session:
        assert jobs.renew(session, held, LONG, None) is None
    stop(database, held)
    assert standing(database, run_id) == ("queued", None)


@pytest.mark.parametrize("ending", ["abandon", "give up", "postpone", "expire", "shutdown"])
def test_a_job_that_is_lost_while_it_pauses_is_paused(database: Database, run_id: str, ending: str) -> None:
    """However its attempt ends, it is not queued again; and that attempt writes nothing more."""
    held = claim(database, run_id, EXPIRED)
    pause(database, run_id)
    with database.writing() as session:
        match ending:
            case "abandon":
                jobs.abandon(session, held, "A sentence.", retry_s=LONG)
            case "give up":
                jobs.give_up(session, held, "storage", "A sentence.", retry_s=LONG)
            case "postpone":
                jobs.postpone(session, held, "storage", "A sentence.", retry_s=LONG)
            case "expire":
                assert jobs.reclaim_expired(session, Run, retry_s=LONG) == {run_id: "paused"}
            case _:
                jobs.release(session, held, "worker_shutdown")
    assert standing(database, run_id) == ("paused", "user")
    with pytest.raises(LeaseLost):
        stop(database, held)
    assert resume(database, run_id) == 1
    # At once, whatever it would have waited for.
    claim(database, run_id)


def test_a_job_that_crashed_too_often_fails_though_it_was_to_pause(database: Database, run_id: str) -> None:
    """And says why."""
    for crash in range(3):
        held = claim(database, run_id)
        if crash == 2:
            pause(database, run_id)
        with database.writing() as session:
            jobs.give_up(session, held, "out_of_memory", "A sentence.", retry_s=AT_ONCE)
    assert standing(database, run_id) == ("failed", "out_of_memory")


@pytest.mark.parametrize("order", ["pause, cancel", "cancel, pause"])
@pytest.mark.parametrize("runs_already", [True, False])
def test_a_cancel_goes_before_a_pause(database: Database, run_id: str, order: str, *, runs_already: bool) -> None:
    """Whichever was asked first, of a job that waits and of one that runs."""
    held = claim(database, run_id) if runs_already else None
    for asked in order.split(", "):
        with database.writing() as session:
            (runs.cancel if asked == "cancel" else runs.pause)(session, run_id)
    if held is not None:
        with database.writing() as session:
            assert jobs.renew(session, held, LONG, None) == "cancel"
        stop(database, held)
    assert standing(database, run_id) == ("cancelled", "user")
    assert resume(database, run_id) == 0
    assert standing(database, run_id) == ("cancelled", "user")


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
def test_an_ended_job_is_neither_paused_nor_resumed(database: Database, run_id: str, status: jobs.EndStatus) -> None:
    """Asked before its end or after it: a terminal status never changes."""
    held = claim(database, run_id)
    pause(database, run_id)
    with database.writing() as session:
        jobs.finish(session, held, status, "reason")
    pause(database, run_id)
    assert resume(database, run_id) == 0
    assert standing(database, run_id) == (status, "reason")


def test_evaluations_of_a_run_that_ended_before_it_paused_are_paused(
    database: Database, tiny_spec: ExperimentSpec
) -> None:
    """The pause is kept, by what follows the run; resuming the run lets them go on."""
    _, held = submit(database, tiny_spec)
    train(database, tiny_spec, held, range(1, EPOCHS + 1))
    pause(database, held.id)
    with database.writing() as session:
        assert runs.complete(session, held) == []
        (evaluation,) = evaluations.page(session, run=held.id, after=None, limit=10).rows
    assert (evaluation.status, evaluation.status_reason) == ("paused", "user")
    assert standing(database, held.id)[0] == "succeeded"
    assert resume(database, held.id) == 1


def test_a_whole_experiment_pauses_and_goes_on(database: Database, submitted: tuple[str, str]) -> None:
    """Waiting jobs at once, running ones as they stop; it is paused once nothing of it runs or waits."""
    experiment, run = submitted
    held = claim(database, run)
    with database.writing() as session:
        experiments.pause(session, experiment)
    assert status_of(database, experiment) == "running"
    stop(database, held)
    assert status_of(database, experiment) == "paused"
    with database.writing() as session:
        assert turns.count_waiting(session) == 0
        assert experiments.resume(session, experiment) == 2
    assert status_of(database, experiment) == "queued"


def status_of(database: Database, experiment: str) -> str:
    with database.reading() as session:
        (shown,) = experiments.show(session, [experiments.get(session, experiment)])
    return shown.status


def test_only_what_is_meant_is_paused(database: Database, submitted: tuple[str, str]) -> None:
    """Of two runs the other one stays queued."""
    with database.writing() as session:
        controls.pause(session, Evaluation)
        runs.pause(session, submitted[1])
        assert turns.count_waiting(session) == 1
