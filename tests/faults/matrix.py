"""One whole system whose processes are ended again and again at one place after the other."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import select

from store.database import Database
from store.models import Checkpoint, Dataset, Evaluation, Event, Experiment, Run
from tests.e2e.system import System, await_that
from tests.faults.arming import NEXT, carried_out, order, ordered, withdraw
from tests.faults.comparison import measured_of, result_of
from tests.faults.places import CLAIM, EVALUATION, HELPING, REQUESTS, SWEEPING, TRAINING, UNPACKING
from tests.faults.tally import Tally
from tests.faults.work import ATTACKED, LONG, PATIENCE_S, SEEDS, document, persist

# Which of them an experiment comes to first; then the service is ended, or the worker, or an attempt without a state.
AT_FIRST = ("submitting", "waking", *CLAIM, "run_started")
LATER = tuple(place for place in TRAINING if place != "run_started")
# All of an experiment, of an archive and of their deletion; the rest is of who helps with a long evaluation.
OF_EXPERIMENTS = (*AT_FIRST, *LATER, *EVALUATION, *REQUESTS[1:], *UNPACKING, *SWEEPING)
OF_HELPERS = tuple(place for place in HELPING if place not in EVALUATION)


class Matrix:
    """One system whose processes are ended again and again; the service and the worker are started anew."""

    def __init__(self, system: System, orders: Path, chance: random.Random, tally: Tally) -> None:
        self.system, self.orders, self.chance, self.tally = system, orders, chance, tally
        self.database = Database(system.database_url)
        self._counted: Counter[str] = Counter()
        self._killed_at = 0
        self._over = threading.Event()
        self._processes = {"service": system.service, "worker": system.start("worker")}
        # The checkpoint, by seed, of networks that are attacked for so long that others help.
        self._attacked: dict[int, str] = {}

    @contextmanager
    def at_work(self) -> Iterator["Matrix"]:
        """The block, while another thread starts anew what died."""
        watch = threading.Thread(target=self._restart)
        watch.start()
        try:
            yield self
        finally:
            withdraw(self.orders)
            self._over.set()
            watch.join()
            self.database.close()

    def _restart(self) -> None:
        while not self._over.wait(0.1):
            for name, process in list(self._processes.items()):
                if process.poll() is not None:
                    self._processes[name] = self.system.start(name.partition(" ")[0])

    def experiment(self, seed: int, *, disturbed: bool) -> list[Any]:
        """One experiment from its submission to its end; what came of its only run."""
        self.system.forget_measurements()
        key = f"{self.chance.random()}"
        if disturbed:
            order(self.orders, self._least_tried(seed, AT_FIRST), NEXT)
            # Nothing comes there before its evaluation, which is over in less time than it takes to order this.
            order(self.orders, self._least_tried(seed, EVALUATION), NEXT)
        submitted = persist(lambda: self.system.client.submit(document(seed), idempotency_key=key)).id
        with self.database.reading() as session:
            assert len(session.scalars(select(Experiment.id).where(Experiment.idempotency_key == key)).all()) == 1
            (run,) = session.scalars(select(Run.id).where(Run.experiment_id == submitted)).all()
        self._killed_at = 0
        deadline = time.monotonic() + PATIENCE_S
        while not self._has_ended(submitted):
            assert time.monotonic() < deadline, "the experiment was lost"
            if disturbed:
                self._order_next(seed, run)
            time.sleep(0.05)
        self._count(seed)
        with self.database.reading() as session:
            return result_of(session, run)

    def _least_tried(self, seed: int, places: tuple[str, ...]) -> str:
        """One of those places that were tried least, lately too."""
        counts = self.tally.kills[seed] + Counter(carried_out(self.orders)) - self._counted
        fewest = min(counts[place] for place in places)
        return self.chance.choice([place for place in places if counts[place] == fewest])

    def _count(self, seed: int) -> None:
        """Withdraw what was not carried out, and count what was, to this seed."""
        withdraw(self.orders)
        done = Counter(carried_out(self.orders))
        self.tally.kills[seed] += done - self._counted
        self._counted = done

    def _has_ended(self, experiment: str) -> bool:
        with self.database.reading() as session:
            status = session.scalar(select(Experiment.status).where(Experiment.id == experiment))
            told = select(Event.created_at, Event.subject, Event.message).where(Event.experiment_id == experiment)
            events = session.execute(told.where(Event.type == "status").order_by(Event.id)).all()
        assert status not in ("failed", "cancelled"), "\n".join(map(str, events))
        return status == "succeeded"

    def _may_be_killed(self, run: str) -> bool:
        """Whether the jobs got ahead since the last kill: the third without that would fail them, and rightly.

        A kill that nobody has noticed is no crash yet; once it is, another attempt begins.
        """
        with self.database.reading() as session:
            rows = [session.execute(select(Run.crashes, Run.attempt).where(Run.id == run)).one()]
            rows += session.execute(select(Evaluation.crashes, Evaluation.attempt).where(Evaluation.run_id == run))
        attempts = sum(row.attempt for row in rows)
        if any(row.crashes for row in rows) or attempts == self._killed_at:
            return False
        self._killed_at = attempts
        return True

    def _order_next(self, seed: int, run: str) -> None:
        """Have a process end at what is left to come, unless one is to end there already, or has just ended."""
        with self.database.reading() as session:
            trained = session.scalar(select(Run.status).where(Run.id == run)) == "succeeded"
        if trained:
            withdraw(self.orders, TRAINING)
        ahead = EVALUATION if trained else (*AT_FIRST, *LATER)
        if ordered(self.orders, ahead) or not self._may_be_killed(run):
            return
        place = self._least_tried(seed, EVALUATION if trained else LATER)
        order(self.orders, place, NEXT)
        if place == "stopping":
            self._pause_and_resume(run)

    def _pause_and_resume(self, run: str) -> None:
        persist(lambda: self.system.client.pause_run(run))

        def stopped() -> bool:
            with self.database.reading() as session:
                return session.scalar(select(Run.status).where(Run.id == run)) not in ("running", "queued")

        await_that(stopped, PATIENCE_S)
        persist(lambda: self.system.client.resume_run(run))

    def upload(self, archive: Path, seed: int) -> None:
        """An archive that becomes a data set, though the service and the worker die on the way, and is deleted then."""
        for place in (*REQUESTS[2:], *UNPACKING):
            order(self.orders, place, NEXT)
        client = self.system.client
        identifier = persist(lambda: client.upload_dataset(archive, name="pets", test_fraction=None)).id

        def ready() -> bool:
            with self.database.reading() as session:
                status = session.scalar(select(Dataset.status).where(Dataset.id == identifier))
            assert status in ("unpacking", "ready"), status
            return status == "ready"

        await_that(ready, PATIENCE_S)
        with self.database.reading() as session:
            there = session.scalars(select(Dataset.sha256).where(Dataset.deleted_at.is_(None))).all()
        assert len(there) == 1, "an archive became two data sets"
        persist(lambda: client.delete_dataset(identifier))
        self.tally.datasets += 1
        self._count(seed)

    def delete(self, seed: int) -> None:
        """All experiments that ended, though the service dies in it and the worker as it deletes the folders."""
        order(self.orders, "deleting", NEXT)
        order(self.orders, SWEEPING[0], NEXT)
        for experiment in persist(lambda: list(self.system.client.experiments())):
            persist(partial(self._delete, experiment.id))
        await_that(self._holds_no_run, PATIENCE_S)
        self._count(seed)

    def _holds_no_run(self) -> bool:
        """Whether the storage has no file of any run; of an upload that died with the service it has, for an hour."""
        return not [file for file in (self.system.home / "checkpoints").glob("run_*/**/*") if file.is_file()]

    def _delete(self, identifier: str) -> None:
        # Of one that was killed after its commit the answer is lost, and the experiment gone.
        with self.database.reading() as session:
            there = session.get(Experiment, identifier) is not None
        if there:
            self.system.client.delete_experiment(identifier)

    def evaluation(self, seed: int, *, disturbed: bool) -> list[Any]:
        """A long evaluation with which three workers help, of whom each ends at another place; what came of it."""
        if seed not in self._attacked:
            self._prepare_attacked()
        self.system.forget_measurements()
        key = f"{self.chance.random()}"
        for place in OF_HELPERS if disturbed else ():
            order(self.orders, place, NEXT)
        request = {"checkpoint": self._attacked[seed]} | LONG
        asked = persist(lambda: self.system.client.evaluate(request, idempotency_key=key)).id

        def ended() -> bool:
            with self.database.reading() as session:
                status = session.scalar(select(Evaluation.status).where(Evaluation.id == asked))
            assert status not in ("failed", "cancelled"), status
            return status == "succeeded"

        await_that(ended, PATIENCE_S)
        self._count(seed)
        with self.database.reading() as session:
            found = measured_of(session, asked)
        persist(lambda: self.system.client.delete_evaluation(asked))
        return found

    def _prepare_attacked(self) -> None:
        """Train those networks, and start the workers that help: one whose helper has died leaves an evaluation be."""
        submitted = persist(lambda: self.system.client.submit(ATTACKED | {"seeds": SEEDS})).id
        await_that(lambda: self._has_ended(submitted), PATIENCE_S)
        with self.database.reading() as session:
            kept = select(Run.seed, Checkpoint.id).join(Checkpoint, Checkpoint.run_id == Run.id)
            # Of each run the last.
            rows = session.execute(kept.where(Run.experiment_id == submitted).order_by(Checkpoint.epoch)).all()
        self._attacked = {row.seed: row.id for row in rows}
        self._processes |= {f"worker {place}": self.system.start("worker") for place in OF_HELPERS}
