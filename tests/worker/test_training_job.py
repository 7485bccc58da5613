"""A run's files and rows: states within an epoch, and starting from a checkpoint's weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import delete

from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.presets import overlay
from store import checkpoints, experiments, files, jobs, runs
from store.database import Database
from store.jobs import Claim, JobProgress
from store.models import Checkpoint, Run
from tests.evaluations import queued
from worker.child import _work
from worker.heartbeat import Heartbeat, Stopped
from worker.settings import WorkerSettings
from worker.training_job import train_run

torch.set_num_threads(1)

CPU = torch.device("cpu")
AT_ONCE = 1e-9
NEVER = 1e9


# One step to a rollout: as many to an epoch as there are batches of a loss.
OBJECTIVES = {
    "policy_gradient": {"kind": "policy_gradient"},
    "a2c": {"kind": "a2c", "n_steps": 1},
    "ppo": {"kind": "ppo", "n_steps": 1, "n_epochs": 2},
    "dqn": {"kind": "dqn", "n_steps": 1, "gradient_steps": 2, "epsilon": 0.5},
}


@pytest.fixture
def settings(tmp_path: Path, sqlite_url: str) -> WorkerSettings:
    """A worker that saves a state after every batch."""
    return WorkerSettings(
        home=tmp_path,
        database_url=sqlite_url,
        broker_url="redis+socket:///nonexistent/broker.sock",
        device="cpu",
        state_every_s=AT_ONCE,
    )


@pytest.fixture
def database(settings: WorkerSettings) -> Database:
    return Database(settings.database_url)


class StopsAt(Heartbeat):
    """Is told to stop once the job has done so many batches of the run."""

    def __init__(self, database: Database, held: Claim, settings: WorkerSettings, batches: int) -> None:
        super().__init__(database, held, settings)
        self._batches = batches

    def tell(self, progress: JobProgress) -> None:
        if progress.phase == "training" and progress.completed == self._batches:
            self.stop("shutdown")


class FillsTheDisk(Heartbeat):
    """Once the job has begun, its state after two batches of the second epoch has nowhere to go."""

    def __init__(self, database: Database, held: Claim, settings: WorkerSettings) -> None:
        super().__init__(database, held, settings)
        self._folder = settings.storage / files.attempt_folder(held)

    def tell(self, progress: JobProgress) -> None:
        full = self._folder / "epoch-00002-batch-00002.state.safetensors.partial"
        if progress.phase == "training" and not full.is_symlink():
            self._folder.mkdir(parents=True, exist_ok=True)
            full.symlink_to("/dev/full")


def spec_with(tiny_spec: ExperimentSpec, objective: str = "policy_gradient", **training: object) -> ExperimentSpec:
    optimizer = {"kind": "rmsprop", "lr": 1e-3}
    changes = {"objectives": [OBJECTIVES[objective]], "training": {"optimizer": optimizer} | training}
    return ExperimentSpec.model_validate(overlay(tiny_spec.model_dump(mode="json"), changes))


def submit(database: Database, spec: ExperimentSpec) -> str:
    with database.writing() as session:
        return experiments.create(session, spec, None)[1][0]


def claim(database: Database, run: str) -> Claim:
    with database.writing() as session:
        held = jobs.claim(session, "run", run, "worker", 60)
    assert held is not None
    return held


def train(database: Database, settings: WorkerSettings, run: str) -> None:
    held = claim(database, run)
    train_run(database, held, settings, Heartbeat(database, held, settings), CPU)


def train_until(database: Database, settings: WorkerSettings, run: str, batches: int) -> None:
    """An attempt that is told to stop in that batch of the run, counted from 1, and puts the run back."""
    held = claim(database, run)
    with pytest.raises(Stopped):
        train_run(database, held, settings, StopsAt(database, held, settings, batches), CPU)
    with database.writing() as session:
        jobs.release(session, held, "worker_shutdown")


def fail(database: Database, settings: WorkerSettings, run: str) -> tuple[str | None, str | None]:
    """An attempt that fails; why, as a word and as a sentence."""
    held = claim(database, run)
    _work(database, held, settings, Heartbeat(database, held, settings))
    with database.reading() as session:
        row = runs.get(session, run)
    assert row.status == "failed"
    return row.status_reason, row.status_detail


def kept(database: Database, run: str) -> list[Checkpoint]:
    """A run's checkpoints, newest first."""
    with database.reading() as session:
        return list(checkpoints.page(session, run=run, after=None, limit=10).rows)


def result(database: Database, run: str) -> tuple[list[Any], list[Any]]:
    """Everything of a run that must be reproducible: metric rows and weights' digests."""
    with database.reading() as session:
        metrics = [(row.epoch, row.metrics) for row in runs.metrics_page(session, run, after=None, limit=10).rows]
    return metrics, [(checkpoint.epoch, checkpoint.sha256) for checkpoint in kept(database, run)]


def messages(database: Database, run: str) -> dict[str, str]:
    with database.reading() as session:
        return {event.kind: event.message for event in runs.events_page(session, run, after=None, limit=50).rows}


def resume_path(database: Database, run: str) -> str | None:
    with database.reading() as session:
        return session.get_one(Run, run).resume_path


def state_files(settings: WorkerSettings) -> list[str]:
    return [str(file.relative_to(settings.storage)) for file in settings.storage.rglob("*.state.safetensors")]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_run_continues_within_its_epoch(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec, objective: str
) -> None:
    """Only the newest state is kept, the next attempt goes on from it, and everything comes out the same."""
    spec = spec_with(tiny_spec, objective)
    whole, stopped = submit(database, spec), submit(database, spec)
    train(database, settings, whole)
    assert state_files(settings) == []

    train_until(database, settings, stopped, batches=6)
    path = f"{stopped}/attempt-1/epoch-00002-batch-00002.state.safetensors"
    assert state_files(settings) == [resume_path(database, stopped)] == [path]
    train(database, settings, stopped)
    assert messages(database, stopped)["resumed"].endswith(" continues after epoch 1 and 2 batches.")
    assert "resumed_elsewhere" not in messages(database, stopped)
    assert result(database, stopped) == result(database, whole)
    assert state_files(settings) == []


def test_epochs_after_a_state_within_one_are_done_again(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec
) -> None:
    """Where metrics were recorded without a state, the attempt that goes on from an earlier one records them anew."""
    spec = spec_with(tiny_spec, checkpoint_every=4)
    seldom = settings.model_copy(update={"state_every_s": NEVER})
    whole, stopped = submit(database, spec), submit(database, spec)
    train(database, settings, whole)
    train_until(database, settings, stopped, batches=3)
    train_until(database, seldom, stopped, batches=8)
    assert [epoch for epoch, _ in result(database, stopped)[0]] == [1, 2]
    assert resume_path(database, stopped) == f"{stopped}/attempt-1/epoch-00001-batch-00002.state.safetensors"
    train(database, seldom, stopped)
    assert messages(database, stopped)["resumed"].endswith(" continues after epoch 0 and 2 batches.")
    assert result(database, stopped) == result(database, whole)


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
    assert messages(database, run)["resumed_elsewhere"].startswith("Resumed after epoch 0 and 1 batch on a GPU, or ")


def test_a_damaged_state_starts_the_run_over(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec
) -> None:
    """A checkpoint that is being evaluated meanwhile stays as it is; all else is done again, with the same numbers."""
    spec = spec_with(tiny_spec)
    whole, stopped = submit(database, spec), submit(database, spec)
    train(database, settings, whole)
    train_until(database, settings, stopped, batches=8)
    (evaluated,) = kept(database, stopped)
    queued(database, evaluated.id)
    (settings.storage / str(resume_path(database, stopped))).write_bytes(b"damaged")
    train(database, settings, stopped)
    assert messages(database, stopped)["restarted"].endswith(" the saved training state is damaged.")
    assert kept(database, stopped)[-1].id == evaluated.id
    assert result(database, stopped) == result(database, whole)
    stored = {str(file.relative_to(settings.storage)) for file in settings.storage.rglob("*.safetensors")}
    assert stored == {checkpoint.path for run in (whole, stopped) for checkpoint in kept(database, run)}


@pytest.fixture
def source(database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec) -> Checkpoint:
    """The last checkpoint of a trained run."""
    run = submit(database, spec_with(tiny_spec))
    train(database, settings, run)
    return kept(database, run)[0]


def starting_from(tiny_spec: ExperimentSpec, checkpoint: Checkpoint | None, **training: object) -> ExperimentSpec:
    """A spec of another seed that learns next to nothing."""
    initial = None if checkpoint is None else checkpoint.id
    still: dict[str, object] = {"optimizer": {"lr": 1e-10}, "epochs": 1, "initial_checkpoint": initial}
    spec = spec_with(tiny_spec, **still | training)
    return spec.model_copy(update={"seeds": (9,)})


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
    checkpoints.file_of(source, settings.storage).unlink()
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
        file = checkpoints.file_of(source, settings.storage)
        content = bytearray(file.read_bytes())
        content[place] ^= 1
        file.write_bytes(content)
    reason, told = fail(database, settings, run)
    assert reason == "checkpoint_invalid"
    assert detail in str(told)
    assert result(database, run) == ([], [])


def test_a_storage_that_is_away_does_not_fail_the_run(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec, source: Checkpoint
) -> None:
    """The run waits in the queue, and trains once the storage is back."""
    soon = settings.model_copy(update={"retry_s": AT_ONCE})
    run = submit(database, starting_from(tiny_spec, source))
    away = settings.storage.with_name("away")
    settings.storage.rename(away)
    held = claim(database, run)
    _work(database, held, soon, Heartbeat(database, held, soon))
    with database.reading() as session:
        row = runs.get(session, run)
    assert (row.status, row.status_reason, row.crashes) == ("queued", "storage", 1)
    assert "safetensors" in str(row.status_detail)
    away.rename(settings.storage)
    train(database, settings, run)
    assert len(kept(database, run)) == 1


def test_on_a_full_disk_the_run_waits_for_room(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec
) -> None:
    """However often there is none, it keeps what it has, uses up no attempt, and in the end comes out the same."""
    soon = settings.model_copy(update={"retry_s": AT_ONCE})
    spec = spec_with(tiny_spec)
    whole, hindered = submit(database, spec), submit(database, spec)
    train(database, settings, whole)
    for _ in range(jobs.MOST_CRASHES + 1):
        held = claim(database, hindered)
        _work(database, held, soon, FillsTheDisk(database, held, soon))
        with database.reading() as session:
            row = runs.get(session, hindered)
        assert (row.status, row.status_reason, row.crashes) == ("queued", "storage", 0)
        assert "No space left" in str(row.status_detail)
        assert resume_path(database, hindered) == f"{hindered}/attempt-1/epoch-00002-batch-00001.state.safetensors"
        assert [Path(path).name for path in state_files(settings)] == ["epoch-00002-batch-00001.state.safetensors"]
    train(database, settings, hindered)
    assert result(database, hindered) == result(database, whole)


def test_a_missing_compiler_is_named(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that insists on compiling fails where that cannot be done, and says what to install."""
    monkeypatch.setenv("CXX", "/nonexistent/compiler")
    reason, detail = fail(database, settings, submit(database, spec_with(tiny_spec, compile="on")))
    assert reason == "compiler_missing"
    assert "Install g++" in str(detail)


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
