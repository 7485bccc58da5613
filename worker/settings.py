"""A worker's settings: the store's, and how it works."""

import os
import socket
from pathlib import Path

from pydantic import Field

from store.settings import PositiveSeconds, StoreSettings

_NVIDIA_DRIVER = Path("/dev/nvidiactl")
_MOST_CPU_SLOTS = 4


def _default_slots() -> int:
    """One job at a time on a GPU; on a CPU one per core, as small batches gain little from a second thread."""
    return 1 if _NVIDIA_DRIVER.exists() else min(_MOST_CPU_SLOTS, os.cpu_count() or 1)


class WorkerSettings(StoreSettings):
    """`device` is `auto`, `cpu` or `cuda[:N]`; `threads` 0 shares the cores among the slots."""

    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    worker_slots: int = Field(default_factory=_default_slots, ge=1, le=64)
    threads: int = Field(default=0, ge=0)
    worker_name: str = Field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    lease_s: PositiveSeconds = 15
    heartbeat_s: PositiveSeconds = 1
    reconcile_s: PositiveSeconds = 5
    # After a fault that may go away a job waits this long for its next attempt, and twice as long for the one after.
    retry_s: PositiveSeconds = 30
    # How often files that no row needs any more are looked for.
    sweep_s: PositiveSeconds = 600
    # Between kept checkpoints, within an epoch too, a training state is saved this often: what a crash costs at most.
    state_every_s: PositiveSeconds = 30
    # How long a job waits for a database that is away before it gives itself up to the next attempt.
    database_patience_s: PositiveSeconds = 600
    # How long a job may take to reach its next batch once it was told to stop; then its process ends at once.
    stop_grace_s: PositiveSeconds = 10

    @property
    def threads_per_job(self) -> int:
        """Torch threads for one job."""
        return self.threads or max(1, (os.cpu_count() or 1) // self.worker_slots)
