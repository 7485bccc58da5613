"""Experiments and their reports."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from gauntlet.client.addresses import listed, moment, place
from gauntlet.client.asynchronous.connection import Connection
from gauntlet.client.documents import body, submission
from gauntlet.rendering import FigureName, Format
from gauntlet.report.report import Report
from gauntlet.resources import Check, Experiment, Series
from gauntlet.spec.asked.priorities import Priority
from gauntlet.spec.experiment import ExperimentSpec


class Experiments:
    _http: Connection

    async def submit(
        self, spec: ExperimentSpec | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Experiment:
        """Queue an experiment: a spec, or the same as plain data such as `{"preset": "quickstart"}`.

        Plain data may have `labels`, `notes` and `priority` too; `{"like": "exp_…", "changes": {…}}` is another one
        with changes.
        """
        return await self._http.read(Experiment, "POST", "/v1/experiments", **submission(spec, idempotency_key))

    async def validate(self, draft: ExperimentSpec | Mapping[str, Any]) -> Check:
        """What submitting this would come to, finished or not; nothing is stored."""
        return await self._http.read(Check, "POST", "/v1/experiments/validate", **body(draft))

    async def change_experiment(self, identifier: str, **changes: Any) -> Experiment:
        """Change its `name`, `labels` or `notes`: what is given, and None takes it away."""
        return await self._http.read(Experiment, "PATCH", place("experiments", identifier), **body(changes))

    async def experiment(self, identifier: str) -> Experiment:
        """One experiment."""
        return await self._http.read(Experiment, "GET", place("experiments", identifier))

    def experiments(
        self,
        *,
        status: str | Sequence[str] = (),
        owner: str | None = None,
        labels: str | Sequence[str] = (),
        name: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        order: str | None = None,
    ) -> AsyncIterator[Experiment]:
        """Experiments, newest first unless `order` names another one; those of a status, with all labels, and so on.

        Those made at `since` or later and before `until`, two moments with their time zones.
        """
        filters: dict[str, Any] = {"status": listed(status), "owner": owner, "label": listed(labels)}
        filters |= {"since": moment(since), "until": moment(until)}
        return self._http.all(Experiment, "/v1/experiments", **filters, name=name, order=order)

    async def cancel_experiment(self, identifier: str) -> Experiment:
        """Cancel what has not ended of an experiment."""
        return await self._http.read(Experiment, "POST", place("experiments", identifier, "cancel"))

    async def pause_experiment(self, identifier: str) -> Experiment:
        """Pause what has not ended of an experiment until it is resumed."""
        return await self._http.read(Experiment, "POST", place("experiments", identifier, "pause"))

    async def resume_experiment(self, identifier: str) -> Experiment:
        """Let what is paused of an experiment go on."""
        return await self._http.read(Experiment, "POST", place("experiments", identifier, "resume"))

    async def prioritise_experiment(self, identifier: str, priority: Priority) -> Experiment:
        """Give an experiment that has not ended another priority: high, normal or low."""
        return await self._http.read(
            Experiment, "POST", place("experiments", identifier, "priority"), **body({"priority": priority})
        )

    async def series(self, experiment: str, names: str | Sequence[str] = ()) -> Series:
        """The metrics of all its runs by epoch, to five digits; of these names, or all."""
        return await self._http.read(
            Series, "GET", place("experiments", experiment, "series"), params={"name": listed(names)}
        )

    async def report(self, experiment: str) -> Report:
        """An experiment's report so far."""
        return await self._http.read(Report, "GET", place("experiments", experiment, "report"))

    async def report_text(self, experiment: str, format: Format) -> str:
        """The same as a page (`html`), `md`, `csv`, `tex` or `json`."""
        return await self._http.text(place("experiments", experiment, "report"), format=format)

    async def figure(self, experiment: str, name: FigureName) -> str:
        """A figure of the report, as SVG."""
        return await self._http.text(f"{place('experiments', experiment, 'figures', name)}.svg")

    async def delete_experiment(self, identifier: str) -> None:
        """Delete an experiment that has ended, with all it made; `Refused` says what stands against it."""
        await self._http.send("DELETE", place("experiments", identifier))
