"""Every phase of a job tells how far it is, and hears within a batch that it must stop."""

import pytest
import torch

from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database
from store.queue import jobs
from store.queue.jobs import Claim, JobProgress
from store.subjects import evaluations, runs
from tests.evaluations import FGSM, claimed, queued
from tests.worker.jobs.test_evaluation_job import PGD, stored
from tests.worker.training_job.attempts import claim, submit
from worker.jobs.evaluation_job import evaluate_checkpoint
from worker.jobs.heartbeat import Heartbeat, Stopped
from worker.jobs.training_job import train_run
from worker.settings import WorkerSettings

torch.set_num_threads(1)

CPU = torch.device("cpu")


@pytest.fixture
def database(settings: WorkerSettings) -> Database:
    return Database(settings.database_url)


class Listener(Heartbeat):
    """Keeps what it is told, and stops the job when it hears a phase for the n-th time."""

    def __init__(
        self, database: Database, held: Claim, settings: WorkerSettings, stop_in: str = "", at: int = 1
    ) -> None:
        super().__init__(database, held, settings)
        self.heard: list[JobProgress] = []
        self._stop_in, self._at = stop_in, at

    def tell(self, progress: JobProgress) -> None:
        super().tell(progress)
        self.heard.append(progress)
        if sum(told.phase == self._stop_in for told in self.heard) == self._at:
            self.stop("cancelled")

    def shares(self, *phases: str) -> list[tuple[int, int]]:
        return [(told.completed, told.total) for told in self.heard if told.phase in phases]


def test_measuring_is_a_part_of_the_progress(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec
) -> None:
    """Of 4 epochs each has 3 batches to train on, then 2 of 96 training and 6 of 360 test images: 44 in all.

    Before the last is measured there is something left of the whole and of the time; then the run is finished.
    """
    run = submit(database, tiny_spec)
    held = claim(database, run)
    listener = Listener(database, held, settings)
    train_run(database, held, settings, listener, CPU)
    told = [told for told in listener.heard if told.phase in ("training", "measuring")]
    assert [(part.completed, part.total) for part in told] == [(done, 44) for done in range(1, 45)]
    assert [part.phase for part in told[:11]] == ["training"] * 3 + ["measuring"] * 8
    assert told[-2].eta_s is not None
    assert told[-2].eta_s > 0
    with database.reading() as session:
        progress = jobs.shown(runs.get(session, run))["progress"]
    assert (progress.phase, progress.completed, progress.total, progress.unit) == ("finished", 44, 44, "batches")


@pytest.mark.parametrize(("phase", "at"), [("loading data", 1), ("training", 2), ("measuring", 1), ("measuring", 7)])
def test_a_run_hears_of_a_cancel_in_every_phase(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec, phase: str, at: int
) -> None:
    """It stops at that very batch."""
    held = claim(database, submit(database, tiny_spec))
    listener = Listener(database, held, settings, phase, at)
    with pytest.raises(Stopped, match="cancelled"):
        train_run(database, held, settings, listener, CPU)
    assert [told.phase for told in listener.heard].count(phase) <= at + (phase == "loading data")


def test_an_evaluation_says_what_it_does_and_ends_finished(database: Database, settings: WorkerSettings) -> None:
    """A stage is told of before its first batch is attacked; the last word is the end, however short it was."""
    evaluation = queued(database, stored(database, settings, 0), FGSM, PGD, samples=8, batch_size=4)
    held = claimed(database, evaluation)
    listener = Listener(database, held, settings)
    evaluate_checkpoint(database, held, settings, listener, CPU)
    # A natural pass is 3 model passes, FGSM 4, PGD of two steps 8, of 8 images in two batches.
    assert listener.shares("natural") == [(0, 120), (12, 120), (12, 120), (24, 120)]
    assert listener.shares("fgsm@8/255") == [(24, 120), (40, 120), (40, 120), (56, 120)]
    assert listener.shares("pgd(steps=2)@8/255") == [(56, 120), (88, 120), (88, 120), (120, 120)]
    with database.reading() as session:
        progress = jobs.shown(evaluations.get(session, evaluation))["progress"]
    assert (progress.phase, progress.completed, progress.total) == ("finished", 120, 120)


@pytest.mark.parametrize("stage", ["natural", "fgsm@8/255", "pgd(steps=2)@8/255"])
def test_an_evaluation_hears_of_a_cancel_before_each_attack(
    database: Database, settings: WorkerSettings, stage: str
) -> None:
    """Not a batch of that attack is computed any more."""
    evaluation = queued(database, stored(database, settings, 0), FGSM, PGD, samples=8, batch_size=4)
    held = claimed(database, evaluation)
    with pytest.raises(Stopped, match="cancelled"):
        evaluate_checkpoint(database, held, settings, Listener(database, held, settings, stage), CPU)
    with database.reading() as session:
        assert stage not in {row.stage for row in evaluations.batches(session, evaluation)}
