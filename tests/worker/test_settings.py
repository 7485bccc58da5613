"""A worker shares the machine's cores among its jobs."""

import os

import pytest
from pydantic import ValidationError

from worker.settings import WorkerSettings


@pytest.mark.parametrize(("slots", "threads", "expected"), [(1, 0, os.cpu_count()), (1, 3, 3), (64, 0, 1)])
def test_threads_follow_from_the_slots(slots: int, threads: int, expected: int) -> None:
    """Unset, the cores are divided; set, the number stands; there is always one."""
    assert WorkerSettings(worker_slots=slots, threads=threads).threads_per_job == expected


def test_a_device_is_named_as_torch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """`cuda:1` is a device, `gpu` is not."""
    monkeypatch.setenv("GAUNTLET_DEVICE", "cuda:1")
    assert WorkerSettings().device == "cuda:1"
    monkeypatch.setenv("GAUNTLET_DEVICE", "gpu")
    with pytest.raises(ValidationError):
        WorkerSettings()
