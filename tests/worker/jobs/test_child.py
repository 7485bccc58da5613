"""What a job's own process is like, and what it tells users of what failed it: sentences, without paths or code."""

from pathlib import Path

import pytest

from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database
from store.queue.jobs import Claim, JobProgress
from store.subjects import runs
from tests.gauntlet.models.test_memory import page_faults
from tests.worker.training_job.attempts import claim, submit
from worker.jobs.child import _work
from worker.jobs.heartbeat import Heartbeat
from worker.settings import WorkerSettings


class Fails(Heartbeat):
    """Raises an error where the job first tells how far it is."""

    def __init__(self, database: Database, held: Claim, settings: WorkerSettings, error: Exception) -> None:
        super().__init__(database, held, settings)
        self._error = error

    def tell(self, _: JobProgress) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError(13, "Permission denied", "/srv/weights"), "storage"),
        (OSError(28, "No space left on device", "/srv/weights"), "storage"),
        (RuntimeError("/srv/alloc_cpu.cpp:121: DefaultCPUAllocator: can't allocate memory"), "out_of_memory"),
        (MemoryError("/srv/x"), "out_of_memory"),
        (KeyError("/srv/x"), "internal_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_a_detail_is_a_sentence_for_users(
    tmp_path: Path, sqlite_url: str, tiny_spec: ExperimentSpec, error: Exception, reason: str
) -> None:
    """What a library's error says of this machine stays in the log."""
    broker = "redis+socket:///nonexistent/broker.sock"
    settings = WorkerSettings(home=tmp_path, database_url=sqlite_url, broker_url=broker, device="cpu")
    database = Database(sqlite_url)
    run = submit(database, tiny_spec)
    held = claim(database, run)
    _work(database, held, settings, Fails(database, held, settings, error))
    with database.reading() as session:
        row = runs.get(session, run)
    assert row.status_reason == reason
    assert row.status_detail is not None
    assert row.status_detail.endswith(".")
    assert "/srv" not in row.status_detail
    assert ".cpp" not in row.status_detail
    if isinstance(error, OSError):
        assert str(error.strerror) in row.status_detail
    database.close()


def test_a_process_of_jobs_keeps_memory_for_its_next_batch() -> None:
    """From the moment in which it is at work."""
    imports = "from worker.jobs.child import _at_work\nfrom worker.settings import WorkerSettings"
    handed_back, kept = page_faults(imports, "_at_work(WorkerSettings(database_url='sqlite:///x')).__enter__()")
    assert kept < handed_back / 10
