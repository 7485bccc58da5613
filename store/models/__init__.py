"""The tables, one module per subject. What is only shown is JSON; what is queried is a column.

Times are seconds since 1970 by the database's clock.
"""

from store.models.access import BrowserSession, Token, Upload
from store.models.audit import AuditEntry
from store.models.base import STATUSES, Base, new_id
from store.models.datasets import Dataset
from store.models.events import Event
from store.models.files import DiscardedFolder
from store.models.helpers import EvaluationHelper, TakenBatch
from store.models.job_logs import LoggedLines
from store.models.jobs import (
    Checkpoint,
    EpochMetrics,
    Evaluation,
    EvaluationBatch,
    Experiment,
    ExperimentLabel,
    Job,
    Run,
)
from store.models.pictures import PictureFile
from store.models.results import Result
from store.models.webhooks import Delivery, Webhook
from store.models.workers import Worker

__all__ = [
    "STATUSES",
    "AuditEntry",
    "Base",
    "BrowserSession",
    "Checkpoint",
    "Dataset",
    "Delivery",
    "DiscardedFolder",
    "EpochMetrics",
    "Evaluation",
    "EvaluationBatch",
    "EvaluationHelper",
    "Event",
    "Experiment",
    "ExperimentLabel",
    "Job",
    "LoggedLines",
    "PictureFile",
    "Result",
    "Run",
    "TakenBatch",
    "Token",
    "Upload",
    "Webhook",
    "Worker",
    "new_id",
]
