"""`python -m tests.faults --out FILE`: kill the processes of whole systems hundreds of times, and compare every result.

On SQLite and on PostgreSQL, each with a broker, a service and a worker of its own: experiments of three seeds, one
after the other, whose processes are ended at one place after the other, the least tried first. FILE grows with each;
where it is there already, what it has counts, so that hours can be had in parts.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

from sqlalchemy import select

from benchmarks.machine import describe_machine
from benchmarks.studies.record import code_commit
from store.database import Database
from store.models import Dataset, Evaluation, Event, Experiment, Run
from tests.broker import running_broker, socket_path
from tests.e2e.system import System, await_that
from tests.faults.arming import NEXT, carried_out, order, withdraw
from tests.faults.comparison import result_of
from tests.faults.places import CLAIM, EVALUATION, REQUESTS, SWEEPING, TRAINING, UNPACKING
from tests.faults.work import PATIENCE_S, SEEDS, document, persist
from tests.packing import two_splits, write_tar
from tests.postgres import create_database, running_postgres

# Which of them an experiment comes to first; then the service is ended, or the worker, or an attempt without a state.
AT_FIRST = ("submitting", "waking", *CLAIM, "run_started")
LATER = tuple(place for place in TRAINING if place != "run_started")


# A worker may be among those that end, and each time its leases are waited for: no longer than a busy machine needs.
_LEASE_S = 6.0


@dataclass
class Tally:
    """What happened on one database."""

    kills: dict[int, Counter[str]] = field(default_factory=lambda: {seed: Counter() for seed in SEEDS})
    experiments: int = 0
    same: int = 0
    datasets: int = 0

    @classmethod
    def of(cls, shown: Mapping[str, Any] | None) -> Self:
        """What an earlier turn has shown, to be gone on with."""
        if shown is None:
            return cls()
        places = shown["by_place_and_seed"].items()
        kills = {
            seed: Counter({place: counts[number] for place, counts in places}) for number, seed in enumerate(SEEDS)
        }
        return cls(kills, shown["experiments"], shown["equal_to_undisturbed"], shown["datasets"])

    def shown(self) -> dict[str, Any]:
        return {
            "kills": sum(sum(counts.values()) for counts in self.kills.values()),
            "experiments": self.experiments,
            "equal_to_undisturbed": self.same,
            "datasets": self.datasets,
            "by_place_and_seed": {
                place: [self.kills[seed][place] for seed in SEEDS]
                for place in sorted({place for counts in self.kills.values() for place in counts})
            },
        }


class Matrix:
    """One system whose processes are ended again and again; the service and the worker are started anew."""

    def __init__(self, system: System, orders: Path, chance: random.Random, tally: Tally) -> None:
        self.system, self.orders, self.chance, self.tally = system, orders, chance, tally
        self.database = Database(system.database_url)
        self._counted: Counter[str] = Counter()
        self._killed_at = 0
        self._over = threading.Event()
        self._processes = {"service": system.service, "worker": system.start("worker")}

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
            for module, process in self._processes.items():
                if process.poll() is not None:
                    self._processes[module] = self.system.start(module)

    def experiment(self, seed: int, *, disturbed: bool) -> list[Any]:
        """One experiment from its submission to its end; what came of its only run."""
        self.system.forget_measurements()
        key = f"{self.chance.random()}"
        if disturbed:
            order(self.orders, self._least_tried(seed, AT_FIRST), NEXT)
        submitted = persist(lambda: self.system.client.submit(document(seed), idempotency_key=key)).id
        with self.database.reading() as session:
            assert len(session.scalars(select(Experiment.id).where(Experiment.idempotency_key == key)).all()) == 1
            (run,) = session.scalars(select(Run.id).where(Run.experiment_id == submitted)).all()
        self._killed_at = 0
        deadline = time.monotonic() + PATIENCE_S
        while not self._has_ended(submitted):
            assert time.monotonic() < deadline, "the experiment was lost"
            if disturbed and not list(self.orders.glob("*:*")) and self._may_be_killed(run):
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
        with self.database.reading() as session:
            trained = session.scalar(select(Run.status).where(Run.id == run)) == "succeeded"
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


def run(matrix: Matrix, kills: int, archive: Path, tell: Callable[[Tally], None]) -> None:
    """End processes until that many were; each result is compared with that of an experiment left alone."""
    undisturbed = {seed: matrix.experiment(seed, disturbed=False) for seed in SEEDS}
    while matrix.tally.shown()["kills"] < kills:
        for seed in SEEDS:
            found = matrix.experiment(seed, disturbed=True)
            matrix.tally.experiments += 1
            matrix.tally.same += found == undisturbed[seed]
            assert found == undisturbed[seed], f"seed {seed} came out otherwise"
            matrix.upload(archive, seed)
            matrix.delete(seed)
            tell(matrix.tally)


@contextmanager
def databases(folder: Path) -> Iterator[dict[str, str]]:
    """A fresh one of each kind."""
    with running_postgres() as server:
        yield {
            "SQLite": f"sqlite:///{folder / 'sqlite.db'}",
            "PostgreSQL": create_database(server, "faults"),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="Where the results go, as JSON.")
    parser.add_argument(
        "--kills", type=int, default=300, help="How many on each database, at least, those in the file among them."
    )
    parser.add_argument("--only", choices=("SQLite", "PostgreSQL"), help="One database.")
    parser.add_argument("--seed", type=int, default=0, help="Of the choice of places.")
    parser.add_argument(
        "--lease",
        type=float,
        default=_LEASE_S,
        help="Seconds; where others leave a job no processor for so long, it counts as one that died.",
    )
    asked = parser.parse_args()
    began = time.monotonic()
    told: dict[str, Any] = {"turns": [], "databases": {}}
    if asked.out.exists():
        told = json.loads(asked.out.read_text())
    turn = {
        "machine": describe_machine(),
        "commit": code_commit(),
        "load_before": round(os.getloadavg()[0], 1),
        "lease_s": asked.lease,
    }
    told["turns"].append(turn)
    with tempfile.TemporaryDirectory(prefix="gauntlet-faults-", dir="/tmp") as name, databases(Path(name)) as urls:
        archive = write_tar(Path(name) / "pets.tar", two_splits())
        for kind, url in urls.items():
            if asked.only not in (None, kind):
                continue

            def tell(tally: Tally, kind: str = kind) -> None:
                told["databases"][kind] = tally.shown()
                turn["seconds"] = round(time.monotonic() - began)
                asked.out.write_text(json.dumps(told, indent=1) + "\n")
                shown = tally.shown()
                sys.stdout.write(f"{kind}: {shown['kills']} kills, {shown['experiments']} experiments\n")
                sys.stdout.flush()

            tally = Tally.of(told["databases"].get(kind))
            home, orders = Path(name) / kind, Path(name) / kind / "orders"
            (orders / "carried-out").mkdir(parents=True)
            with (
                socket_path() as path,
                running_broker(path) as broker,
                System(home, url, broker, orders, {"GAUNTLET_LEASE_S": f"{asked.lease:g}"}) as system,
                Matrix(system, orders, random.Random(asked.seed), tally).at_work() as matrix,
            ):
                run(matrix, asked.kills, archive, tell)


if __name__ == "__main__":
    main()
