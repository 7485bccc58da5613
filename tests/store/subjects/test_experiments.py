"""Submitting, repeating and cancelling experiments, on both databases."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import delete, func, select

from gauntlet.spec.experiment import ExperimentSpec, RunSpec
from gauntlet.spec.kinds import ImageFolder
from gauntlet.spec.runs.objectives import ExpectedReward
from store.database import Database
from store.errors import IdempotencyConflict, NotFound, RequestUnfit
from store.models import Checkpoint, Experiment, Run
from store.queue import jobs
from store.shown.standings import overall_status
from store.subjects import checkpoints, experiments, runs
from store.subjects.runs import EpochRecord
from tests.store.kept import kept_weights


def count(database: Database, model: type[Experiment] | type[Run]) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def test_an_experiment_and_its_runs_are_stored_together(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Objectives × seeds become runs in that order, and the spec comes back equal."""
    objectives = (*tiny_spec.objectives, ExpectedReward())
    spec = tiny_spec.model_copy(update={"seeds": (3, 5), "objectives": objectives})
    with database.writing() as session:
        experiment, run_ids = experiments.create(session, spec, None)
    with database.reading() as session:
        runs = session.scalars(select(Run).order_by(Run.ordinal)).all()
        (shown,) = experiments.show(session, [experiments.get(session, experiment.id)])
    assert [run.id for run in runs] == run_ids
    assert [(run.objective, run.seed, RunSpec.model_validate(run.spec)) for run in runs] == [
        (label, run.seed, run) for label, run in spec.runs()
    ]
    assert [run.seed for run in runs] == [3, 5, 3, 5]
    assert shown.spec == spec
    assert (shown.status, shown.progress.total) == ("queued", 4)


def test_trials_keep_their_own_normalisation(database: Database, tiny_spec: ExperimentSpec) -> None:
    """A run without one has none, though the first trial, whose text the others share, has one."""
    behind = {"mean": [0.3], "std": [0.2]}
    document = tiny_spec.model_dump(mode="json") | {"sweep": {"over": {"normalisation": [behind, None]}}}
    spec = ExperimentSpec.model_validate(document)
    with database.writing() as session:
        experiments.create(session, spec, None)
    with database.reading() as session:
        rows = session.scalars(select(Run).order_by(Run.ordinal)).all()
    assert [RunSpec.model_validate(row.spec) for row in rows] == [run for _, run in spec.runs()]
    told = [RunSpec.model_validate(row.spec).normalisation for row in rows]
    assert [each is None for each in told] == [False] * (len(rows) // 2) + [True] * (len(rows) // 2)


def test_the_largest_seed_fits(database: Database, tiny_spec: ExperimentSpec) -> None:
    """A 63-bit seed survives the database."""
    seed = 2**63 - 1
    with database.writing() as session:
        experiments.create(session, tiny_spec.model_copy(update={"seeds": (seed,)}), None)
    with database.reading() as session:
        assert session.scalar(select(Run.seed)) == seed


def test_a_repeated_key_returns_the_first_experiment(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Nothing is stored the second time and no run needs waking."""
    ids = []
    for expected_runs in (1, 0):
        with database.writing() as session:
            experiment, waiting = experiments.create(session, tiny_spec, "key")
        assert len(waiting) == expected_runs
        ids.append(experiment.id)
    assert ids[0] == ids[1]
    assert (count(database, Experiment), count(database, Run)) == (1, 1)


def test_a_key_cannot_serve_another_request(database: Database, tiny_spec: ExperimentSpec) -> None:
    """The same key with another spec is refused and stores nothing."""
    with database.writing() as session:
        experiments.create(session, tiny_spec, "key")
    with pytest.raises(IdempotencyConflict), database.writing() as session:
        experiments.create(session, tiny_spec.model_copy(update={"seeds": (9,)}), "key")
    assert count(database, Experiment) == 1


def test_simultaneous_requests_with_one_key_make_one_experiment(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Eight threads submit the same request; all get the same experiment."""

    def submit(_: int) -> str:
        with database.writing() as session:
            return experiments.create(session, tiny_spec, "key")[0].id

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(submit, range(8)))) == 1
    assert (count(database, Experiment), count(database, Run)) == (1, 1)


def checkpoint_of(database: Database, spec: ExperimentSpec) -> str:
    """A checkpoint of a new experiment's run; returns its id."""
    with database.writing() as session:
        _, (run,) = experiments.create(session, spec, None)
        held = jobs.claim(session, "run", run, "worker", 60)
        assert held is not None
        runs.record_epoch(session, held, EpochRecord(1, {}, 1.5, 64.0, weights=[kept_weights(spec, 1)]))
        (checkpoint,) = checkpoints.page(session, run=run, after=None, limit=1).rows
    return checkpoint.id


def starting_from(spec: ExperimentSpec, checkpoint: str) -> ExperimentSpec:
    return spec.model_copy(update={"training": spec.training.model_copy(update={"initial_checkpoint": checkpoint})})


def test_an_experiment_may_start_from_a_checkpoint(database: Database, tiny_spec: ExperimentSpec) -> None:
    """One that exists and fits is named in the spec of every run."""
    checkpoint = checkpoint_of(database, tiny_spec)
    with database.writing() as session:
        _, (run,) = experiments.create(session, starting_from(tiny_spec, checkpoint), None)
    with database.reading() as session:
        assert session.get_one(Run, run).spec["training"]["initial_checkpoint"] == checkpoint


def test_an_unfit_initial_checkpoint_is_refused(database: Database, tiny_spec: ExperimentSpec) -> None:
    """One that is not there, or is for images of another shape: nothing is stored, and the sentence says why."""
    folder = ImageFolder(folder="pictures", image_size=24)
    checkpoint = checkpoint_of(database, tiny_spec.model_copy(update={"dataset": folder}))
    for identifier, told in (
        ("ckpt_none", "no checkpoint with the id 'ckpt_none'"),
        (checkpoint, r"holds a cnn for 3 × 24 × 24 images, but what is trained is a cnn for 1 × 16 × 16 images\."),
    ):
        with pytest.raises(RequestUnfit, match=told), database.writing() as session:
            experiments.create(session, starting_from(tiny_spec, identifier), None)
    assert count(database, Experiment) == 1


def test_a_repeated_key_outlives_the_initial_checkpoint(database: Database, tiny_spec: ExperimentSpec) -> None:
    """The first experiment comes back though the checkpoint it started from is gone."""
    spec = starting_from(tiny_spec, checkpoint_of(database, tiny_spec))
    with database.writing() as session:
        first, _ = experiments.create(session, spec, "key")
        session.execute(delete(Checkpoint))
    with database.writing() as session:
        assert experiments.create(session, spec, "key")[0].id == first.id


def test_an_aborted_transaction_leaves_nothing(database: Database, tiny_spec: ExperimentSpec) -> None:
    """There is no experiment without its runs, and no run without its experiment."""

    class Abort(Exception):
        pass

    def submit_and_abort() -> None:
        with database.writing() as session:
            experiments.create(session, tiny_spec, None)
            raise Abort

    with pytest.raises(Abort):
        submit_and_abort()
    assert (count(database, Experiment), count(database, Run)) == (0, 0)


def test_cancelling_an_experiment_cancels_its_waiting_runs(database: Database, tiny_spec: ExperimentSpec) -> None:
    """With nothing running the experiment is cancelled at once, and again changes nothing."""
    with database.writing() as session:
        experiment, _ = experiments.create(session, tiny_spec.model_copy(update={"seeds": (0, 1)}), None)
    for _ in range(2):
        with database.writing() as session:
            experiments.cancel(session, experiment.id)
        with database.reading() as session:
            (shown,) = experiments.show(session, [experiments.get(session, experiment.id)])
        assert (shown.status, shown.status_reason, shown.progress.completed) == ("cancelled", "user", 2)


def test_an_experiment_shows_the_commonest_reason(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Of the jobs that stand where it stands: the reason of most of them, and how many there are of all."""
    with database.writing() as session:
        experiment, waiting = experiments.create(session, tiny_spec.model_copy(update={"seeds": tuple(range(5))}), None)
    ends = (("failed", "diverged"), ("failed", "storage"), ("failed", "storage"), ("succeeded", None), (None, None))
    for run, (status, reason) in zip(waiting, ends, strict=True):
        with database.writing() as session:
            session.get_one(Run, run).status_reason = reason
            if status:
                session.get_one(Run, run).status = status
    with database.reading() as session:
        (running,) = experiments.show(session, [experiments.get(session, experiment.id)])
    assert (running.status, running.status_reason) == ("running", None)
    assert running.progress is not None
    assert (running.progress.completed, running.progress.total) == (4, 5)
    with database.writing() as session:
        session.get_one(Run, waiting[-1]).status = "succeeded"
    with database.reading() as session:
        (ended,) = experiments.show(session, [experiments.get(session, experiment.id)])
    assert (ended.status, ended.status_reason) == ("failed", "storage")


def test_an_unknown_experiment_is_not_found(database: Database) -> None:
    """Looking and cancelling say so."""
    for call in (experiments.get, experiments.cancel):
        with pytest.raises(NotFound, match="experiment"), database.writing() as session:
            call(session, "exp_none")


@pytest.mark.parametrize(
    ("statuses", "overall"),
    [
        (["queued", "queued"], "queued"),
        (["running", "queued"], "running"),
        (["succeeded", "queued"], "running"),
        (["failed", "queued"], "running"),
        (["failed", "running"], "running"),
        (["succeeded", "succeeded"], "succeeded"),
        (["succeeded", "failed", "cancelled"], "failed"),
        (["succeeded", "cancelled"], "cancelled"),
    ],
)
def test_an_experiment_shows_the_worst_end_once_all_have_ended(statuses: list[str], overall: str) -> None:
    """Before that it is running, or queued if nothing has begun."""
    assert overall_status(statuses) == overall
