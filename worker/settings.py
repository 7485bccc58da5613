"""A worker's settings: the store's, and how it works."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from gauntlet.settings import Networks, PositiveSeconds, Said
from gauntlet.spec.runs.kinship import Kernels
from store.settings import StoreSettings

_NVIDIA_DRIVER = Path("/dev/nvidiactl")
_MOST_CPU_SLOTS = 4


# Of the paper's network two dozen fill a GPU (docs/experiments.md).
_FUSED_ON_A_GPU = 24


def _default_fused_runs(settings: Mapping[str, object]) -> int:
    """On a CPU nothing is gained by computing runs as one, and several GPUs are for a run that fills them."""
    fills = settings.get("device") == "cpu" or settings.get("devices_per_run") != 1
    return _FUSED_ON_A_GPU if _NVIDIA_DRIVER.exists() and not fills else 1


def _default_slots() -> int:
    """One job at a time on a GPU; on a CPU one per core, as small batches gain little from a second thread."""
    return 1 if _NVIDIA_DRIVER.exists() else min(_MOST_CPU_SLOTS, os.cpu_count() or 1)


class WorkerSettings(StoreSettings):
    """How many jobs a worker does, on what, and how soon it notices what went wrong."""

    device: Annotated[str, Said(allowed="auto, cpu, cuda or cuda:N")] = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda(:\d{1,3})?)$",
        description="What computes; auto is a GPU if there is one.",
    )
    worker_slots: Annotated[int, Said(default="cores, at most 4; 1 with a GPU")] = Field(
        default_factory=_default_slots,
        ge=1,
        le=64,
        description="Jobs that a worker does at once. More than one pays on a GPU under NVIDIA's MPS only.",
    )
    devices_per_run: int = Field(
        default=1,
        ge=1,
        le=64,
        description="How many GPUs one run is trained on, DEVICE's and those after it; on a CPU so many processes.",
    )
    fused_runs: Annotated[int, Said(default="24 with a GPU, else 1")] = Field(
        default_factory=_default_fused_runs,
        ge=1,
        le=256,
        description="How many runs of an experiment are trained as one program in one slot, at most, where they differ "
        "in seed, objective and rates only; 1 trains each alone.",
    )
    fused_kernels: Annotated[Kernels, Said(allowed="auto, triton or torch")] = Field(
        default="auto",
        description="Whose kernels compute such runs; auto takes Triton's in bf16 and TF32 on a GPU from Ampere on, "
        "where they do what torch's do.",
    )
    threads: int = Field(
        default=0, ge=0, le=1024, description="Torch threads of one job; 0 shares the cores among the slots."
    )
    helps: Annotated[Literal["on", "off"], Said(allowed="on or off")] = Field(
        default="on",
        description="Whether free slots compute batches of evaluations that other workers hold, while no job waits.",
    )
    worker_name: Annotated[str, Said(allowed="text without spaces, at most 200 long", default="HOST:PID")] = Field(
        default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}",
        pattern=r"^\S{1,200}$",
        description="What the worker is called in events and logs.",
    )
    alive_file: Annotated[Path | None, Said(allowed="a file", default="none")] = Field(
        default=None,
        description="What a worker touches each time it has told the database that it lives, every five seconds or "
        "more often: for a container's health check.",
    )
    lease_s: PositiveSeconds = Field(
        default=15, description="How long a job stays its worker's without a heartbeat: how soon a dead one is noticed."
    )
    heartbeat_s: PositiveSeconds = Field(
        default=1,
        description="How often a job tells its progress and hears of a cancel; shorter than the lease. Beside more "
        "than 250 workers it does so more rarely, but three times in a lease.",
    )
    reconcile_s: PositiveSeconds = Field(
        default=5, description="How often a worker looks for jobs that wait, and for those of dead workers."
    )
    retry_s: PositiveSeconds = Field(
        default=30,
        description="How long a job waits after a fault that may go away, twice as long after the second, and "
        "after the second loss of its worker.",
    )
    sweep_s: PositiveSeconds = Field(
        default=600, description="How often files that no row needs, and events that are old, are looked for."
    )
    events_days: int = Field(
        default=30,
        ge=1,
        le=36_500,
        description="How many days the events that repeat what is stored elsewhere are kept; a run's notes stay.",
    )
    audit_days: int = Field(
        default=365, ge=1, le=36_500, description="How many days the entries of the audit list are kept."
    )
    retry_days: int = Field(
        default=7,
        ge=0,
        le=36_500,
        description="For how many days the training state of a run that failed or was cancelled is kept, for a retry.",
    )
    webhook_networks: Annotated[
        Networks, Said(allowed="addresses and networks with commas between them, such as 10.0.0.0/8", default="none")
    ] = Field(default=(), description="Internal networks that webhooks may be sent to; all others are refused.")
    state_every_s: PositiveSeconds = Field(
        default=30,
        description="How often a training state is saved between checkpoints, within an epoch too: what a crash costs.",
    )
    database_patience_s: PositiveSeconds = Field(
        default=600, description="How long a job waits for a database that is away before another attempt goes on."
    )
    max_unpacked_bytes: Annotated[int, Said(default="16 GiB")] = Field(
        default=16 << 30, ge=1, description="Bound of what an uploaded data set's archive unpacks to, in bytes."
    )
    max_unpacking_s: PositiveSeconds = Field(
        default=3600, description="How long an uploaded archive may take a processor to be unpacked and looked at."
    )
    max_decoded_bytes: Annotated[int, Said(default="100 GiB")] = Field(
        default=100 << 30,
        ge=0,
        description="Bound of the decoded pictures in HOME/decoded, from which large data sets are mapped, in bytes; "
        "with 0 all are read into memory.",
    )
    mapped_from_bytes: Annotated[int, Said(default="1 GiB")] = Field(
        default=1 << 30, ge=1, description="From how many bytes of pixels on a data set stays on the disk, mapped."
    )
    stop_grace_s: PositiveSeconds = Field(
        default=10,
        description="How long a job that must stop may take to reach its next batch; then it is ended. One that is to "
        "pause may take its time.",
    )

    _storage_patience_s: ClassVar[float] = 60.0
    _storage_answer_s: ClassVar[float] = 60.0

    @model_validator(mode="after")
    def _beats_before_the_lease_ends(self) -> Self:
        if self.heartbeat_s >= self.lease_s:
            raise ValueError(
                f"GAUNTLET_HEARTBEAT_S ({self.heartbeat_s:g}) must be shorter than GAUNTLET_LEASE_S ({self.lease_s:g})."
            )
        return self

    @model_validator(mode="after")
    def _runs_share_or_divide(self) -> Self:
        if self.fused_runs > 1 and self.devices_per_run > 1:
            raise ValueError(
                f"GAUNTLET_FUSED_RUNS ({self.fused_runs}) and GAUNTLET_DEVICES_PER_RUN ({self.devices_per_run}) cannot "
                "both be above 1: runs are trained together on one GPU, or one run on several."
            )
        return self

    def fused_runs_on(self, device_type: str) -> int:
        """How many runs are trained as one program on such a device: a driver alone, which the default sees, is no GPU.

        A number that was set stands on any device.
        """
        return self.fused_runs if "fused_runs" in self.model_fields_set or device_type == "cuda" else 1

    @property
    def threads_per_job(self) -> int:
        """Torch threads for one job."""
        return self.threads or max(1, (os.cpu_count() or 1) // self.worker_slots)
