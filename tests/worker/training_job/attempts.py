"""Attempts at a run, made in this process, and what they leave."""

from typing import Any

import pytest
import torch

from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.presets import overlay
from store import events
from store.database import Database
from store.models import Checkpoint, Run
from store.queue import jobs
from store.queue.jobs import Claim, JobProgress
from store.subjects import checkpoints, experiments, runs
from tests.smallest import SMALLEST
from worker.jobs.child import _work
from worker.jobs.heartbeat import Heartbeat, Stopped, StopReason
from worker.jobs.training_job import train_run
from worker.settings import WorkerSettings
from worker.spans import Tell

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


class StopsAt(Heartbeat):
    """Is told to stop once the job has done so many batches of the run."""

    def __init__(
        self,
        database: Database,
        held: Claim,
        settings: WorkerSettings,
        batches: int,
        why: StopReason,
        tell: Tell | None = None,
    ) -> None:
        super().__init__(database, held, settings, tell=tell)
        self._batches = batches
        self._why: StopReason = why
        with database.reading() as session:
            self._epochs = runs.get(session, held.id).spec["training"]["epochs"]

    def tell(self, progress: JobProgress) -> None:
        if progress.phase == "training":
            # An epoch's batches are three that it trains on, then those that it measures.
            epoch, batch = divmod(progress.completed, progress.total // self._epochs)
            if 3 * epoch + batch == self._batches:
                self.stop(self._why)


on_each_database = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


def spec_with(tiny_spec: ExperimentSpec, objective: str = "policy_gradient", **training: object) -> ExperimentSpec:
    optimizer = {"kind": "rmsprop", "lr": 1e-3}
    changes = {
        "architecture": SMALLEST,
        "objectives": [OBJECTIVES[objective]],
        "training": {"optimizer": optimizer} | training,
    }
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


def train_until(
    database: Database, settings: WorkerSettings, run: str, batches: int, why: StopReason = "lease_lost"
) -> None:
    """An attempt that is told to stop in that batch of the run, counted from 1; the run is put back."""
    held = claim(database, run)
    with pytest.raises(Stopped):
        train_run(database, held, settings, StopsAt(database, held, settings, batches, why), CPU)
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
        return {
            event.kind: event.message
            for event in events.page(session, subject=run, types=events.NOTES, after=None, limit=50).rows
        }


def resume_path(database: Database, run: str) -> str | None:
    with database.reading() as session:
        return session.get_one(Run, run).resume_path


def state_files(settings: WorkerSettings) -> list[str]:
    return [str(file.relative_to(settings.storage.root)) for file in settings.storage.root.rglob("*.state.safetensors")]


def starting_from(tiny_spec: ExperimentSpec, checkpoint: Checkpoint | None, **training: object) -> ExperimentSpec:
    """A spec of another seed that learns next to nothing."""
    initial = None if checkpoint is None else checkpoint.id
    still: dict[str, object] = {"optimizer": {"lr": 1e-10}, "epochs": 1, "initial_checkpoint": initial}
    spec = spec_with(tiny_spec, **still | training)
    return spec.model_copy(update={"seeds": (9,)})
