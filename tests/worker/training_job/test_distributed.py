"""A worker's run over two processes: one job, with the rows and files of a run on one device."""

import pytest

from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database
from tests.worker.training_job.attempts import messages, result, spec_with, state_files, submit, train, train_until
from tests.worker.training_job.conftest import Undisturbed
from worker.settings import WorkerSettings

pytestmark = [pytest.mark.long(seconds=15), pytest.mark.thorough]


def test_a_run_over_two_processes_is_the_run_of_one(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec, undisturbed: Undisturbed
) -> None:
    """Stopped within an epoch and gone on with; its numbers are those of one process but for their last bits."""
    spec = spec_with(tiny_spec, epochs=2, checkpoint_every=2, optimizer={"kind": "sgd", "lr": 0.05})
    # The smallest network has dropout of torch's own, which is not divided.
    spec = spec.model_copy(update={"architecture": tiny_spec.architecture})
    two = settings.model_copy(update={"devices_per_run": 2})
    run = submit(database, spec)
    train_until(database, two, run, batches=5)
    train(database, two, run)
    told = messages(database, run)
    assert told["distributed"].startswith("It is trained by 2 processes, on cpu, cpu: ")
    assert told["resumed"].endswith(" continues after epoch 1 and 1 batch.")
    assert "resumed_elsewhere" not in told
    metrics, weights = result(database, run)
    expected, kept = undisturbed(spec)
    assert [epoch for epoch, _ in weights] == [epoch for epoch, _ in kept]
    for (epoch, found), (its, alone) in zip(metrics, expected, strict=True):
        assert epoch == its
        assert found == pytest.approx(alone, rel=1e-3, abs=1e-4)
    assert state_files(settings) == []


def test_a_run_that_cannot_be_divided_is_trained_on_one_device(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec
) -> None:
    """As an agent is; it says so."""
    run = submit(database, spec_with(tiny_spec, "dqn", epochs=1))
    train(database, settings.model_copy(update={"devices_per_run": 2}), run)
    assert messages(database, run)["one_device"] == "Runs of this kind are trained on one device, not on 2."
