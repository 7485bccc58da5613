"""What a plan measures beyond its experiments' specs: each evaluation asked for once, and looked at until it ends."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from benchmarks.studies.record import write_record
from gauntlet.client import GauntletClient
from gauntlet.resources import TERMINAL, Evaluation, Experiment

# Training takes hours of every core; looking should take nothing of it.
_LOOK_EVERY_S = 10.0
# What is known so far, should the machine be taken away.
_RECORD_EVERY_S = 120.0


class Asked:
    """Evaluations by key; what an earlier process asked for is found again by it."""

    def __init__(self, client: GauntletClient) -> None:
        self._client = client
        self._asked: dict[str, list[str]] = {}
        self._seen: dict[str, Evaluation] = {}

    def evaluate(self, key: str, request: Mapping[str, Any]) -> None:
        """Ask for an evaluation, unless it has been."""
        if key not in self._asked:
            self._asked[key] = [self._client.evaluate(request, idempotency_key=key).id]

    def transfer(self, key: str, request: Mapping[str, Any]) -> None:
        """Ask for the evaluations of a transfer matrix, unless they have been."""
        if key not in self._asked:
            self._asked[key] = [one.id for one in self._client.transfer(request, idempotency_key=key)]

    def look(self) -> list[Evaluation]:
        """All that were asked for, as they are now."""
        for identifier in (identifier for asked in self._asked.values() for identifier in asked):
            if identifier not in self._seen or self._seen[identifier].status not in TERMINAL:
                self._seen[identifier] = self._client.evaluation(identifier)
        return list(self._seen.values())


class Measuring(Protocol):
    """What is measured of one experiment."""

    def ask(self) -> Experiment:
        """Ask for what is possible by now; returned is the experiment as it was before."""

    def look(self) -> list[Evaluation]:
        """All that were asked for, as they are now."""


class AsSpecified:
    """Nothing beyond what the experiment's spec asks for."""

    def __init__(self, client: GauntletClient, experiment: str) -> None:
        self._client, self._experiment = client, experiment

    def ask(self) -> Experiment:
        """The experiment as it is."""
        return self._client.experiment(self._experiment)

    def look(self) -> list[Evaluation]:
        """None."""
        return []


def carry_out(
    client: GauntletClient,
    under_way: Mapping[str, Measuring],
    *,
    out: Path,
    about: Mapping[str, Any],
    leave_out: Sequence[str],
    console: Console,
    judged: Callable[[], None],
    within: float | None = None,
) -> None:
    """See experiments to their end, each one's record written into a folder of `out` as it grows.

    `judged` is called when records were written. After `within` seconds it ends, with the records of what there is.
    """
    left, started = dict(under_way), time.monotonic()
    recorded_at = started
    while left:
        looked = {name: (measuring.ask(), measuring.look()) for name, measuring in left.items()}
        for name, (experiment, evaluations) in looked.items():
            _say(name, experiment, evaluations, console)
        ended = {
            name
            for name, (experiment, evaluations) in looked.items()
            if experiment.status in TERMINAL and all(one.status in TERMINAL for one in evaluations)
        }
        over = within is not None and time.monotonic() - started >= within
        due = over or time.monotonic() - recorded_at > _RECORD_EVERY_S
        for name in left if due else ended:
            write_record(client, looked[name][0].id, out / name, about, leave_out)
        if due or ended:
            judged()
            recorded_at = time.monotonic()
        if over:
            break
        left = {name: measuring for name, measuring in left.items() if name not in ended}
        time.sleep(_LOOK_EVERY_S if left else 0)


def _say(name: str, experiment: Experiment, evaluations: Sequence[Evaluation], console: Console) -> None:
    """How far all of it is, and what failed."""
    progress = experiment.progress
    ended = [one for one in evaluations if one.status in TERMINAL]
    console.print(
        f"{name}, {experiment.id}: {experiment.status}, {progress.completed} of {progress.total} {progress.unit}, "
        f"{len(ended)} of {len(evaluations)} measurements",
        soft_wrap=True,
    )
    for one in ended:
        if one.status != "succeeded":
            console.print(f"Evaluation {one.id} {one.status}: {one.status_reason}.", soft_wrap=True)
