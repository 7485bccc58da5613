"""A run on an uploaded data set: trained, resumed and evaluated as on any other, and what it stands on is kept."""

import errno
import shutil
from pathlib import Path

import pytest
from sqlalchemy import select

from gauntlet.checks.description import DatasetDescription
from gauntlet.data.datasets import digest, load_split
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.kinds import Uploaded
from gauntlet.spec.presets import overlay
from store.database import Database
from store.errors import Refused, RequestUnfit
from store.models import Evaluation
from store.queue import jobs
from store.subjects import checkpoints, datasets, evaluations, runs
from tests.packing import two_splits
from tests.uploads import packed, receive, uploaded
from tests.worker.training_job.attempts import (
    CPU,
    claim,
    fail,
    kept,
    messages,
    result,
    spec_with,
    submit,
    train,
    train_until,
)
from worker.jobs.evaluation_job import evaluate_checkpoint
from worker.jobs.heartbeat import Heartbeat
from worker.jobs.training_job import train_run
from worker.settings import WorkerSettings


@pytest.fixture
def pets(database: Database, settings: WorkerSettings, tmp_path: Path) -> str:
    """A data set of 96 pictures to train on and 8 for test."""
    return uploaded(database, settings, packed(tmp_path, two_splits(train=48, test=4)))


def spec_on(tiny_spec: ExperimentSpec, identifier: str) -> ExperimentSpec:
    dataset = {"name": "uploaded", "id": identifier, "image_size": 16}
    document = overlay(spec_with(tiny_spec).model_dump(mode="json"), {"evaluation": {"samples": 8}})
    return ExperimentSpec.model_validate(document | {"dataset": dataset})


@pytest.mark.long(seconds=5)
def test_a_run_on_an_upload_is_resumed_and_evaluated_like_any_other(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec, pets: str
) -> None:
    """Bit by bit; its protocol has the digest of the very test images, and reports call them by their name."""
    spec = spec_on(tiny_spec, pets)
    whole, stopped = submit(database, spec), submit(database, spec)
    train(database, settings, whole)
    train_until(database, settings, stopped, batches=6)
    train(database, settings, stopped)
    assert messages(database, stopped)["resumed"].endswith(" continues after epoch 1 and 2 batches.")
    assert result(database, stopped) == result(database, whole)
    with database.reading() as session:
        seen = DatasetDescription.model_validate(runs.get(session, whole).data)
    assert seen.dataset == f"pets ({pets})"
    assert seen.train is not None
    assert seen.train.images == 96

    checkpoint = kept(database, whole)[0]
    dataset = Uploaded(id=pets, title="pets", image_size=16)
    assert (checkpoint.dataset_id, checkpoints.card_of(checkpoint).dataset) == (pets, dataset)
    with database.writing() as session:
        waiting = session.scalars(select(Evaluation.id).where(Evaluation.run_id == whole)).all()
        held = jobs.claim(session, "evaluation", waiting[0], "worker", 60)
    assert held is not None
    evaluate_checkpoint(database, held, settings, Heartbeat(database, held, settings), CPU)
    with database.reading() as session:
        outcome = evaluations.show(session, [evaluations.get(session, held.id)])[0].outcome
    assert outcome is not None
    test, classes = load_split(dataset, "test", settings.root_of(dataset))
    assert outcome.attacks[0].protocol.dataset_sha256 == digest(test, classes)
    assert outcome.attacks[0].protocol.dataset == f"pets ({pets})"


def test_what_something_stands_on_is_not_deleted(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec, pets: str
) -> None:
    """The refusal names who does; a data set that was deleted can be stood on no more."""
    spec = spec_on(tiny_spec, pets)
    submit(database, spec)
    with pytest.raises(Refused, match=rf"{pets} is needed by 1 experiment \(exp_"), database.writing() as session:
        datasets.delete(session, pets)
    other = uploaded(database, settings, packed(settings.home, two_splits(train=3)))
    with database.writing() as session:
        datasets.delete(session, other)
    with pytest.raises(RequestUnfit, match="There is no data set with the id"):
        submit(database, spec_on(tiny_spec, other))


def test_an_upload_that_is_not_ready_is_no_data_set_yet(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec, tmp_path: Path
) -> None:
    """Nothing is queued on it."""
    waiting = receive(database, settings.storage, packed(tmp_path))
    with pytest.raises(RequestUnfit, match="is still being unpacked") as refused:
        submit(database, spec_on(tiny_spec, waiting))
    assert [fault.pointer for fault in refused.value.faults] == ["/dataset/id"]


def test_a_storage_that_is_away_is_no_data_set_that_is_lost(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec, pets: str
) -> None:
    """The first is tried again; the second ends the run with a sentence."""
    run, other = submit(database, spec_on(tiny_spec, pets)), submit(database, spec_on(tiny_spec, pets))
    shutil.rmtree(settings.storage.root / pets)
    assert fail(database, settings, run) == (
        "dataset_unavailable",
        f"The images of the data set {pets} are not in the storage: it was deleted, or is not ready yet.",
    )
    shutil.rmtree(settings.storage.root)
    held = claim(database, other)
    with pytest.raises(OSError, match="The storage is away") as away:
        train_run(database, held, settings, Heartbeat(database, held, settings), CPU)
    assert away.value.errno == errno.ENOENT
