"""An evaluation that several workers compute: the batches are those of one, each once, whoever is lost on the way.

The hands take turns in one thread, a batch each, on real rows.
"""

from collections.abc import Iterator

import pytest
import torch
from sqlalchemy import func, select, update

from gauntlet.attacks import autoattack
from gauntlet.evaluation import sweep
from store.database import Database
from store.errors import LeaseLost
from store.models import Evaluation, EvaluationBatch, EvaluationHelper, TakenBatch
from store.queue import helpers, jobs
from store.queue.helpers import Hand, Help
from store.queue.jobs import Claim
from store.subjects import evaluations
from tests.evaluations import FGSM, claimed, queued, untrained
from tests.gauntlet.brief_autoattack import BriefAutoAttack
from worker.jobs import shared_sweep
from worker.jobs.child import _help
from worker.jobs.evaluation_inputs import Inputs, read_inputs
from worker.jobs.evaluation_job import evaluate_checkpoint
from worker.jobs.heartbeat import Heartbeat
from worker.jobs.shared_sweep import SharedSweep
from worker.settings import WorkerSettings
from worker.unhelped import NOTHING_LEFT

torch.set_num_threads(1)

CPU = torch.device("cpu")
# One that draws random numbers, and an ensemble whose parts wait for each other.
ATTACKS = FGSM, {"kind": "apgd-ce", "eps": "8/255"}, {"kind": "screen", "eps": "1/255"}

Row = tuple[str, int, list[int], list[int]]


@pytest.fixture
def database(settings: WorkerSettings) -> Database:
    return Database(settings.database_url)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two segments of three batches, taken one by one, whose attacks take few steps; nobody waits long for another."""
    monkeypatch.setattr(autoattack, "AutoAttack", BriefAutoAttack)
    monkeypatch.setattr(sweep, "SEGMENT", 6)
    monkeypatch.setattr(sweep, "_PASSES_AT_ONCE", 1)
    monkeypatch.setattr(shared_sweep, "_LOOK_EVERY_S", 0.0)


@pytest.fixture
def checkpoint(database: Database, settings: WorkerSettings) -> str:
    return untrained(database, settings.storage)


@pytest.fixture
def alone(database: Database, settings: WorkerSettings, checkpoint: str) -> list[Row]:
    """What one worker finds; forgotten then, so that nobody takes it over."""
    evaluation = queued(database, checkpoint, *ATTACKS, samples=12, batch_size=2)
    held = claimed(database, evaluation)
    evaluate_checkpoint(database, held, settings, Heartbeat(database, held, settings), CPU)
    found = rows(database, evaluation)
    with database.writing() as session:
        session.execute(update(EvaluationBatch).values(seconds=0))
    return found


def rows(database: Database, evaluation: str) -> list[Row]:
    with database.reading() as session:
        found = evaluations.batches(session, evaluation)
        return sorted((row.stage, row.batch, row.images, row.predicted) for row in found)


class Worker:
    """One of those that compute an evaluation."""

    def __init__(self, database: Database, hand: Hand, settings: WorkerSettings) -> None:
        self._database, self.hand = database, hand
        self.heartbeat = Heartbeat(database, hand, settings)
        inputs = read_inputs(database, hand.job, settings, self.heartbeat, CPU)
        if isinstance(hand, Claim):
            note_start(database, hand, inputs)
        self.sweep = SharedSweep(database, hand, inputs, settings, self.heartbeat, CPU)
        self._batches = iter(self.sweep)
        self.did = 0

    def compute(self) -> Iterator[None]:
        """Compute a batch, and then record it."""
        for batch, seconds in self._batches:
            yield
            with self._database.writing() as session:
                evaluations.record_batch(session, self.hand, batch, seconds=seconds)
            self.did += 1
            yield


def note_start(database: Database, held: Claim, inputs: Inputs) -> None:
    with database.writing() as session:
        evaluations.note_start(session, held, inputs.attacked, helpers.implementation("cpu"))


def helper(database: Database, settings: WorkerSettings, held: Claim) -> Worker:
    """One more for a running evaluation that will take long."""
    with database.writing() as session:
        session.execute(update(Evaluation).where(Evaluation.id == held.id).values(eta_s=1e6))
        helped = helpers.claim(session, "another", 60, "cpu")
    assert helped is not None
    assert helped.evaluation == held.id
    return Worker(database, helped, settings)


def take_turns(*workers: Worker) -> None:
    """Each computes a batch and records it, and then the next one does, until there are no more."""
    going = [worker.compute() for worker in workers]
    while going:
        # Nobody keeps a batch that another would wait for.
        going = [turn for turn in going if next(turn, "over") != "over" and next(turn, None) is None]


def complete(database: Database, held: Claim, worker: Worker) -> None:
    with database.writing() as session:
        evaluations.complete(session, held, worker.sweep.findings)


def test_three_workers_find_what_one_finds(
    database: Database, settings: WorkerSettings, checkpoint: str, alone: list[Row]
) -> None:
    """Each batch is computed once, by each of them about as many, and the evaluation is as far as all of them are."""
    held = claimed(database, queued(database, checkpoint, *ATTACKS, samples=12, batch_size=2))
    workers = [Worker(database, held, settings)]
    workers += [helper(database, settings, held) for _ in range(2)]
    take_turns(*workers)
    complete(database, held, workers[0])
    assert rows(database, held.id) == alone
    assert sum(worker.did for worker in workers) == len(alone)
    assert min(worker.did for worker in workers) >= len(alone) // 4
    progress = workers[0].heartbeat._progress
    assert progress is not None
    assert progress.completed == progress.total
    with database.reading() as session:
        assert not session.scalar(select(func.count()).select_from(TakenBatch))
        (shown,) = evaluations.show(session, [evaluations.get(session, held.id)])
    assert shown.helpers == 2
    assert shown.outcome is not None


def test_the_time_left_is_that_of_all_hands(database: Database, settings: WorkerSettings, checkpoint: str) -> None:
    """With one more at work it is half as long, for the evaluation and for its attacks."""
    held = claimed(database, queued(database, checkpoint, FGSM, samples=12, batch_size=2))
    worker = Worker(database, held, settings)
    turn = worker.compute()
    for _ in range(8):
        next(turn)
    with database.reading() as session:
        (before,) = evaluations.show(session, [evaluations.get(session, held.id)])
    helper(database, settings, held)
    with database.reading() as session:
        (after,) = evaluations.show(session, [evaluations.get(session, held.id)])
    assert before.attacks[0].eta_s is not None
    assert after.attacks[0].eta_s == before.attacks[0].eta_s / 2
    next(turn)
    assert worker.sweep._colleagues.hands == 2


def test_what_a_lost_helper_had_taken_is_computed_by_others(
    database: Database, settings: WorkerSettings, checkpoint: str, alone: list[Row]
) -> None:
    """Its lease runs out while it computes a batch: that is done by another, and its own late write touches nothing."""
    held = claimed(database, queued(database, checkpoint, *ATTACKS, samples=12, batch_size=2))
    own, lost = Worker(database, held, settings), helper(database, settings, held)
    stopped = lost.compute()
    next(stopped)
    with database.writing() as session:
        session.execute(update(EvaluationHelper).values(lease_expires_at=0.0))
    take_turns(own)
    complete(database, held, own)
    assert rows(database, held.id) == alone
    with pytest.raises(LeaseLost, match="no longer helps with the evaluation"):
        next(stopped)
    assert rows(database, held.id) == alone


def test_helpers_go_on_when_the_evaluations_worker_stops(
    database: Database, settings: WorkerSettings, checkpoint: str, alone: list[Row]
) -> None:
    """Of what it had taken another attempt finds that nobody computes it; what the helper does meanwhile counts."""
    held = claimed(database, queued(database, checkpoint, *ATTACKS, samples=12, batch_size=2))
    own, other = Worker(database, held, settings), helper(database, settings, held)
    stopped, helping = own.compute(), other.compute()
    next(stopped)
    for _ in range(6):
        next(helping)
    with database.writing() as session:
        jobs.release(session, held, "worker_shutdown")
    next(helping)
    next(helping)
    second = claimed(database, held.id)
    successor = Worker(database, second, settings)
    take_turns(successor, other)
    complete(database, second, successor)
    with pytest.raises(LeaseLost):
        next(stopped)
    assert rows(database, held.id) == alone
    assert successor.did + other.did == len(alone)
    assert other.did >= 4


def test_kept_pictures_are_the_evaluations_own_workers(
    database: Database, settings: WorkerSettings, checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A helper computes none of the batches whose pictures are kept, and does not wait for long until they are done."""
    monkeypatch.setattr(shared_sweep, "_PATIENCE_S", 0.0)
    held = claimed(database, queued(database, checkpoint, FGSM, samples=12, batch_size=2, keep_images=4))
    own, other = Worker(database, held, settings), helper(database, settings, held)
    with pytest.raises(SystemExit) as ended:
        _help(database, _help_of(other), settings, other.heartbeat)
    assert ended.value.code == NOTHING_LEFT
    with database.reading() as session:
        assert helpers.count(session, [held.id]) == {held.id: 0}
    computed = [(stage, batch) for stage, batch, _, _ in rows(database, held.id)]
    assert computed == [("fgsm@8/255", number) for number in (2, 3, 4, 5)] + [("natural", n) for n in range(6)]
    take_turns(own)
    assert len(rows(database, held.id)) == 12


@pytest.mark.parametrize("asked", ["cancel", "pause"])
def test_who_stops_an_evaluation_stops_its_helpers(
    database: Database, settings: WorkerSettings, checkpoint: str, asked: str
) -> None:
    """A helper hears of it with its next beat; what it finds after a cancel is written nowhere."""
    held = claimed(database, queued(database, checkpoint, FGSM, samples=12, batch_size=2))
    Worker(database, held, settings)
    other = helper(database, settings, held)
    helping = other.compute()
    next(helping)
    with database.writing() as session:
        (evaluations.cancel if asked == "cancel" else evaluations.pause)(session, held.id)
    with database.writing() as session:
        assert helpers.renew(session, _help_of(other), 60) == asked
    with database.writing() as session:
        if asked == "cancel":
            jobs.finish(session, held, "cancelled", "user")
        else:
            jobs.release(session, held, None)
    if asked == "cancel":
        with pytest.raises(LeaseLost):
            next(helping)
    else:
        next(helping)
    assert len(rows(database, held.id)) == (asked == "pause")


def test_other_images_are_not_helped_with(
    database: Database, settings: WorkerSettings, checkpoint: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker whose test set is another one says so and ends with an error; it computes nothing."""
    held = claimed(database, queued(database, checkpoint, FGSM, samples=12, batch_size=2))
    other = helper(database, settings, _begun_elsewhere(database, held, settings))
    with pytest.raises(SystemExit) as ended:
        _help(database, _help_of(other), settings, Heartbeat(database, other.hand, settings))
    assert ended.value.code == 1
    assert f"The evaluation {held.id} attacks other images than are here" in caplog.text
    assert not rows(database, held.id)


def _begun_elsewhere(database: Database, held: Claim, settings: WorkerSettings) -> Claim:
    Worker(database, held, settings)
    with database.writing() as session:
        session.execute(update(Evaluation).values(dataset_sha256="0" * 64))
    return held


def _help_of(worker: Worker) -> Help:
    assert isinstance(worker.hand, Help)
    return worker.hand
