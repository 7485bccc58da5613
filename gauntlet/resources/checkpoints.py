"""Checkpoints, and what they take images for."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from gauntlet.resources.base import Resource
from gauntlet.results.finding import Finding
from gauntlet.spec.checkpoint_card import CheckpointCard
from gauntlet.spec.runs.training import InferencePrecision


class Checkpoint(Resource):
    """Weights that training kept, or that were imported: then there is no experiment, run, objective, seed or epoch.

    `metrics` are those of its epoch; an imported one has none.
    """

    id: str
    object: Literal["checkpoint"] = "checkpoint"
    created_at: datetime
    owner: str | None = None
    name: str
    experiment: str | None
    run: str | None
    objective: str | None
    seed: int | None
    epoch: int | None
    sha256: str
    bytes: int
    card: CheckpointCard
    metrics: dict[str, float]
    labels: tuple[str, ...] = ()  # an earlier service says neither
    notes: str = ""


class ImportedCheckpoint(Checkpoint):
    """The answer to an import: the checkpoint, what trying its model on noise found, and what its tensors were called.

    `renamed` is the file's name of a tensor → the network's, where they differ; `left_out` the file's name of a tensor
    that takes no part in what the network answers → what it is.
    """

    findings: tuple[Finding, ...]
    renamed: dict[str, str] = Field(default_factory=dict)  # an earlier service says neither
    left_out: dict[str, str] = Field(default_factory=dict)


class ClassProbability(Resource):
    label: str
    probability: float


class UnderBudget(Resource):
    """An image as one budget of an attack leaves it: what it is then taken for, and all classes, most likely first.

    `picture` is a PNG in base64, rounded to whole 255ths; the probabilities are of the image as it was made.
    """

    eps: str
    label: str
    probabilities: tuple[ClassProbability, ...]
    picture: str | None


class UnderAttack(Resource):
    """What an attack makes of one image, on the weights of the checkpoint that sees it.

    It leads away from the class `right`: what the request says that the image is, or else what the checkpoint takes it
    for. `smallest_eps` is the least of the budgets that were asked for at which it is taken for another class, None
    where it never is. `picture` is the image before.
    """

    attack: str
    weights_sha256: str
    right: str
    smallest_eps: str | None
    picture: str | None
    budgets: tuple[UnderBudget, ...]


class Classification(Resource):
    """One image seen by one checkpoint; `probabilities` are of all classes, most likely first.

    `remarks` say what was done to the image that may surprise: `stretched`, `cropped` or `padded` to the model's
    proportions, `levels_cut` to 0…255. `precision` is what the network computed in.
    """

    object: Literal["classification"] = "classification"
    image: str
    checkpoint: str
    label: str
    probability: float
    probabilities: tuple[ClassProbability, ...]
    remarks: tuple[str, ...] = ()
    precision: InferencePrecision = "fp32"
    attack: UnderAttack | None = None
