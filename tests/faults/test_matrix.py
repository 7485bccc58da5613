"""Whatever is killed, and wherever: nothing is lost, nothing doubled, and the result is the undisturbed one."""

import ast
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from gauntlet.spec.experiment import ExperimentSpec
from store.backups.rows import tables
from store.database import Database
from store.models import Checkpoint, DiscardedFolder, Evaluation, EvaluationHelper, Run
from store.queue import helpers, jobs
from store.queue.jobs import Claim, JobKind
from store.subjects import deletions, evaluations, experiments, runs
from tests.faults.arming import ended_at
from tests.faults.comparison import result_of
from tests.faults.places import EVALUATION, HELPING, TRAINING, all_places
from tests.worker.training_job.attempts import AT_ONCE, CPU, spec_with
from worker.beside.sweeper import sweep
from worker.jobs.child import _help, _work
from worker.jobs.evaluation_inputs import read_inputs
from worker.jobs.heartbeat import Heartbeat
from worker.processes import JobProcesses
from worker.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
WITHIN_AN_EPOCH = ("batch_trained", "file_begun", "partial_written", "file_renamed", "state_written")
PACKAGES = ("gauntlet", "store", "service", "worker", "cli")


class Home:
    """A database and a storage, and a worker of one slot whose processes are made here."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.settings = WorkerSettings(
            home=folder,
            database_url=database_url,
            broker_url="redis+socket:///nonexistent/broker.sock",
            device="cpu",
            threads=1,
            state_every_s=AT_ONCE,
        )
        self.database = Database(self.settings.database_url)
        self.orders = folder / "orders"

    def submit(self, spec: ExperimentSpec) -> str:
        with self.database.writing() as session:
            return experiments.create(session, spec, None)[1][0]

    def attempt(self, kind: JobKind, identifier: str, place: str | None = None, arrival: int = 1) -> None:
        """Claim the job and do it; a process that is killed on the way is noticed, and the job put back."""

        def work() -> None:
            own = Database(self.settings.database_url)
            with own.writing() as session:
                held = jobs.claim(session, kind, identifier, "worker", 60)
            assert held is not None
            heartbeat = Heartbeat(own, held, self.settings)
            if place == "stopping":
                heartbeat.stop("paused")
            _work(own, held, self.settings, heartbeat)

        if place is None:
            work()
            return
        self.database.close()
        assert ended_at(self.orders, place, arrival, work), f"{place} was not reached"
        with self.database.writing() as session:
            job = session.get_one(jobs.JOB_MODELS[kind], identifier)
            if job.status == "running":
                held = Claim(kind, identifier, job.attempt, job.experiment_id)
                jobs.abandon(session, held, "Its process was killed.", retry_s=AT_ONCE)

    def be_helped(self, evaluation: str, places: Iterable[str]) -> None:
        """Begin the evaluation, which its worker is slow about; whoever helps is killed; then its worker stops."""
        with self.database.writing() as session:
            held = jobs.claim(session, "evaluation", evaluation, "worker", 60)
        assert held is not None
        heartbeat = Heartbeat(self.database, held, self.settings)
        inputs = read_inputs(self.database, evaluation, self.settings, heartbeat, CPU)
        with self.database.writing() as session:
            evaluations.note_start(session, held, inputs.attacked, helpers.implementation("cpu"))
            session.execute(update(Evaluation).where(Evaluation.id == evaluation).values(eta_s=1e6))

        def work() -> None:
            own = Database(self.settings.database_url)
            with own.writing() as session:
                helped = helpers.claim(session, "another", 60, "cpu")
            assert helped is not None
            _help(own, helped, self.settings, Heartbeat(own, helped, self.settings))

        for place in places:
            self.database.close()
            assert ended_at(self.orders, place, 1, work), f"{place} was not reached"
            with self.database.writing() as session:
                session.execute(update(EvaluationHelper).values(lease_expires_at=0))
        with self.database.writing() as session:
            jobs.release(session, held, "worker_shutdown")

    def evaluations(self) -> list[str]:
        with self.database.reading() as session:
            return list(session.scalars(select(Evaluation.id).order_by(Evaluation.id)))

    def result(self, run: str) -> list[Any]:
        with self.database.reading() as session:
            return result_of(session, run)

    def stored(self) -> set[str]:
        storage = self.settings.storage.root
        return {str(file.relative_to(storage)) for file in storage.rglob("*") if file.is_file()}

    def sweep(self) -> None:
        sweep(self.database, self.settings.storage, events_days=1, audit_days=1, retry_days=0)


@pytest.fixture
def home(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Callable[[str], Home]]:
    """Makes homes, each with an SQLite of its own."""
    made: list[Home] = []

    def make(name: str) -> Home:
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(migrated_sqlite, folder / "gauntlet.db")
        made.append(Home(folder, f"sqlite:///{folder / 'gauntlet.db'}"))
        return made[-1]

    yield make
    for each in made:
        each.database.close()


@pytest.fixture
def here(tmp_path: Path, database_url: str) -> Iterator[Home]:
    """One on each kind of database, for what does not train."""
    here = Home(tmp_path / "home", database_url)
    yield here
    here.database.close()


def test_the_matrix_has_every_place_of_the_code() -> None:
    """One that is added has to be tried, and one that is gone is not tried in vain."""
    found = []
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                match node:
                    case ast.Call(func=ast.Attribute(attr="reach"), args=[ast.Constant(value=str(name))]):
                        found.append(name)
    assert set(found) == set(all_places())


@pytest.mark.thorough
def test_an_experiment_killed_at_every_place_comes_to_the_same(
    home: Callable[[str], Home], tiny_spec: ExperimentSpec
) -> None:
    """Its run's process, its evaluation's, and whoever helps with that: all comes out equal, and no file is left."""
    spec = spec_with(tiny_spec, epochs=5)
    results = []
    for killed in (True, False):
        here = home("killed" if killed else "undisturbed")
        run = here.submit(spec)
        for place in TRAINING if killed else ():
            # Not before a state was saved: the third crash without one fails a run.
            here.attempt("run", run, place, 2 if place in WITHIN_AN_EPOCH else 1)
        if not killed:
            here.attempt("run", run)
        first, *others = here.evaluations()
        if killed:
            here.be_helped(first, HELPING)
        for place in EVALUATION if killed else ():
            here.attempt("evaluation", first, place)
        for evaluation in others if killed else (first, *others):
            here.attempt("evaluation", evaluation)
        results.append(here.result(run))
        here.sweep()
        with here.database.reading() as session:
            assert here.stored() == set(session.scalars(select(Checkpoint.path)))
            assert session.get_one(Run, run).attempt == (len(TRAINING) if killed else 1)
    assert results[0] == results[1]


def test_a_pause_outlives_the_process_that_was_to_make_it(
    home: Callable[[str], Home], tiny_spec: ExperimentSpec
) -> None:
    """Killed as it writes that it stopped, the run is paused, and goes on when it is resumed."""
    here = home("paused")
    run = here.submit(tiny_spec)

    with here.database.writing() as session:
        held = jobs.claim(session, "run", run, "worker", 60)
        assert held is not None
        runs.pause(session, run)
    here.database.close()

    def work() -> None:
        own = Database(here.settings.database_url)
        heartbeat = Heartbeat(own, held, here.settings)
        heartbeat.stop("paused")
        _work(own, held, here.settings, heartbeat)

    assert ended_at(here.orders, "stopping", 1, work)
    with here.database.writing() as session:
        jobs.abandon(session, held, "Its process was killed.", retry_s=AT_ONCE)
        assert runs.get(session, run).status == "paused"
        runs.resume(session, run)
        assert runs.get(session, run).status == "queued"


def test_what_a_worker_claimed_as_it_died_is_another_s(here: Home, tiny_spec: ExperimentSpec) -> None:
    """Killed between the claim and the job's process: once the lease has run out the job waits again."""
    run = here.submit(tiny_spec)
    here.database.close()

    def work() -> None:
        settings = here.settings.model_copy(update={"lease_s": AT_ONCE})
        processes = JobProcesses(settings, Database(settings.database_url))
        # Its fork server is not needed: it does not come so far.
        processes.preparation.make = lambda: None  # type: ignore[method-assign]  # of this one alone
        processes.run()

    assert ended_at(here.orders, "claimed", 1, work)
    with here.database.writing() as session:
        assert runs.get(session, run).status == "running"
        assert jobs.reclaim_expired(session, Run, retry_s=AT_ONCE) == {run: "queued"}


def test_a_submission_is_stored_once_or_not_at_all(here: Home, tiny_spec: ExperimentSpec) -> None:
    """Killed before its commit nothing of it is there; asked again with its key there is one."""

    def submit() -> None:
        with closing(Database(here.settings.database_url)) as own, own.writing() as session:
            experiments.create(session, tiny_spec, "key")

    before = counts(here)
    assert ended_at(here.orders, "submitting", 1, submit)
    assert counts(here) == before
    submit()
    submit()
    after = counts(here)
    assert (after["experiments"], after["runs"]) == (1, 1)


def test_a_deletion_is_whole_or_not_at_all(home: Callable[[str], Home], tiny_spec: ExperimentSpec) -> None:
    """Killed before its commit all is there; killed after a folder went, the next sweep ends what was begun."""
    here = home("deleted")
    run = here.submit(tiny_spec)
    here.attempt("run", run)
    for evaluation in here.evaluations():
        here.attempt("evaluation", evaluation)
    with here.database.reading() as session:
        experiment = runs.get(session, run).experiment_id

    def delete() -> None:
        own = Database(here.settings.database_url)
        with own.writing() as session:
            deletions.delete_experiment(session, experiments.get(session, experiment))

    before = counts(here), here.stored()
    here.database.close()
    assert ended_at(here.orders, "deleting", 1, delete)
    assert (counts(here), here.stored()) == before
    delete()
    assert here.stored() == before[1]
    here.database.close()
    assert ended_at(here.orders, "folder_deleted", 1, here.sweep)
    assert here.stored() == set()
    with here.database.reading() as session:
        assert session.scalars(select(DiscardedFolder.name)).all() == [run]
    here.sweep()
    gone = counts(here)
    named = ("experiments", "runs", "checkpoints", "epoch_metrics", "evaluations", "evaluation_batches")
    assert [gone[name] for name in (*named, "discarded_folders")] == [0] * 7


def counts(home: Home) -> dict[str, int]:
    """How many rows each table has."""
    with home.database.reading() as session:
        return {table.name: session.scalar(select(func.count()).select_from(table)) or 0 for table in tables()}
