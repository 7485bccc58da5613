"""Those who use the system meanwhile: each asks for one thing after the other and looks at what came of it."""

import random
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select

from gauntlet.client import GauntletClient, Refused
from gauntlet.resources import TERMINAL
from store.database import Database
from store.models import Checkpoint, Dataset, EpochMetrics, Evaluation, Experiment, Run
from tests.e2e.system import System
from tests.faults.comparison import measured_of, result_of
from tests.faults.work import ATTACKED, LONG, PATIENCE_S, SEEDS, document, persist
from tests.packing import two_splits, write_tar

EPOCHS = 8
# The second is long enough for the other worker to help with it.
ATTACKS: Mapping[str, dict[str, Any]] = {
    "fgsm": {"attacks": [{"kind": "fgsm", "eps": "8/255"}], "samples": 64, "batch_size": 8},
    "pgd": {**LONG, "samples": 24},
}
_THINGS = {"experiment": 4, "cancelled": 2, "paused": 2, "evaluation": 3, "cancelled evaluation": 1, "data set": 2}
_PAUSE_S = 3.0
_KEPT = 0.2


class Difference(Exception):
    """What came out is not what comes out undisturbed."""


class Undisturbed:
    """What comes out where nothing is killed, by seed and by attack."""

    def __init__(self, system: System, database: Database, findings: "Findings") -> None:
        user = User(system, database, self, random.Random(0), Path("/nonexistent"), findings)
        submitted = {seed: user.submitted(document(seed, epochs=EPOCHS)) for seed in SEEDS}
        attacked = user.finished(user.submitted(ATTACKED))
        self.results = {seed: user.result(user.finished(experiment)) for seed, experiment in submitted.items()}
        with database.reading() as session:
            last = select(Checkpoint.id).where(Checkpoint.run_id == attacked).order_by(Checkpoint.epoch.desc())
            self.checkpoint = session.scalars(last).first() or ""
        self.outcomes = {name: user.measured(user.asked(self.checkpoint, name)) for name in ATTACKS}


class Findings:
    """What all users did, and what they found wrong."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.wrong: list[str] = []
        # Ids of what users were told is there, and have not asked to delete.
        self.kept: set[str] = set()
        self.longest_s: dict[str, float] = {}

    @contextmanager
    def with_ended_threads(self) -> Iterator[None]:
        """What ends a thread within the block is wrong too: nobody strikes any more, or starts anew what died."""
        before = threading.excepthook

        def note(ended: threading.ExceptHookArgs) -> None:
            told = traceback.format_exception(ended.exc_type, ended.exc_value, ended.exc_traceback, limit=-3)
            self.wrong.append(f"The thread {ended.thread and ended.thread.name} ended.\n{''.join(told)}")

        threading.excepthook = note
        try:
            yield
        finally:
            threading.excepthook = before


class User(threading.Thread):
    """One user, in a thread."""

    def __init__(
        self,
        system: System,
        database: Database,
        undisturbed: Undisturbed,
        chance: random.Random,
        folder: Path,
        findings: Findings,
    ) -> None:
        super().__init__(name="user")
        self._system, self._database, self._undisturbed = system, database, undisturbed
        self._chance, self._folder, self._findings = chance, folder, findings
        self._client = GauntletClient(system.client.url)
        self.over = threading.Event()

    def run(self) -> None:
        """Ask for one thing after the other until it is over."""
        while not self.over.wait(self._chance.uniform(0, 2 * _PAUSE_S)):
            (thing,) = self._chance.choices(list(_THINGS), list(_THINGS.values()))
            self._findings.asked[thing] += 1
            began = time.monotonic()
            try:
                self._do(thing)
            except Exception as error:  # noqa: BLE001  # whatever it is, it is what was looked for
                self._findings.wrong.append(f"{thing}: {error!r}\n{traceback.format_exc(limit=-3)}")
                continue
            self._findings.done[thing] += 1
            took = round(time.monotonic() - began, 1)
            self._findings.longest_s[thing] = max(took, self._findings.longest_s.get(thing, 0))
        self._client.close()

    def _do(self, thing: str) -> None:
        seed = self._chance.choice(SEEDS)
        match thing:
            case "experiment":
                self._compare(seed, self.submitted(document(seed, epochs=EPOCHS)))
            case "cancelled":
                self._cancel(seed)
            case "paused":
                self._pause(seed)
            case "evaluation":
                name = self._chance.choice(list(ATTACKS))
                evaluation = self.asked(self._undisturbed.checkpoint, name)
                _require_same(self.measured(evaluation), self._undisturbed.outcomes[name], evaluation)
                persist(lambda: self._remove("evaluations", evaluation))
            case "cancelled evaluation":
                self._cancel_evaluation()
            case "data set":
                self._upload()

    def submitted(self, spec: Mapping[str, Any]) -> str:
        """A new experiment's id; of one key there is one, however often the service dies of it."""
        persist(self._system.forget_measurements)
        key = f"{self._chance.random()}"
        identifier = persist(lambda: self._client.submit(spec, idempotency_key=key)).id
        self._findings.kept.add(identifier)
        there = self._rows(select(Experiment.id).where(Experiment.idempotency_key == key))
        if there != [identifier]:
            raise Difference(f"one submission became {there}")
        return identifier

    def asked(self, checkpoint: str, name: str) -> str:
        """A new evaluation's id."""
        persist(self._system.forget_measurements)
        key = f"{self._chance.random()}"
        request = {"checkpoint": checkpoint} | ATTACKS[name]
        identifier = persist(lambda: self._client.evaluate(request, idempotency_key=key)).id
        self._findings.kept.add(identifier)
        return identifier

    def finished(self, experiment: str) -> str:
        """Its only run, once the experiment has succeeded."""
        status = self._ended(select(Experiment.status).where(Experiment.id == experiment), experiment)
        (run,) = self._rows(select(Run.id).where(Run.experiment_id == experiment))
        if status != "succeeded":
            why = self._rows(select(Run.status_detail).where(Run.id == run))
            raise Difference(f"{experiment} is {status}: {why}")
        return str(run)

    def result(self, run: str) -> list[Any]:
        """All that must be the same."""

        def read() -> list[Any]:
            with self._database.reading() as session:
                return result_of(session, run)

        return persist(read)

    def measured(self, evaluation: str) -> list[Any]:
        """Each batch and the outcome, once the evaluation has succeeded."""
        status = self._ended(select(Evaluation.status).where(Evaluation.id == evaluation), evaluation)
        if status != "succeeded":
            why = self._rows(select(Evaluation.status_detail).where(Evaluation.id == evaluation))
            raise Difference(f"{evaluation} is {status}: {why}")

        def read() -> list[Any]:
            with self._database.reading() as session:
                return measured_of(session, evaluation)

        return persist(read)

    def _compare(self, seed: int, experiment: str) -> None:
        run = self.finished(experiment)
        _require_same(self.result(run), self._undisturbed.results[seed], experiment)
        persist(lambda: self._client.report(experiment))
        if self._chance.random() > _KEPT:
            persist(lambda: self._remove("experiments", experiment))

    def _pause(self, seed: int) -> None:
        experiment = self.submitted(document(seed, epochs=EPOCHS))
        (run,) = self._rows(select(Run.id).where(Run.experiment_id == experiment))
        self.over.wait(self._chance.uniform(0, 8))
        persist(lambda: self._client.pause_run(run))
        self._ended(select(Run.status).where(Run.id == run), run, (*TERMINAL, "paused"))
        self.over.wait(self._chance.uniform(0, 4))
        persist(lambda: self._client.resume_run(run))
        self._compare(seed, experiment)

    def _cancel(self, seed: int) -> None:
        experiment = self.submitted(document(seed, epochs=EPOCHS))
        self.over.wait(self._chance.uniform(0, 12))
        persist(lambda: self._client.cancel_experiment(experiment))
        self._ended(select(Experiment.status).where(Experiment.id == experiment), experiment)
        (run,) = self._rows(select(Run.id).where(Run.experiment_id == experiment))
        metrics = select(EpochMetrics.epoch, EpochMetrics.metrics).where(EpochMetrics.run_id == run)
        found = self._rows(metrics.order_by(EpochMetrics.epoch), whole=True)
        _require_same(found, self._undisturbed.results[seed][1][: len(found)], experiment)
        persist(lambda: self._remove("experiments", experiment))

    def _cancel_evaluation(self) -> None:
        evaluation = self.asked(self._undisturbed.checkpoint, self._chance.choice(list(ATTACKS)))
        self.over.wait(self._chance.uniform(0, 12))
        persist(lambda: self._client.cancel_evaluation(evaluation))
        self._ended(select(Evaluation.status).where(Evaluation.id == evaluation), evaluation)
        persist(lambda: self._remove("evaluations", evaluation))

    def _upload(self) -> None:
        name = f"pets-{self._chance.getrandbits(48):x}"
        # No two archives are alike.
        archive = write_tar(self._folder / f"{name}.tar", two_splits((name, "dog")))
        identifier = persist(lambda: self._client.upload_dataset(archive, name=name)).id
        self._findings.kept.add(identifier)
        archive.unlink()
        status = self._ended(select(Dataset.status).where(Dataset.id == identifier), identifier, ("ready", "failed"))
        there = self._rows(select(Dataset.id).where(Dataset.name == name))
        if status != "ready" or there != [identifier]:
            raise Difference(f"an archive became {there}, which is {status}")
        persist(lambda: self._remove("datasets", identifier))

    def _remove(self, kind: str, identifier: str) -> None:
        """Of one that was killed after its commit the answer is lost, and the row gone."""
        delete = {
            "experiments": self._client.delete_experiment,
            "evaluations": self._client.delete_evaluation,
            "datasets": self._client.delete_dataset,
        }[kind]
        self._findings.kept.discard(identifier)
        try:
            delete(identifier)
        except Refused as refusal:
            if refusal.problem.status != 404:
                raise

    def _ended(self, status: Any, identifier: str, ends: Any = TERMINAL) -> str:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            (found,) = self._rows(status)
            if found in ends:
                return str(found)
            if time.monotonic() > deadline:
                raise Difference(f"{identifier} was lost: it is still {found}")
            time.sleep(0.3)

    def _rows(self, query: Any, *, whole: bool = False) -> list[Any]:
        def read() -> list[Any]:
            with self._database.reading() as session:
                rows = session.execute(query).all()
                return [tuple(row) if whole else row[0] for row in rows]

        return persist(read)


def _require_same(found: Any, wanted: Any, identifier: str) -> None:
    if found != wanted:
        raise Difference(f"{identifier} came out otherwise")
