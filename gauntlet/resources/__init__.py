"""What the HTTP API shows: the values that the service fills and the client reads. No torch, no HTTP.

Every object carries `id`, `object` and `created_at`; a job also says how far it is and why it ended. `owner` is whose
token asked for it, None where none was shown.
"""

from gauntlet.resources.access import AuditEntry, NewToken, Session, Token
from gauntlet.resources.base import TERMINAL, Page, Problem, ProblemError, Progress, Resource, Status
from gauntlet.resources.checkpoints import (
    Checkpoint,
    Classification,
    ClassProbability,
    ImportedCheckpoint,
    UnderAttack,
    UnderBudget,
)
from gauntlet.resources.datasets import Dataset, DatasetDetails, DatasetStatus, DatasetThumbnail
from gauntlet.resources.evaluations import (
    AttackedImage,
    AttackProgress,
    Evaluation,
    ImagePage,
    ImageResult,
    PictureFile,
    PictureForm,
)
from gauntlet.resources.experiments import BestResult, Check, Estimate, Experiment, PlannedRun, RunSeries, Series
from gauntlet.resources.jobs import EpochMetrics, Event, EventType, Job, Run
from gauntlet.resources.results import Result
from gauntlet.resources.system import Disk, HeldJob, HelpedEvaluation, OwnerQuotas, OwnerUsage, Queue, Usage, Worker
from gauntlet.resources.webhooks import Delivery, NewWebhook, Webhook

__all__ = [
    "TERMINAL",
    "AttackProgress",
    "AttackedImage",
    "AuditEntry",
    "BestResult",
    "Check",
    "Checkpoint",
    "ClassProbability",
    "Classification",
    "Dataset",
    "DatasetDetails",
    "DatasetStatus",
    "DatasetThumbnail",
    "Delivery",
    "Disk",
    "EpochMetrics",
    "Estimate",
    "Evaluation",
    "Event",
    "EventType",
    "Experiment",
    "HeldJob",
    "HelpedEvaluation",
    "ImagePage",
    "ImageResult",
    "ImportedCheckpoint",
    "Job",
    "NewToken",
    "NewWebhook",
    "OwnerQuotas",
    "OwnerUsage",
    "Page",
    "PictureFile",
    "PictureForm",
    "PlannedRun",
    "Problem",
    "ProblemError",
    "Progress",
    "Queue",
    "Resource",
    "Result",
    "Run",
    "RunSeries",
    "Series",
    "Session",
    "Status",
    "Token",
    "UnderAttack",
    "UnderBudget",
    "Usage",
    "Webhook",
    "Worker",
]
