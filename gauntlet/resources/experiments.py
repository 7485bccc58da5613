"""Experiments, their curves, and what a draft of one would come to."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from gauntlet.checks.description import DatasetDescription
from gauntlet.resources.base import ProblemError, Progress, Resource, Status
from gauntlet.results.accuracy import Accuracy
from gauntlet.spec.asked.priorities import Priority
from gauntlet.spec.asked.retention import Keep
from gauntlet.spec.experiment import ExperimentSpec


class BestResult(Resource):
    """The most robust checkpoint of an experiment so far, under the attack that its report compares objectives in.

    `suspect` where its evaluation found signs of masked gradients.
    """

    objective: str
    seed: int
    checkpoint: str
    attack: str
    robust: Accuracy
    suspect: bool


class Experiment(Resource):
    """One spec. `best` is None until a checkpoint has been evaluated; `runs` are counted by their status."""

    id: str
    object: Literal["experiment"] = "experiment"
    created_at: datetime
    owner: str | None = None  # an earlier service does not say
    name: str
    status: Status
    status_reason: str | None
    progress: Progress
    runs: dict[Status, int] = Field(default_factory=dict)  # an earlier service does not count them
    best: BestResult | None = None
    priority: Priority = "normal"  # an earlier service has no other
    keep: Keep | None = None
    spec: ExperimentSpec
    labels: tuple[str, ...] = ()  # an earlier service says neither
    notes: str = ""


class RunSeries(Resource):
    """A run's metrics by name, one value for each of `epochs`; None where an epoch lacks it."""

    run: str
    objective: str
    seed: int
    epochs: tuple[int, ...]
    values: dict[str, tuple[float | None, ...]]


class Series(Resource):
    """How all runs of an experiment went, to five digits; `metrics` are all names that there are."""

    object: Literal["series"] = "series"
    experiment: str
    metrics: tuple[str, ...]
    runs: tuple[RunSeries, ...]


class PlannedRun(Resource):
    """A run that an experiment would have; of a sweep with the values of its trial, by field.

    How many images it is trained on, holds out for validation beside them, and is attacked on: None where the data is
    not seen, and of an earlier service, which does not tell.
    """

    objective: str
    seed: int
    values: dict[str, Any] = Field(default_factory=dict)  # an earlier service has no sweeps
    train_images: int | None = None
    validation_images: int | None = None
    test_images: int | None = None


class Estimate(Resource):
    """What an experiment would take on one device, one job after the other, at the pace of earlier jobs on it.

    A time is None where nothing alike was measured there: the same network and images, for training the same kind of
    objective, for evaluations each of the attacks.
    """

    device: str
    training_seconds: float | None
    evaluation_seconds: float | None


class Check(Resource):
    """A spec held against its data and checkpoints: what is wrong, worth knowing, and seen of the data.

    `dataset` and `spec`, as it was understood, are None where the spec itself is faulty. `runs`, `estimates` and
    `checkpoint_bytes`, what its checkpoints would take of the disk, are what a service tells beyond that.
    """

    object: Literal["check"] = "check"
    faults: tuple[ProblemError, ...]
    remarks: tuple[str, ...] = ()
    dataset: DatasetDescription | None = None
    spec: ExperimentSpec | None = None
    runs: tuple[PlannedRun, ...] = ()
    estimates: tuple[Estimate, ...] = ()
    checkpoint_bytes: int | None = None
