"""Evaluations, and their images one by one."""

from typing import Literal

from gauntlet.checks.description import DatasetDescription
from gauntlet.resources.base import Page, Resource
from gauntlet.resources.jobs import Job
from gauntlet.results.doubts import Doubt
from gauntlet.results.outcome import EvaluationOutcome
from gauntlet.spec.evaluations.evaluation import EvaluationSpec, Selected


class AttackProgress(Resource):
    """One attack of an evaluation: `completed` of `total` images need no more of it.

    An image is completed once every part of an ensemble has had it, or one has broken it. `eta_s` is how long the rest
    takes at the attack's own measured pace, at most; None while it has none.
    """

    label: str
    status: Literal["queued", "running", "done"]
    completed: int
    total: int
    seconds: float
    eta_s: float | None


PictureForm = Literal["npz", "png"]


class PictureFile(Resource):
    """A file of the attacked pictures that an evaluation kept: exactly (npz), or to look at (a zip archive of PNGs)."""

    format: PictureForm
    bytes: int
    sha256: str


class Evaluation(Job):
    """One checkpoint under attack. `experiment` and `run` are None where a request of its own asked for it.

    `helpers` are the workers that attack some of its images beside its own, since they had nothing else to do.
    `checkpoint_name` and `dataset` are what a reader knows the checkpoint and its images by. `doubts` are all reasons
    not to take the outcome's numbers at their word; none before there is one. `data` is what was read of the test
    images, None before that and in lists; `pictures` are the files of those that it kept, likewise.
    """

    object: Literal["evaluation"] = "evaluation"
    experiment: str | None
    run: str | None
    checkpoint: str
    checkpoint_name: str = ""  # an earlier service says neither
    dataset: str = ""
    selection: tuple[Selected, ...]
    spec: EvaluationSpec
    helpers: int = 0  # an earlier service has none
    attacks: tuple[AttackProgress, ...] = ()
    data: DatasetDescription | None = None
    outcome: EvaluationOutcome | None
    doubts: tuple[Doubt, ...] = ()
    pictures: tuple[PictureFile, ...] = ()


class AttackedImage(Resource):
    """One image under one attack: what it is then taken for, and which attack or part of an ensemble broke it.

    `broken_by` is None where nothing did, and where the image is misclassified without any attack.
    """

    robust: bool
    predicted: str
    broken_by: str | None


class ImageResult(Resource):
    """One test image: its class, what it is taken for, and the same under each attack that has finished with it."""

    object: Literal["image_result"] = "image_result"
    position: int
    label: str
    natural: str
    attacks: dict[str, AttackedImage]


class ImagePage(Page[ImageResult]):
    """Images of an evaluation; `doubts` are those about all of its numbers, none before it has an outcome."""

    doubts: tuple[Doubt, ...] = ()
