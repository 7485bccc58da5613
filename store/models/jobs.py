"""Experiments, their jobs, and what the jobs leave.

`owner` is whose token asked for it; NULL where none was shown. What comes of an experiment is its owner's.
`dataset_id` is the uploaded data set that something stands on, which is kept for as long.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship, validates

from gauntlet.spec.asked.priorities import PRIORITIES
from gauntlet.spec.evaluations.evaluation import Selected
from store.models.base import STATUSES, Base, Id, Json, Owner
from store.traces.spans import PLACE_LENGTH, place_asked

NORMAL = PRIORITIES.index("normal")
# Whose turn it is, and since when an owner waits, are looked up in these alone.
_WAITING = ("status", "priority", "owner", "experiment_id", "id", "created_at", "not_before")
# How an experiment's jobs stand is counted from this alone: 6 ms of SQLite for 30,000 of them, in the place of 57.
_STANDING = ("experiment_id", "status", "status_reason", "retried_by")
_STATUS_LIST = ", ".join(f"'{status}'" for status in STATUSES)


class Experiment(Base):
    """`status` is what its jobs come to, written with theirs (`store.events`), and `name_folded` follows the name."""

    __tablename__ = "experiments"
    __table_args__ = (
        UniqueConstraint("idempotency_key", "owner"),
        # What lists look for is in each of them, so that a row is read only if it is shown: it has up to 10 kB of spec.
        Index(None, "id", "status", "owner", "name_folded", "created_at"),
        Index(None, "status", "id", "owner", "name_folded", "created_at"),
        Index(None, "owner", "id", "status", "name_folded", "created_at"),
        Index(None, "name_folded", "id", "status", "owner", "created_at"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    created_at: Mapped[float] = mapped_column(Float)
    owner: Mapped[str | None] = mapped_column(Owner)
    name: Mapped[str] = mapped_column(String(200))
    name_folded: Mapped[str] = mapped_column(Text, server_default=text("''"))
    status: Mapped[str] = mapped_column(String(16), server_default="queued")
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id"), index=True)
    spec: Mapped[dict[str, Any]] = mapped_column(Json)
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    request_sha256: Mapped[str] = mapped_column(String(64))
    labels: Mapped[list[str] | None] = mapped_column(Json)
    notes: Mapped[str | None] = mapped_column(Text)
    priority: Mapped[int] = mapped_column(Integer, default=NORMAL, server_default=str(NORMAL))
    keep: Mapped[dict[str, Any] | None] = mapped_column(Json)

    @validates("name")
    def _fold(self, _key: str, name: str) -> str:
        """Databases fold letters beyond ASCII each in its own way, or not at all."""
        self.name_folded = name.casefold()
        return name


class ExperimentLabel(Base):
    """An experiment's labels again, to be searched; `store.subjects.annotations` writes both."""

    __tablename__ = "experiment_labels"
    __table_args__ = (Index(None, "label", "experiment_id"),)

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"), primary_key=True)
    label: Mapped[str] = mapped_column(String(80), primary_key=True)


class Job:
    """A row that is its own queue entry: who works on it, until when, and how it ended.

    `attempt` is the fencing token: it grows with every claim, and every write of a worker names its own. `crashes`
    counts the attempts that were lost or gave up and is capped; the next one may be made from `not_before` on.
    `pause_requested` says that a running one is to stop and become paused; it stays where the job ended before that.
    `retried_by` is the job that took this one's place after it failed or was cancelled, `retry_of` the other way round;
    either may have been deleted since. `priority` is a position in `gauntlet.spec.asked.priorities.PRIORITIES`.
    `traceparent` is the place, in a trace, of the request that queued it or had it resumed (`store.traces`).
    """

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    created_at: Mapped[float] = mapped_column(Float)
    owner: Mapped[str | None] = mapped_column(Owner)
    started_at: Mapped[float | None] = mapped_column(Float)
    finished_at: Mapped[float | None] = mapped_column(Float)
    status: Mapped[str] = mapped_column(String(16), default="queued")
    status_reason: Mapped[str | None] = mapped_column(String(40))
    status_detail: Mapped[str | None] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(Integer, default=0)
    crashes: Mapped[int] = mapped_column(Integer, default=0)
    not_before: Mapped[float | None] = mapped_column(Float)
    worker: Mapped[str | None] = mapped_column(String(200))
    device: Mapped[str | None] = mapped_column(String(200))
    lease_expires_at: Mapped[float | None] = mapped_column(Float)
    priority: Mapped[int] = mapped_column(Integer, default=NORMAL, server_default=str(NORMAL))
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    pause_requested: Mapped[bool] = mapped_column(default=False, server_default=false())
    retry_of: Mapped[str | None] = mapped_column(Id)
    retried_by: Mapped[str | None] = mapped_column(Id)
    traceparent: Mapped[str | None] = mapped_column(String(PLACE_LENGTH), default=place_asked)
    phase: Mapped[str | None] = mapped_column(String(300))
    completed: Mapped[int] = mapped_column(BigInteger, default=0)
    total: Mapped[int] = mapped_column(BigInteger, default=0)
    unit: Mapped[str | None] = mapped_column(String(40))
    eta_s: Mapped[float | None] = mapped_column(Float)


class Run(Job, Base):
    """A training; `data` describes the data set as the last attempt read it.

    `trial` is the sweep's trial that it is of, with what was decided of it so far (`store.queue.sweeps`). `fused_with`
    is the run whose turn it was, where this one was claimed with it to be computed as one program: they share a slot.
    """

    __tablename__ = "runs"
    __table_args__ = (
        Index(
            None,
            "experiment_id",
            "ordinal",
            unique=True,
            sqlite_where=text("retried_by IS NULL"),
            postgresql_where=text("retried_by IS NULL"),
        ),
        CheckConstraint(f"status IN ({_STATUS_LIST})", name="status"),
        Index(None, "status", "lease_expires_at"),
        Index(None, "status", "id"),
        Index(None, "experiment_id", "started_at"),
        Index("ix_runs_standing", *_STANDING),
        Index(None, "owner", "resume_bytes"),
        Index("ix_runs_waiting", *_WAITING),
        Index(None, "owner", "started_at"),
    )

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id"))
    ordinal: Mapped[int] = mapped_column(Integer)
    objective: Mapped[str] = mapped_column(Text)
    seed: Mapped[int] = mapped_column(BigInteger)
    spec: Mapped[dict[str, Any]] = mapped_column(Json)
    data: Mapped[dict[str, Any] | None] = mapped_column(Json)
    trial: Mapped[dict[str, Any] | None] = mapped_column(Json)
    resume_path: Mapped[str | None] = mapped_column(String(300))
    resume_sha256: Mapped[str | None] = mapped_column(String(64))
    resume_bytes: Mapped[int | None] = mapped_column(BigInteger)
    fused_with: Mapped[str | None] = mapped_column(Id)


class Checkpoint(Base):
    """Weights of a run at one epoch or their average, or imported: then `run_id` and `epoch` are NULL."""

    __tablename__ = "checkpoints"
    __table_args__ = (
        UniqueConstraint("run_id", "epoch", "averaged"),
        Index(None, "sha256"),
        Index(None, "owner", "bytes"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    created_at: Mapped[float] = mapped_column(Float)
    owner: Mapped[str | None] = mapped_column(Owner)
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    epoch: Mapped[int | None] = mapped_column(Integer)
    averaged: Mapped[bool] = mapped_column(default=False, server_default=false())
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id"), index=True)
    card: Mapped[dict[str, Any]] = mapped_column(Json)
    path: Mapped[str] = mapped_column(String(300))
    sha256: Mapped[str] = mapped_column(String(64))
    bytes: Mapped[int] = mapped_column(BigInteger)
    metrics: Mapped[dict[str, float]] = mapped_column(Json)
    labels: Mapped[list[str] | None] = mapped_column(Json)
    notes: Mapped[str | None] = mapped_column(Text)
    run: Mapped[Run | None] = relationship(lazy="raise")


class EpochMetrics(Base):
    __tablename__ = "epoch_metrics"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    epoch: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    metrics: Mapped[dict[str, float]] = mapped_column(Json)
    seconds: Mapped[float] = mapped_column(Float)
    images_per_second: Mapped[float] = mapped_column(Float)


class Evaluation(Job, Base):
    """A checkpoint under attack, for a run's experiment or, where these are NULL, by a request of its own.

    Which test set it is, how many `images` of it are attacked and whose code attacks them is known once a worker began.
    """

    __tablename__ = "evaluations"
    __table_args__ = (
        UniqueConstraint("idempotency_key", "checkpoint_id", "owner"),
        CheckConstraint(f"status IN ({_STATUS_LIST})", name="status"),
        Index(None, "status", "lease_expires_at"),
        Index(None, "status", "id"),
        # What can be compared is counted from this index alone.
        Index(None, "status", "finished_at"),
        Index("ix_evaluations_waiting", *_WAITING),
        Index(None, "owner", "started_at"),
        Index(None, "experiment_id", "started_at"),
        Index("ix_evaluations_standing", *_STANDING),
    )

    experiment_id: Mapped[str | None] = mapped_column(ForeignKey("experiments.id"))
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"), index=True)
    checkpoint_id: Mapped[str] = mapped_column(ForeignKey("checkpoints.id"), index=True)
    selection: Mapped[list[Selected]] = mapped_column(Json)
    spec: Mapped[dict[str, Any]] = mapped_column(Json)
    dataset_sha256: Mapped[str | None] = mapped_column(String(64))
    # Of a data set with thousands of classes it is long, and lists do not show it.
    data: Mapped[dict[str, Any] | None] = mapped_column(Json, deferred=True)
    images: Mapped[int | None] = mapped_column(Integer)
    implementation: Mapped[str | None] = mapped_column(String(100))
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    request_sha256: Mapped[str | None] = mapped_column(String(64))
    outcome: Mapped[dict[str, Any] | None] = mapped_column(Json)


class EvaluationBatch(Base):
    """One finished batch of an evaluation: the result per image, and what a later attempt need not do again.

    `images` are positions in the test set, `labels` and `predicted` class indices. `n` images from `first_image` to
    `last_image` were attacked, of which `correct` stayed right. `seconds` is what it took, 0 where the result is
    another evaluation's.
    """

    __tablename__ = "evaluation_batches"
    # Progress is counted from this index alone, without the rows and their lists.
    __table_args__ = (Index(None, "evaluation_id", "stage", "n", "correct", "seconds"),)

    evaluation_id: Mapped[str] = mapped_column(ForeignKey("evaluations.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(String(300), primary_key=True)
    batch: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    images: Mapped[list[int]] = mapped_column(Json)
    labels: Mapped[list[int]] = mapped_column(Json)
    predicted: Mapped[list[int]] = mapped_column(Json)
    zero_gradient: Mapped[list[bool] | None] = mapped_column(Json)
    # Each image as `gauntlet.results.margins.ImageMargin` has it.
    margins: Mapped[list[list[float | None]] | None] = mapped_column(Json)
    seconds: Mapped[float] = mapped_column(Float)
    n: Mapped[int] = mapped_column(Integer)
    correct: Mapped[int] = mapped_column(Integer)
    first_image: Mapped[int] = mapped_column(Integer)
    last_image: Mapped[int] = mapped_column(Integer)
