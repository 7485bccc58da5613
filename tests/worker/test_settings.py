"""A worker shares the machine's cores among its jobs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from worker import settings as module
from worker.settings import WorkerSettings


@pytest.mark.parametrize(("slots", "threads", "expected"), [(1, 0, os.cpu_count()), (1, 3, 3), (64, 0, 1)])
def test_threads_follow_from_the_slots(slots: int, threads: int, expected: int) -> None:
    """Unset, the cores are divided; set, the number stands; there is always one."""
    assert WorkerSettings(worker_slots=slots, threads=threads).threads_per_job == expected


@pytest.mark.parametrize(
    ("gpu", "device", "fused"), [(False, "auto", 1), (True, "auto", 24), (True, "cuda:1", 24), (True, "cpu", 1)]
)
def test_runs_are_computed_as_one_on_a_gpu_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu: bool, device: str, fused: int
) -> None:
    """Unless the setting says otherwise, on a CPU too."""
    driver = tmp_path / "nvidiactl"
    monkeypatch.setattr(module, "_NVIDIA_DRIVER", driver)
    if gpu:
        driver.touch()
    assert WorkerSettings(device=device).fused_runs == fused
    assert WorkerSettings(device=device, fused_runs=8).fused_runs == 8


def test_a_device_is_named_as_torch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """`cuda:1` is a device, `gpu` is not."""
    monkeypatch.setenv("GAUNTLET_DEVICE", "cuda:1")
    assert WorkerSettings().device == "cuda:1"
    monkeypatch.setenv("GAUNTLET_DEVICE", "gpu")
    with pytest.raises(ValidationError):
        WorkerSettings()


def test_a_worker_without_its_device_claims_nothing(tmp_path: Path, sqlite_url: str) -> None:
    """It ends at once and says which setting is wrong, instead of failing every job of the queue."""
    environment = os.environ | {
        "GAUNTLET_HOME": str(tmp_path),
        "GAUNTLET_DATABASE_URL": sqlite_url,
        "GAUNTLET_DEVICE": "cuda:99",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "worker"], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert ended.returncode != 0
    assert "GAUNTLET_DEVICE" in ended.stderr


def test_a_worker_without_a_temporary_folder_says_so(tmp_path: Path, sqlite_url: str) -> None:
    """In one sentence, before it claims anything."""
    environment = os.environ | {"GAUNTLET_HOME": str(tmp_path), "GAUNTLET_DATABASE_URL": sqlite_url}
    start = (
        "import tempfile; tempfile._candidate_tempdir_list = lambda: ['/nowhere']\n"
        "from worker.__main__ import main; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", start], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert ended.returncode == 1
    why = "No job's process can be started: No usable temporary directory found in ['/nowhere']."
    assert ended.stderr.splitlines()[-1] == why
    assert "Traceback" not in ended.stderr
