"""A saved state that cannot be gone on from: whether the run starts over or fails, and what stays of it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from gauntlet.models import tensor_files
from gauntlet.models.checkpoints import load_training_state
from gauntlet.models.tensor_files import HEADER
from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database
from store.models import Run
from store.queue import jobs, retries
from tests.evaluations import queued
from tests.worker.training_job.attempts import (
    claim,
    fail,
    kept,
    messages,
    result,
    resume_path,
    spec_with,
    state_files,
    submit,
    train,
    train_until,
)
from tests.worker.training_job.conftest import Undisturbed
from worker.settings import WorkerSettings


def test_a_damaged_state_starts_the_run_over(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec, undisturbed: Undisturbed
) -> None:
    """A checkpoint that is being evaluated meanwhile stays as it is; all else is done again, with the same numbers."""
    spec = spec_with(tiny_spec)
    stopped = submit(database, spec)
    train_until(database, settings, stopped, batches=8)
    (evaluated,) = kept(database, stopped)
    queued(database, evaluated.id)
    (settings.storage.root / str(resume_path(database, stopped))).write_bytes(b"damaged")
    train(database, settings, stopped)
    assert messages(database, stopped)["restarted"].endswith(" the saved training state is damaged.")
    assert kept(database, stopped)[-1].id == evaluated.id
    assert result(database, stopped) == undisturbed(spec)
    stored = {str(file.relative_to(settings.storage.root)) for file in settings.storage.root.rglob("*.safetensors")}
    assert stored == {checkpoint.path for checkpoint in kept(database, stopped)}


def test_a_state_of_the_first_version_starts_the_run_over(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec, undisturbed: Undisturbed
) -> None:
    """It lacks what an epoch has come to. The retry of a run that failed with it comes out as any other."""
    spec = spec_with(tiny_spec)
    failed = submit(database, spec)
    train_until(database, settings, failed, batches=8)
    write_as_the_first_version_did(database, settings, failed)
    held = claim(database, failed)
    with database.writing() as session:
        jobs.finish(session, held, "failed", "checkpoint_invalid", "The header does not describe a training state.")
        retry, _ = retries.retry_run(session, failed, None)
    train(database, settings, retry.id)
    told = messages(database, retry.id)["restarted"]
    assert " the saved training state is of an earlier version of Gauntlet" in told
    assert result(database, retry.id) == undisturbed(spec)


def test_a_state_of_a_later_version_is_left_to_that(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec
) -> None:
    """As when a worker of before an upgrade comes to it: the run fails, and all that it has done stays."""
    failed = submit(database, spec_with(tiny_spec))
    train_until(database, settings, failed, batches=8)
    path = settings.storage.root / str(resume_path(database, failed))
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()[HEADER])
    header["guard"] |= {"seen": "in years to come"}
    rewrite(database, settings, failed, load_file(path), header)
    done = result(database, failed)
    assert fail(database, settings, failed)[0] == "checkpoint_invalid"
    assert result(database, failed) == done
    assert path.exists()


def test_a_state_that_cannot_be_opened_is_not_taken_for_an_earlier_one(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the storage goes away between two looks at the file: nothing that was done is done again."""
    failed = submit(database, spec_with(tiny_spec))
    train_until(database, settings, failed, batches=8)
    done = result(database, failed)

    def cannot_be_opened(_: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(tensor_files, "_require_header", cannot_be_opened)
    fail(database, settings, failed)
    assert result(database, failed) == done
    assert state_files(settings)


def write_as_the_first_version_did(database: Database, settings: WorkerSettings, run: str) -> None:
    """The state after an epoch as 581533b wrote it: without a place in an epoch, and what that has come to so far."""
    state = load_training_state(settings.storage.root / str(resume_path(database, run)))
    tensors = {f"model/{name}": tensor for name, tensor in state.model.items()}
    tensors |= {f"optimizer/{name}": tensor for name, tensor in state.optimizer.items()}
    header = {"epoch": state.epoch, "warnings": state.warnings, "environment": state.environment}
    rewrite(database, settings, run, tensors, header)


def rewrite(
    database: Database, settings: WorkerSettings, run: str, tensors: dict[str, Tensor], header: dict[str, Any]
) -> None:
    """Put another state in the place of a run's, as if its attempt had written that."""
    content = save(tensors, metadata={HEADER: json.dumps(header)})
    (settings.storage.root / str(resume_path(database, run))).write_bytes(content)
    with database.writing() as session:
        session.get_one(Run, run).resume_sha256 = hashlib.sha256(content).hexdigest()
