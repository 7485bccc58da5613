"""What happens to watched jobs, line by line, for a log: each epoch, each attack that ends, and how a job ends."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

from rich.console import Console

from cli.jobs.watched import Watched, duration
from cli.terminal import say
from gauntlet.report.numbers import counted, per_cent
from gauntlet.resources import TERMINAL, EpochMetrics, Evaluation, Run
from gauntlet.spec.evaluations.attacks import attack_label

_SHORT_S = 9.95

# The epochs of a run after one of them, in order.
EpochsAfter = Callable[[str, int], Iterable[EpochMetrics]]

_ACCURACIES = {"train_accuracy": "train", "test_accuracy": "test", "test_fgsm_accuracy": "FGSM"}


class Lines:
    """Writes what has changed since the last look, each line with its time.

    Of a job that had ended before the first look only its end is told.
    """

    def __init__(self, to: Console, epochs_after: EpochsAfter) -> None:
        self._console = to
        self._epochs_after = epochs_after
        self._looked = False
        self._standing: dict[str, tuple[str, int]] = {}
        self._epoch: dict[str, int] = {}
        self._done: set[tuple[str, str]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is to be undone."""

    def show(self, jobs: Sequence[Watched]) -> None:
        """Tell what is new of the jobs."""
        for watched in jobs:
            job = watched.job
            before, now = self._standing.get(job.id), (job.status, job.attempt)
            if job.status != "queued" and (job.status == "running" or before != now):
                missed = not self._looked and job.status in TERMINAL
                for line in () if missed else self._steps(job):
                    self.tell(f"{watched.name}: {line}")
            if before != now:
                self._standing[job.id] = now
                self.tell(f"{watched.name}: {_standing(job)}")
        self._looked = True

    def tell(self, line: str) -> None:
        """Write a line with the time."""
        say(f"{datetime.now().astimezone():%H:%M:%S}  {line}", self._console)

    def _steps(self, job: Run | Evaluation) -> Iterator[str]:
        if isinstance(job, Run):
            for row in self._epochs_after(job.id, self._epoch.get(job.id, 0)):
                self._epoch[job.id] = row.epoch
                yield _epoch(row, job.spec.training.epochs)
            return
        for attack in job.attacks:
            if attack.status == "done" and (job.id, attack.label) not in self._done:
                self._done.add((job.id, attack.label))
                yield f"{attack.label} done, {counted(attack.total, 'image')}, {_took(attack.seconds)}"


def _standing(job: Run | Evaluation) -> str:
    reason = f" ({job.status_reason})" if job.status_reason else ""
    if job.status == "running":
        where = f" on {job.device}" if job.device else ""
        return f"running{where}" + (f", attempt {job.attempt}" if job.attempt > 1 else "")
    if isinstance(job, Evaluation) and job.outcome is not None:
        found = [("natural", job.outcome.natural)]
        found += [(attack_label(each.attack), each.accuracy) for each in job.outcome.attacks]
        return f"{job.status}: " + ", ".join(f"{label} {per_cent(accuracy.value)} %" for label, accuracy in found)
    return f"{job.status}{reason}" + (f": {job.status_detail}" if job.status_detail else "")


def _epoch(row: EpochMetrics, of: int) -> str:
    accuracies = [
        f"{name} {per_cent(row.metrics[metric])} %" for metric, name in _ACCURACIES.items() if metric in row.metrics
    ]
    return ", ".join([f"epoch {row.epoch} of {of}", *accuracies, f"{_took(row.seconds)}"])


def _took(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < _SHORT_S else duration(seconds)
