"""What runs and evaluations share, runs, and what happens to them."""

from datetime import datetime
from typing import Any, Literal

from gauntlet.resources.base import Progress, Resource, Status
from gauntlet.spec.asked.priorities import Priority
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.sweeps import Trial


class Job(Resource):
    """What runs and evaluations share. `stopping` is what a running one was asked to do at its next batch.

    `retry_of` is the job whose place it took, `retried_by` the one that took its own.
    """

    id: str
    object: str
    created_at: datetime
    owner: str | None = None
    started_at: datetime | None
    finished_at: datetime | None
    status: Status
    status_reason: str | None
    status_detail: str | None
    priority: Priority = "normal"
    stopping: Literal["cancel", "pause"] | None = None  # an earlier service does not say
    attempt: int
    retry_of: str | None = None
    retried_by: str | None = None
    device: str | None
    progress: Progress | None


class Run(Job):
    """A training; of a sweep with the trial that it is of."""

    object: Literal["run"] = "run"
    experiment: str
    objective: str
    seed: int
    spec: RunSpec
    trial: Trial | None = None  # an earlier service has no sweeps


class EpochMetrics(Resource):
    """One epoch of a run; `metrics` are reproducible, the times are not."""

    object: Literal["epoch_metrics"] = "epoch_metrics"
    epoch: int
    metrics: dict[str, float]
    seconds: float
    images_per_second: float


EventType = Literal["status", "epoch", "progress", "note", "alarm"]


class Event(Resource):
    """Something that happened to `subject`, the id of an experiment, a run or whatever else has one.

    `kind` says it in one word, such as a status, `message` in a sentence; `data` holds what a program may want to know,
    by `type`: of a `status` its `reason`, of an `epoch` its metrics, of `progress` how far each attack is.
    """

    id: int
    object: Literal["event"] = "event"
    created_at: datetime
    type: EventType
    kind: str
    subject: str
    experiment: str | None
    attempt: int | None
    epoch: int | None
    message: str
    data: dict[str, Any]
