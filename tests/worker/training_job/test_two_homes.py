"""Workers whose homes have nothing in common: what one began another ends, by the bucket and the database alone."""

import logging
from pathlib import Path

import pytest
import s3fs

from gauntlet.spec.experiment import ExperimentSpec
from store import files, job_logs
from store.database import Database
from store.subjects import checkpoints, runs
from tests.object_store import ObjectStore
from tests.packing import two_splits
from tests.refusing_store import ACCOUNT, BUCKET, SENTENCE, USER, refusing_store
from tests.uploads import packed, uploaded
from tests.worker.training_job.attempts import AT_ONCE, claim, messages, result, spec_with, submit, train, train_until
from tests.worker.training_job.conftest import Undisturbed
from tests.worker.training_job.test_uploaded_data import spec_on
from worker.beside.sweeper import sweep
from worker.jobs.child import _logging_to, _work
from worker.jobs.heartbeat import Heartbeat
from worker.jobs.job_log import JobLog
from worker.settings import WorkerSettings

pytestmark = [pytest.mark.long(seconds=8), pytest.mark.thorough]


@pytest.fixture
def homes(object_store: ObjectStore, settings: WorkerSettings, tmp_path: Path) -> tuple[WorkerSettings, WorkerSettings]:
    """Two workers on one bucket."""
    object_store.bucket("homes")
    given = settings.model_dump() | {"storage_url": "s3://homes/one"}
    one, other = (
        WorkerSettings(**given | {"home": tmp_path / name, "cache": tmp_path / name}) for name in ("one", "other")
    )
    return one, other


def test_a_run_is_taken_over_by_another_home(
    database: Database,
    homes: tuple[WorkerSettings, WorkerSettings],
    tiny_spec: ExperimentSpec,
    undisturbed: Undisturbed,
) -> None:
    """In mid-epoch, bit by bit; what neither names any more goes from the bucket, and the rest is whole."""
    one, other = homes
    spec = spec_with(tiny_spec)
    run = submit(database, spec)
    train_until(database, one, run, batches=5)
    train(database, other, run)
    assert messages(database, run)["resumed"].endswith(" continues after epoch 1 and 1 batch.")
    assert result(database, run) == undisturbed(spec)
    one.storage.write(f"{run}/attempt-1/orphan.safetensors", b"of a transaction that was aborted")
    for _ in range(2):
        sweep(database, one.storage, events_days=30, audit_days=30, retry_days=7)
    with database.reading() as session:
        kept = checkpoints.page(session, run=run, after=None, limit=10).rows
        assert one.storage.find("*/*/*") == sorted(row.path for row in kept)
        for row in kept:
            assert files.checked(other.storage, row.path, row.sha256).stat().st_size == row.bytes


def test_an_uploaded_data_set_reaches_another_home(
    database: Database, homes: tuple[WorkerSettings, WorkerSettings], tiny_spec: ExperimentSpec, tmp_path: Path
) -> None:
    """It was unpacked by one, and is trained on by the other, which brings it once."""
    one, other = homes
    pets = uploaded(database, one, packed(tmp_path, two_splits(train=48, test=4)))
    run = submit(database, spec_on(tiny_spec, pets))
    train(database, other, run)
    with database.reading() as session:
        assert runs.get(session, run).status == "succeeded"
    (copy,) = (other.cache / "fetched").glob("*/content")
    assert len(list((copy / pets / "content/images").rglob("*.png"))) == 104


def held_up(database: Database, run: str, settings: WorkerSettings) -> str:
    """Why the run waits again, after an attempt that the storage held up and that is no crash."""
    held = claim(database, run)
    _work(database, held, settings, Heartbeat(database, held, settings))
    with database.reading() as session:
        row = runs.get(session, run)
    assert (row.status, row.status_reason, row.crashes) == ("queued", "storage", 0)
    return row.status_detail or ""


def test_refused_credentials_hold_a_run_up(
    database: Database,
    homes: tuple[WorkerSettings, WorkerSettings],
    tiny_spec: ExperimentSpec,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However often they are: a key that is changed must not fail all that waits. It goes on with the right ones."""
    one, other = (each.model_copy(update={"retry_s": AT_ONCE}) for each in homes)
    run = submit(database, spec_with(tiny_spec))
    train_until(database, one, run, batches=5)
    with monkeypatch.context() as environment:
        environment.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
        s3fs.S3FileSystem.clear_instance_cache()
        for _ in range(4):
            assert held_up(database, run, other).startswith("The storage refuses the service: the store answers ")
    s3fs.S3FileSystem.clear_instance_cache()
    train(database, other, run)
    with database.reading() as session:
        assert runs.get(session, run).status == "succeeded"


def test_a_bucket_that_is_away_holds_a_run_up(
    database: Database,
    homes: tuple[WorkerSettings, WorkerSettings],
    object_store: ObjectStore,
    tiny_spec: ExperimentSpec,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It waits in the queue, however often that happens, and goes on when the bucket is back."""
    monkeypatch.setattr(WorkerSettings, "_storage_patience_s", 0.0)
    one, other = (each.model_copy(update={"retry_s": AT_ONCE}) for each in homes)
    run = submit(database, spec_with(tiny_spec))
    train_until(database, one, run, batches=5)
    object_store.stop()
    try:
        for _ in range(4):
            told = held_up(database, run, other)
            assert told.startswith("The storage is away: the store does not answer as it should")
    finally:
        object_store.start()
    train(database, other, run)
    with database.reading() as session:
        assert runs.get(session, run).status == "succeeded"


@pytest.mark.parametrize("answers", [True, False], ids=["refused", "away"])
def test_a_jobs_log_holds_nothing_that_is_the_stores(
    answers: bool,
    database: Database,
    homes: tuple[WorkerSettings, WorkerSettings],
    object_store: ObjectStore,
    tiny_spec: ExperimentSpec,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its sentence, with account, user, bucket and address, is in the worker's log alone; what it comes to is told."""
    # The first request of a busy machine may take seconds, and is sent again all the same.
    monkeypatch.setattr(WorkerSettings, "_storage_patience_s", 6.0)
    one, other = homes
    run = submit(database, spec_with(tiny_spec))
    train_until(database, one, run, batches=5)
    held = claim(database, run)
    log = JobLog(database, held)
    with (
        monkeypatch.context() as environment,
        refusing_store(403, "AccessDenied", heads=404) as address,
        _logging_to(log),
    ):
        asked = address if answers else "http://127.0.0.1:9"
        environment.setenv("AWS_ENDPOINT_URL", asked)
        s3fs.S3FileSystem.clear_instance_cache()
        _work(database, held, other, Heartbeat(database, held, other))
    logging.getLogger().removeHandler(log)
    s3fs.S3FileSystem.clear_instance_cache()
    with database.reading() as session:
        shown = "\n".join(job_logs.read(session, run, after=0, limit=1_000))
        assert runs.get(session, run).status_reason == "storage"
    known = object_store.environment
    secrets = {known["AWS_ACCESS_KEY_ID"], known["AWS_SECRET_ACCESS_KEY"], ACCOUNT, USER, BUCKET, "127.0.0.1"}
    assert [each for each in secrets if each in shown] == []
    if answers:
        assert "The store refuses this service: the store answers AccessDenied." in shown
        assert SENTENCE in caplog.text
    else:
        assert "The store is away: the store does not answer as it should (EndpointConnectionError)." in shown
        assert "The store is tried again in 0.5 s." in shown
        assert asked in caplog.text
