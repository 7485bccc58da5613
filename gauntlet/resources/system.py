"""What works, and what is used of it."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from gauntlet.resources.base import Resource, Status


class HeldJob(Resource):
    """A job that a worker has; `fused_with` is the run in whose slot it is trained, None where it has its own."""

    kind: Literal["run", "evaluation"]
    id: str
    experiment: str | None
    fused_with: str | None = None  # an earlier service has none


class HelpedEvaluation(Resource):
    """An evaluation of another slot's with which a slot helps until a job waits."""

    id: str
    experiment: str | None


class Worker(Resource):
    """A worker as it was last seen: `alive` within the last 30 s; `device` is what its last job was computed on.

    `helps` has an evaluation for each slot that helps with it, beside those that `jobs` take. `networks` are those of a
    team's own that it has, by name, each with its package and that one's version.
    """

    object: Literal["worker"] = "worker"
    name: str
    alive: bool
    device: str | None
    slots: int
    version: str
    networks: dict[str, str] = Field(default_factory=dict)  # an earlier service has none
    started_at: datetime
    seen_at: datetime
    jobs: tuple[HeldJob, ...]
    helps: tuple[HelpedEvaluation, ...] = ()  # an earlier service has none


class Queue(Resource):
    """How many jobs wait, and since when the oldest of them has been there."""

    waiting: int
    oldest_at: datetime | None


class OwnerUsage(Resource):
    """What an owner has: jobs that have not ended, bytes in files, uploads of the last day. None owns the rest."""

    owner: str | None
    jobs: int
    bytes: int
    uploads_in_a_day: int


class OwnerQuotas(Resource):
    """The most that each owner may have; 0 is any number."""

    jobs: int
    bytes: int
    uploads_a_day: int


class Disk(Resource):
    """The disk that checkpoints are on; what is free to two digits."""

    total_bytes: int
    free_bytes: int


class Usage(Resource):
    """What there is and what it takes; jobs by their status. `disk` is None where the service does not see it."""

    object: Literal["usage"] = "usage"
    runs: dict[Status, int]
    evaluations: dict[Status, int]
    queue: Queue
    owners: tuple[OwnerUsage, ...]
    quotas: OwnerQuotas
    disk: Disk | None
