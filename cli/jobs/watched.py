"""A job that is watched: what it is called, how far it is, and how it stands in words."""

from collections.abc import Iterator
from typing import NamedTuple

from gauntlet.resources import Evaluation, Progress, Run, Status


class Watched(NamedTuple):
    """A run or an evaluation, and its name."""

    name: str
    job: Run | Evaluation


class Row(NamedTuple):
    """What a bar shows: `share` is how much is done, from 0 to 1, None before it has begun."""

    name: str
    status: Status
    share: float | None
    standing: str


def row_of(watched: Watched) -> Row:
    """What the job does and how long that takes, or how it ended and why."""
    job = watched.job
    if job.status == "succeeded":
        return Row(watched.name, job.status, 1.0, job.status)
    share = None if job.progress is None else _share(job.progress)
    if job.status == "running" and job.progress is not None:
        return Row(watched.name, job.status, share, job.progress.phase + _left(job.progress.eta_s))
    return Row(
        watched.name, job.status, share, f"{job.status} ({job.status_reason})" if job.status_reason else job.status
    )


def rows_of_attacks(watched: Watched) -> Iterator[Row]:
    """A row for each attack of an evaluation that has not failed, else the job's own."""
    job = watched.job
    if not isinstance(job, Evaluation) or not job.attacks or job.status in {"failed", "cancelled"}:
        yield row_of(watched)
        return
    statuses: dict[str, Status] = {"queued": "queued", "running": "running", "done": "succeeded"}
    for attack in job.attacks:
        share = attack.completed / max(1, attack.total)
        standing = attack.status + (_left(attack.eta_s) if attack.status == "running" else "")
        yield Row(f"{watched.name}, {attack.label}", statuses[attack.status], share, standing)


def duration(seconds: float) -> str:
    """Such as `12 s`, `3 min 05 s` and `2 h 07 min`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _share(progress: Progress) -> float:
    return min(1.0, progress.completed / max(1, progress.total))


def _left(eta_s: float | None) -> str:
    return "" if eta_s is None else f" · {duration(eta_s)} left"
