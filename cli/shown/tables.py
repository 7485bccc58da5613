"""How experiments, runs, checkpoints, events and classifications are listed."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from rich.text import Text

from cli.shown.listings import Column, Listing
from cli.terminal import visible
from gauntlet.report.numbers import NOTHING, per_cent
from gauntlet.resources import Checkpoint, Classification, Event, Experiment, Job, Run
from gauntlet.spec.runs.objective_labels import objective_title

_LIKELIEST = 3
STYLES: Final = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "running": "cyan"}


def experiments_listing(experiments: Iterable[Experiment]) -> Listing:
    """One row per experiment."""
    return Listing(
        [Column("experiment", "id"), Column("name"), Column("status"), Column("jobs", "number"), Column("created")],
        [
            [
                experiment.id,
                experiment.name,
                status_of(experiment.status, experiment.status_reason),
                f"{experiment.progress.completed}/{experiment.progress.total}",
                at_time(experiment.created_at),
            ]
            for experiment in experiments
        ],
        empty="There are no experiments yet. `gauntlet submit quickstart` makes one.",
    )


def runs_listing(runs: Iterable[Run]) -> Listing:
    """One row per run, together by experiment."""
    return Listing(
        [Column("experiment", "id"), Column("run", "id"), Column("objective"), Column("seed"), Column("status")],
        [[run.experiment, run.id, objective_title(run.objective), str(run.seed), job_status(run)] for run in runs],
        grouped=True,
        empty="There are no runs.",
    )


def checkpoints_listing(checkpoints: Iterable[Checkpoint]) -> Listing:
    """One row per checkpoint, with its accuracies on the test set during training; an imported one has none."""
    columns = [Column("checkpoint", "id"), Column("name"), Column("test", "number"), Column("FGSM", "number")]
    return Listing(
        columns,
        [
            [
                checkpoint.id,
                checkpoint.name,
                per_cent(checkpoint.metrics.get("test_accuracy")),
                per_cent(checkpoint.metrics.get("test_fgsm_accuracy")),
            ]
            for checkpoint in checkpoints
        ],
        empty="There are no checkpoints.",
    )


def events_listing(events: Iterable[Event]) -> Listing:
    """One row per event, in their order."""
    return Listing(
        [Column("when"), Column("epoch", "number"), Column("what"), Column("message")],
        [
            [
                at_time(event.created_at),
                NOTHING if event.epoch is None else str(event.epoch),
                event.kind.replace("_", " "),
                event.message,
            ]
            for event in events
        ],
        empty="There are no events.",
    )


def classifications_listing(seen: Sequence[Classification], names: Mapping[str, str] | None = None) -> Listing:
    """What each checkpoint says of each image; `names` may call a checkpoint something other than its id."""
    called = names or {}
    return Listing(
        [
            Column("image"),
            Column("checkpoint", "text" if names else "id"),
            Column("prediction"),
            Column("likeliest classes"),
        ],
        [
            [
                [item.image, *item.remarks],
                called.get(item.checkpoint, item.checkpoint),
                item.label,
                [f"{each.label}: {100 * each.probability:.1f} %" for each in item.probabilities[:_LIKELIEST]],
            ]
            for item in seen
        ],
    )


def attacks_listing(seen: Sequence[Classification]) -> Listing:
    """What of each image each budget leaves: what it is taken for then, and from which budget on for something else."""
    columns = [Column("image"), Column("checkpoint", "id"), Column("away from"), Column("smallest eps", "number")]
    return Listing(
        [*columns, Column("taken for, by eps")],
        [
            [
                item.image,
                item.checkpoint,
                item.attack.right,
                item.attack.smallest_eps or NOTHING,
                [
                    f"{budget.eps}: {budget.label} {100 * budget.probabilities[0].probability:.1f} %"
                    for budget in item.attack.budgets
                ],
            ]
            for item in seen
            if item.attack is not None
        ],
        title=next((item.attack.attack for item in seen if item.attack is not None), ""),
    )


def job_status(job: Job) -> Text:
    """How a run or an evaluation stands, and why it ended as it did."""
    if job.status == "running" and job.progress is not None:
        share = 100 * job.progress.completed // max(1, job.progress.total)
        return Text(visible(f"{job.progress.phase}, {share} %"), STYLES["running"])
    return status_of(job.status, job.status_reason)


def status_of(status: str, reason: str | None) -> Text:
    """A status with its reason."""
    return Text(visible(f"{status} ({reason})" if reason else status), STYLES.get(status, ""))


def at_time(moment: datetime) -> str:
    """A time by this machine's clock; `--json` has it exactly."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
