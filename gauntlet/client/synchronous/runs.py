"""Runs."""

from collections.abc import Iterator, Sequence

from gauntlet.client.addresses import listed, place
from gauntlet.client.synchronous.connection import Connection
from gauntlet.resources import (
    EpochMetrics,
    Run,
)


class Runs:
    _http: Connection

    def run(self, identifier: str) -> Run:
        """One run."""
        return self._http.read(Run, "GET", place("runs", identifier))

    def runs(self, experiment: str | None = None, *, status: str | Sequence[str] = ()) -> Iterator[Run]:
        """Runs, newest first; of one experiment if it is named, and of one of the statuses."""
        return self._http.all(Run, "/v1/runs", experiment=experiment, status=listed(status))

    def cancel_run(self, identifier: str) -> Run:
        """Cancel a run."""
        return self._http.read(Run, "POST", place("runs", identifier, "cancel"))

    def pause_run(self, identifier: str) -> Run:
        """Pause a run, or the evaluations that follow it, until it is resumed."""
        return self._http.read(Run, "POST", place("runs", identifier, "pause"))

    def resume_run(self, identifier: str) -> Run:
        """Let a paused run, or the evaluations that follow it, go on."""
        return self._http.read(Run, "POST", place("runs", identifier, "resume"))

    def retry_run(self, identifier: str) -> Run:
        """Queue a run in the place of one that failed or was cancelled; asked twice, the same one."""
        return self._http.read(Run, "POST", place("runs", identifier, "retry"))

    def metrics(self, run: str, *, after: int | None = None) -> Iterator[EpochMetrics]:
        """A run's epochs in order; only those after one of them if it is named."""
        return self._http.all(EpochMetrics, place("runs", run, "metrics"), after=None if after is None else str(after))

    def metrics_csv(self, run: str) -> str:
        """The same as CSV."""
        return self._http.text(place("runs", run, "metrics"), format="csv")

    def run_log(self, identifier: str, *, after: int = 0) -> str:
        """What the attempts of a run logged, at most a thousand lines, without the first `after`."""
        return self._http.text(place("runs", identifier, "log"), after=str(after))
