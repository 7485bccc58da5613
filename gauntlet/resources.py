"""What the HTTP API shows: the values that the service fills and the client reads. No torch, no HTTP.

Every object carries `id`, `object` and `created_at`; a job also says how far it is and why it ended. `owner` is whose
token asked for it, None where none was shown.
"""

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from gauntlet.checks.description import DatasetDescription, PictureSizes, Skipped
from gauntlet.results.doubts import Doubt
from gauntlet.results.finding import Finding
from gauntlet.results.outcome import Accuracy, EvaluationOutcome
from gauntlet.spec.checkpoint_card import CheckpointCard
from gauntlet.spec.evaluation import EvaluationSpec, Selection
from gauntlet.spec.experiment import ExperimentSpec, RunSpec
from gauntlet.spec.kinds import DatasetSpec
from gauntlet.spec.priorities import Priority
from gauntlet.spec.retention import Keep
from gauntlet.spec.tokens import Scope
from gauntlet.spec.uploads import SplitDraw
from gauntlet.spec.webhooks import WebhookEvent

Status = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]
TERMINAL: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})


class Resource(BaseModel):
    """Base of all answers; a client tolerates fields it does not know, so that a server may gain some."""

    model_config = ConfigDict(frozen=True, extra="ignore")


T = TypeVar("T", bound=Resource)


class Progress(Resource):
    """How far a job is: `completed` of `total` units of the phase it is in. `eta_s` is None while it is unknown."""

    phase: str
    completed: int
    total: int
    unit: str
    eta_s: float | None


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
    runs: dict[Status, int] = {}  # an earlier service does not count them
    best: BestResult | None = None
    priority: Priority = "normal"  # an earlier service has no other
    keep: Keep | None = None
    spec: ExperimentSpec
    labels: tuple[str, ...] = ()  # an earlier service says neither
    notes: str = ""


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
    object: Literal["run"] = "run"
    experiment: str
    objective: str
    seed: int
    spec: RunSpec


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


class Evaluation(Job):
    """One checkpoint under attack. `experiment` and `run` are None where a request of its own asked for it.

    `checkpoint_name` and `dataset` are what a reader knows the checkpoint and its images by. `doubts` are all reasons
    not to take the outcome's numbers at their word; none before there is one. `data` is what was read of the test
    images, None before that and in lists.
    """

    object: Literal["evaluation"] = "evaluation"
    experiment: str | None
    run: str | None
    checkpoint: str
    checkpoint_name: str = ""  # an earlier service says neither
    dataset: str = ""
    selection: tuple[Selection, ...]
    spec: EvaluationSpec
    attacks: tuple[AttackProgress, ...] = ()
    data: DatasetDescription | None = None
    outcome: EvaluationOutcome | None
    doubts: tuple[Doubt, ...] = ()


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
    """The answer to an import: the checkpoint, and what trying its model on noise found."""

    findings: tuple[Finding, ...]


class EpochMetrics(Resource):
    """One epoch of a run; `metrics` are reproducible, the times are not."""

    object: Literal["epoch_metrics"] = "epoch_metrics"
    epoch: int
    metrics: dict[str, float]
    seconds: float
    images_per_second: float


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


class Page(Resource, Generic[T]):
    """One page of a list; `next` is the cursor to pass as `after` for the following one."""

    object: Literal["list"] = "list"
    data: tuple[T, ...]
    has_more: bool
    next: str | None


class ImagePage(Page[ImageResult]):
    """Images of an evaluation; `doubts` are those about all of its numbers, none before it has an outcome."""

    doubts: tuple[Doubt, ...] = ()


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

    `remarks` say what was done to the image that may surprise: `stretched` to the model's proportions, `levels_cut` to
    0…255.
    """

    object: Literal["classification"] = "classification"
    image: str
    checkpoint: str
    label: str
    probability: float
    probabilities: tuple[ClassProbability, ...]
    remarks: tuple[str, ...] = ()
    attack: UnderAttack | None = None


DatasetStatus = Literal["unpacking", "ready", "failed"]


class Dataset(Resource):
    """A data set that specs may name, and how: `spec`. Uploaded ones have a date, an owner, counts and a digest.

    `progress` is of its unpacking; its total is 0 while that is not known. Of an image folder nothing is counted in a
    list, and of CIFAR-10 it is not said whether its files are whole.
    """

    id: str
    object: Literal["dataset"] = "dataset"
    created_at: datetime | None
    owner: str | None
    name: str
    status: DatasetStatus
    status_reason: str | None = None
    status_detail: str | None = None
    progress: Progress | None = None
    spec: DatasetSpec
    classes: int | None = None
    train_images: int | None = None
    test_images: int | None = None
    bytes: int | None = None
    sha256: str | None = None


class DatasetThumbnail(Resource):
    """A small picture of a data set: its class, which image it is of, and where it is."""

    label: str
    image: str
    path: str


class DatasetDetails(Dataset):
    """All that is known of one. `skipped` is what its archive held beside its pictures, and pictures that were damaged.

    `split` says how test images were drawn, if they were; `same_as` names other uploads with the very same pictures.
    """

    finished_at: datetime | None = None
    notes: str = ""
    split: SplitDraw | None = None
    archive_bytes: int | None = None
    archive_sha256: str | None = None
    description: DatasetDescription | None = None
    skipped: tuple[Skipped, ...] = ()
    sizes: PictureSizes | None = None
    thumbnails: tuple[DatasetThumbnail, ...] = ()
    same_as: tuple[str, ...] = ()


class Token(Resource):
    """What opens the API to its owner, but for the token itself, which is told once, when it is made."""

    id: str
    object: Literal["token"] = "token"
    created_at: datetime
    owner: str
    name: str | None
    scope: Scope
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class NewToken(Token):
    """The answer to its making, the only one that holds the token."""

    token: str


class AuditEntry(Resource):
    """That a request changed something, or was refused for want of rights: `outcome` is `done` or the refusal's kind.

    `route` is the path with the names of its parameters, `subject` the object that was changed, or made; of several the
    first. `owner` and `token` are None where there was no login.
    """

    id: int
    object: Literal["audit_entry"] = "audit_entry"
    created_at: datetime
    owner: str | None
    token: str | None
    method: str
    route: str
    subject: str | None
    outcome: str
    request: str | None


class Session(Resource):
    """Who asks. Without `login` the service takes everybody for an admin; then there is no `owner`."""

    object: Literal["session"] = "session"
    login: bool
    owner: str | None
    scope: Scope
    expires_at: datetime | None


class HeldJob(Resource):
    """A job that a worker has."""

    kind: Literal["run", "evaluation"]
    id: str
    experiment: str | None


class Worker(Resource):
    """A worker as it was last seen: `alive` within the last 30 s; `device` is what its last job was computed on."""

    object: Literal["worker"] = "worker"
    name: str
    alive: bool
    device: str | None
    slots: int
    version: str
    started_at: datetime
    seen_at: datetime
    jobs: tuple[HeldJob, ...]


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


class Webhook(Resource):
    """Where events are sent. `url` is whole to its owner and to admins; it may itself be a secret."""

    id: str
    object: Literal["webhook"] = "webhook"
    created_at: datetime
    owner: str | None
    url: str
    events: tuple[WebhookEvent, ...]


class NewWebhook(Webhook):
    """The answer to its making, the only one that holds the secret which every delivery is signed with."""

    secret: str


class Delivery(Resource):
    """An event on its way to a webhook; `answer` is the status of the last answer, `fault` why it did not count."""

    id: str
    object: Literal["delivery"] = "delivery"
    created_at: datetime
    event: int
    type: WebhookEvent
    status: Literal["waiting", "delivered", "failed"]
    attempts: int
    next_at: datetime | None
    answer: int | None
    fault: str | None
    delivered_at: datetime | None


class ProblemError(Resource):
    """One invalid field: a JSON pointer into the request, and what is wrong there."""

    pointer: str
    message: str


class PlannedRun(Resource):
    """A run that an experiment would have."""

    objective: str
    seed: int


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


class Problem(Resource):
    """An error as RFC 9457 has it, with the request's id."""

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[ProblemError, ...] = ()
    request_id: str
