"""A GPU's memory comes back with the end of each job's process; and nothing but jobs takes any."""

import pytest
import torch

from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database
from store.subjects import experiments, runs
from tests.e2e.system import await_that
from tests.gauntlet.examples import GPU, needs_gpu
from tests.worker.processes.attempts import found, started
from worker.processes import JobProcesses
from worker.settings import WorkerSettings

pytestmark = [*needs_gpu, pytest.mark.thorough]


@pytest.fixture
def settings(settings: WorkerSettings) -> WorkerSettings:
    return settings.model_copy(update={"device": str(GPU)})


def test_memory_is_back_between_runs(database: Database, processes: JobProcesses, tiny_spec: ExperimentSpec) -> None:
    """Of two that train until they are cancelled, one after the other in one slot, each leaves what it found."""
    before = _used()
    for seed in range(2):
        training = tiny_spec.training.model_copy(update={"epochs": 10_000, "compile": "off"})
        endless = tiny_spec.model_copy(update={"training": training, "seeds": (seed,)})
        with database.writing() as session:
            (run,) = experiments.create(session, endless, None)[1]
        started(database, processes, run)
        assert _used() > before
        with database.writing() as session:
            runs.cancel(session, run)
        await_that(lambda run=run: found(database, run).status == "cancelled" and processes.free_slots == 1)
        await_that(lambda: _used() <= before)


def _used() -> int:
    """Bytes of the GPU that any process has."""
    free, total = torch.cuda.mem_get_info(GPU)
    return total - free
