"""What the fork server has loaded, and no job's process has to load again."""

import multiprocessing
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from gauntlet.data.datasets import load_dataset
from gauntlet.training.loop import train
from tests.gauntlet.examples import CPU, run_spec, some

# It takes no time, and is about CUDA, which a fork server stays away from.
_OF_GPUS = "torch.profiler._cupti_monitor"


@pytest.mark.usefixtures("processes")
def test_a_run_loads_no_code_of_its_own() -> None:
    """Neither torch's compiler, which would take two seconds at the first update, nor Gauntlet's."""
    told, tells = multiprocessing.Pipe(duplex=False)
    # The worker's fork server, of which a process has one.
    run = multiprocessing.get_context("forkserver").Process(target=_train, args=(tells,), name="run")
    run.start()
    run.join()
    assert run.exitcode == 0
    assert told.recv() == []


def _train(tells: Connection) -> None:
    before = set(sys.modules)
    spec = run_spec()
    data = some(load_dataset(spec.dataset, Path()), train=14, test=5)
    assert list(train(spec, data, device=CPU))
    new = {name for name in set(sys.modules) - before if name.partition(".")[0] in {"torch", "gauntlet"}}
    tells.send(sorted(new - {_OF_GPUS}))
