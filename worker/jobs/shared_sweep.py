"""The batches of an evaluation that this process computes, while others may compute the rest of them."""

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import Final

import torch

from gauntlet.evaluation.loop import evaluate
from gauntlet.events import BatchAttacked
from gauntlet.results.finding import Finding
from gauntlet.results.margins import ImageMargin
from gauntlet.results.stage_results import NATURAL
from store import failpoints
from store.database import Database
from store.models import EvaluationBatch
from store.queue import batches, helpers
from store.queue.helpers import Hand, Help
from store.queue.jobs import Claim, JobProgress
from store.subjects import evaluations
from worker.jobs.evaluation_inputs import Inputs
from worker.jobs.heartbeat import Heartbeat
from worker.settings import WorkerSettings

# What others found is needed at the end of a stage, which takes them seconds or minutes.
_LOOK_EVERY_S: Final = 1.0
# For the last batch of a part a helper waits no longer than a batch takes.
_PATIENCE_S: Final = 60.0


class NothingToDo(Exception):
    """All that is left of the evaluation is, and remains for long, its own worker's or another helper's."""


class SharedSweep:
    """Yields each batch that is computed here, or taken over, with the seconds that it took.

    Whoever iterates records it before asking for the next. The progress and the time left that the heartbeat is told
    are those of the whole evaluation, which all hands share. `done` and `known` count the batches that were done before
    and those that other evaluations know.
    """

    def __init__(
        self,
        database: Database,
        hand: Hand,
        inputs: Inputs,
        settings: WorkerSettings,
        heartbeat: Heartbeat,
        device: torch.device,
    ) -> None:
        self._heartbeat = heartbeat
        identifier = hand.job
        with database.reading() as session:
            done = [_as_event(row) for row in evaluations.batches(session, identifier)]
            known = [_as_event(row) for row in batches.reusable(session, identifier)]
        self.done, self.known = len(done), len(known)
        self._reused = {(batch.stage, batch.images) for batch in known}
        self._colleagues = _StoredColleagues(database, hand, settings, heartbeat, done)
        # Of the batches computed here: how long they took, and how many model passes they were.
        self._spent_s, self._passes = 0.0, 0
        self._since = time.monotonic()
        self._told = JobProgress(NATURAL, 0, 0, "model passes")
        self._batches = evaluate(
            inputs.model,
            inputs.test,
            inputs.spec,
            len(inputs.classes),
            device=device,
            done=done,
            known=known,
            sources=inputs.sources,
            watch=self._watch,
            colleagues=self._colleagues,
        )

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What looks wrong with the model."""
        return self._batches.findings

    def __iter__(self) -> Iterator[tuple[BatchAttacked, float]]:
        for batch in self._batches:
            reused = batch.attacked is None and (batch.stage, batch.images) in self._reused
            seconds = 0.0 if reused else time.monotonic() - self._since
            yield batch, seconds
            self._colleagues.note(batch, seconds)
            if not reused:
                self._spent_s, self._passes = self._spent_s + seconds, self._passes + self._batches.passes(batch)
            self._watch(batch.stage, batch.completed, batch.total)
        if self._told.completed < self._told.total:
            # The last batch was another's.
            self._heartbeat.tell(JobProgress(self._told.phase, self._told.total, self._told.total, self._told.unit))

    def _watch(self, stage: str, completed: int, total: int) -> None:
        eta_s = None
        if self._passes:
            eta_s = self._spent_s / self._passes * self._batches.left() / self._colleagues.hands
        self._told = JobProgress(stage, completed, total, "model passes", eta_s)
        self._heartbeat.tell(self._told)
        self._heartbeat.checkpoint()
        self._since = time.monotonic()


class _StoredColleagues:
    """The others as their rows tell of them."""

    def __init__(
        self,
        database: Database,
        hand: Hand,
        settings: WorkerSettings,
        heartbeat: Heartbeat,
        done: Iterable[BatchAttacked],
    ) -> None:
        self._database = database
        self._hand = hand
        self._patience_s = settings.database_patience_s
        self._heartbeat = heartbeat
        # Their files are in the folder of the evaluation's own attempt, which sweeps it.
        self.keeps_pictures = isinstance(hand, Claim)
        self.hands = 1
        self._known = {(batch.stage, batch.batch) for batch in done}
        self._others: frozenset[tuple[str, int]] = frozenset()
        self._look_next = 0.0
        self._longest_s = 0.0
        self._idle_since: float | None = None

    def note(self, batch: BatchAttacked, seconds: float) -> None:
        """A batch that was computed here, in so many seconds, is recorded."""
        self._known.add((batch.stage, batch.batch))
        self._longest_s, self._idle_since = max(self._longest_s, seconds), None

    def look(self) -> Iterable[BatchAttacked]:
        if time.monotonic() < self._look_next:
            return ()
        look = partial(helpers.look, hand=self._hand, known=self._known)
        seen = self._database.write(look, patience_s=self._patience_s)
        self._look_next = time.monotonic() + _LOOK_EVERY_S
        self.hands, self._others = seen.hands, seen.others
        self._known.update((row.stage, row.batch) for row in seen.found)
        return [_as_event(row) for row in seen.found]

    def take(self, stage: str, numbers: Sequence[int], most: int) -> Collection[int]:
        free = [number for number in numbers if (stage, number) not in self._others]
        if not free:
            return ()
        take = partial(helpers.take, hand=self._hand, stage=stage, numbers=free, most=most)
        taken = self._database.write(take, patience_s=self._patience_s)
        failpoints.reach("batches_taken")
        # Those that were not to be had are others' now, until the next look.
        last = taken[-1] if taken else free[-1]
        self._others |= {(stage, number) for number in free if number <= last and number not in taken}
        return taken

    def wait(self) -> None:
        self._heartbeat.checkpoint()
        now = time.monotonic()
        self._idle_since = self._idle_since or now
        if isinstance(self._hand, Help) and now - self._idle_since > max(_PATIENCE_S, self._longest_s):
            raise NothingToDo("There was nothing more to help with for a while.")
        time.sleep(max(0.0, self._look_next - time.monotonic()))


def _as_event(row: EvaluationBatch) -> BatchAttacked:
    zero_gradient = None if row.zero_gradient is None else tuple(row.zero_gradient)
    return BatchAttacked(
        stage=row.stage,
        batch=row.batch,
        images=tuple(row.images),
        labels=tuple(row.labels),
        predicted=tuple(row.predicted),
        zero_gradient=zero_gradient,
        margins=None if row.margins is None else tuple(map(ImageMargin._make, row.margins)),
        completed=0,
        total=0,
    )
