"""A run's files and rows: states within an epoch, and starting from a checkpoint's weights."""

import pytest
import torch
from sqlalchemy import delete

from gauntlet.models.checkpoints import load_model
from gauntlet.spec.checkpoint_card import Trained
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.presets import overlay
from store.database import Database
from store.models import Checkpoint
from store.queue import jobs, retries
from store.subjects import checkpoints, runs
from tests.worker.training_job.attempts import (
    NEVER,
    OBJECTIVES,
    fail,
    kept,
    messages,
    on_each_database,
    result,
    resume_path,
    spec_with,
    starting_from,
    state_files,
    submit,
    train,
    train_until,
)
from tests.worker.training_job.conftest import Undisturbed
from worker.jobs.heartbeat import StopReason
from worker.settings import WorkerSettings

pytestmark = pytest.mark.long(seconds=12)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_run_continues_within_its_epoch(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec, undisturbed: Undisturbed, objective: str
) -> None:
    """Only the newest state is kept, the next attempt goes on from it, and everything comes out the same."""
    spec = spec_with(tiny_spec, objective)
    stopped = submit(database, spec)
    train_until(database, settings, stopped, batches=6)
    path = f"{stopped}/attempt-1/epoch-00002-batch-00002.state.safetensors"
    assert state_files(settings) == [resume_path(database, stopped)] == [path]
    train(database, settings, stopped)
    assert messages(database, stopped)["resumed"].endswith(" continues after epoch 1 and 2 batches.")
    assert "resumed_elsewhere" not in messages(database, stopped)
    assert result(database, stopped) == undisturbed(spec)
    assert state_files(settings) == []


def test_the_average_is_kept_beside_the_weights(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec, undisturbed: Undisturbed
) -> None:
    """Two files of different weights for each epoch that is kept, the same ones after a stop within the epoch."""
    spec = spec_with(tiny_spec, averaging={"decay": 0.75}, epochs=1)
    stopped = submit(database, spec)
    train_until(database, settings, stopped, batches=2)
    train(database, settings, stopped)
    assert result(database, stopped) == undisturbed(spec)
    with database.reading() as session:
        rows = checkpoints.page(session, run=stopped, after=None, limit=10).rows
        cards = [checkpoints.card_of(row).origin for row in rows]
    assert [(row.epoch, row.averaged) for row in rows] == [(1, True), (1, False)]
    assert [origin.averaged for origin in cards if isinstance(origin, Trained)] == [row.averaged for row in rows]
    assert len({row.sha256 for row in rows}) == 2
    for row in rows:
        told = load_model((settings.storage.root / row.path), torch.device("cpu")).card.origin
        assert isinstance(told, Trained)
        assert told.averaged == row.averaged


def test_epochs_after_a_state_within_one_are_done_again(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec, undisturbed: Undisturbed
) -> None:
    """Where metrics were recorded without a state, the attempt that goes on from an earlier one records them anew."""
    spec = spec_with(tiny_spec, checkpoint_every=4)
    seldom = settings.model_copy(update={"state_every_s": NEVER})
    stopped = submit(database, spec)
    train_until(database, settings, stopped, batches=3)
    train_until(database, seldom, stopped, batches=8)
    assert [epoch for epoch, _ in result(database, stopped)[0]] == [1, 2]
    assert resume_path(database, stopped) == f"{stopped}/attempt-1/epoch-00001-batch-00002.state.safetensors"
    train(database, seldom, stopped)
    assert messages(database, stopped)["resumed"].endswith(" continues after epoch 0 and 2 batches.")
    assert result(database, stopped) == undisturbed(spec)


@pytest.mark.parametrize(
    ("batches", "state", "why"),
    [
        (5, "epoch-00002-batch-00002", "shutdown"),
        (6, "epoch-00002-batch-00003", "shutdown"),
        (6, "epoch-00002-batch-00003", "paused"),
        (5, "epoch-00002-batch-00002", "paused"),
    ],
)
def test_a_stop_that_is_none_for_good_saves_the_state(
    database: Database,
    settings: WorkerSettings,
    tiny_spec: ExperimentSpec,
    undisturbed: Undisturbed,
    batches: int,
    state: str,
    why: StopReason,
) -> None:
    """A worker that stops, or a pause, loses no batch of a run, although no state was due, while it measures neither.

    It goes on as if it had never stopped: equal metrics, and weights with the same sha256.
    """
    spec = spec_with(tiny_spec, checkpoint_every=4)
    seldom = settings.model_copy(update={"state_every_s": NEVER})
    stopped = submit(database, spec)
    train_until(database, seldom, stopped, batches, why)
    assert state_files(settings) == [f"{stopped}/attempt-1/{state}.state.safetensors"]
    train(database, seldom, stopped)
    assert result(database, stopped) == undisturbed(spec)


def test_no_state_is_saved_before_its_time(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec
) -> None:
    """Until `state_every_s` have passed there are only the kept checkpoints' states."""
    seldom = settings.model_copy(update={"state_every_s": NEVER})
    run = submit(database, spec_with(tiny_spec))
    train_until(database, seldom, run, batches=5)
    assert resume_path(database, run) is None
    train_until(database, seldom, run, batches=8)
    assert resume_path(database, run) == f"{run}/attempt-2/epoch-00002.state.safetensors"


def test_a_resume_under_other_threads_is_noted(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec
) -> None:
    """The owner is told from where on the numbers need not be those of an uninterrupted run."""
    run = submit(database, spec_with(tiny_spec, epochs=1))
    train_until(database, settings, run, batches=2)
    torch.set_num_threads(2)
    try:
        train(database, settings, run)
    finally:
        torch.set_num_threads(1)
    assert messages(database, run)["resumed_elsewhere"].startswith("Resumed after epoch 0 and 1 batch on a GPU, ")


def test_a_run_starts_from_a_checkpoint(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec, source: Checkpoint
) -> None:
    """Its first epoch has the accuracies of the checkpoint it starts from, which random weights have not."""
    measured = {}
    for name, initial in (("continued", source), ("anew", None)):
        run = submit(database, starting_from(tiny_spec, initial))
        train(database, settings, run)
        measured[name] = kept(database, run)[0].metrics
    told = ("test_accuracy", "test_fgsm_accuracy", "train_accuracy")
    assert [measured["continued"][metric] for metric in told] == [source.metrics[metric] for metric in told]
    assert [measured["anew"][metric] for metric in told] != [source.metrics[metric] for metric in told]


def test_a_resumed_run_does_without_its_initial_checkpoint(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec, source: Checkpoint
) -> None:
    """All that training depends on is in its state."""
    run = submit(database, starting_from(tiny_spec, source))
    train_until(database, settings, run, batches=2)
    assert messages(database, run)["started"].endswith(f" starts from the weights of {source.id}.")
    (settings.storage.root / source.path).unlink()
    train(database, settings, run)
    assert kept(database, run)[0].metrics["test_accuracy"] == source.metrics["test_accuracy"]


@pytest.mark.parametrize(("place", "detail"), [(-1, "is damaged"), (None, "There is no checkpoint")])
def test_a_lost_initial_checkpoint_fails_the_run(
    database: Database,
    settings: WorkerSettings,
    tiny_spec: ExperimentSpec,
    source: Checkpoint,
    place: int | None,
    detail: str,
) -> None:
    """A file that is not as it was recorded, or a checkpoint that is gone: the run says so and does not train."""
    run = submit(database, starting_from(tiny_spec, source))
    if place is None:
        with database.writing() as session:
            session.execute(delete(Checkpoint).where(Checkpoint.id == source.id))
    else:
        file = settings.storage.root / source.path
        content = bytearray(file.read_bytes())
        content[place] ^= 1
        file.write_bytes(content)
    reason, told = fail(database, settings, run)
    assert reason == "checkpoint_invalid"
    assert detail in str(told)
    assert result(database, run) == ([], [])


def test_a_missing_compiler_is_named(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that insists on compiling fails where that cannot be done, and says what to install."""
    monkeypatch.setenv("CXX", "/nonexistent/compiler")
    reason, detail = fail(database, settings, submit(database, spec_with(tiny_spec, compile="on")))
    assert reason == "compiler_missing"
    assert "Install g++" in str(detail)


@on_each_database
def test_a_run_that_diverges_keeps_what_was_finite(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec
) -> None:
    """It fails at once, for good, with the checkpoints of the epochs before: with all images in a batch it has some, as
    the first update's rate is 0.
    """
    wild = {"optimizer": {"kind": "rmsprop", "lr": 10.0}, "schedule": {"kind": "one_cycle", "peak": 0.5}}
    spec = spec_with(tiny_spec, batch_size=96, checkpoint_every=1, **wild)
    run = submit(database, spec.model_copy(update={"objectives": tiny_spec.objectives}))
    reason, detail = fail(database, settings, run)
    assert reason == "diverged"
    epochs = [checkpoint.epoch for checkpoint in kept(database, run)]
    assert epochs == list(range(len(epochs), 0, -1))
    assert f"diverged in epoch {epochs[0] + 1}," in str(detail)
    with database.writing() as session:
        assert jobs.claim(session, "run", run, "worker", 60) is None


def test_a_validation_set_that_leaves_nothing_fails_the_run(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec
) -> None:
    """Where only the data shows that no image is left to train on, the run says so."""
    changes = {
        "dataset": {"train_samples": None},
        "evaluation": {"select_on": "validation", "validation_samples": 1_437},
    }
    spec = ExperimentSpec.model_validate(overlay(tiny_spec.model_dump(mode="json"), changes))
    reason, detail = fail(database, settings, submit(database, spec))
    assert reason == "dataset_unavailable"
    assert "none is left to train on" in str(detail)


def test_a_retry_ends_as_if_nothing_had_failed(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec, undisturbed: Undisturbed
) -> None:
    """Cancelled within an epoch and retried: equal metrics, and weights with the same sha256."""
    spec = spec_with(tiny_spec)
    cancelled = submit(database, spec)
    train_until(database, settings, cancelled, batches=8)
    with database.writing() as session:
        runs.cancel(session, cancelled)
        retry = retries.retry_run(session, cancelled, None)[0].id
    train(database, settings, retry)
    assert messages(database, retry)["resumed"].endswith(" continues after epoch 2 and 1 batch.")
    assert result(database, retry) == undisturbed(spec)
    assert state_files(settings) == []
