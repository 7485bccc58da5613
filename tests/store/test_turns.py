"""Whose turn it is, on both databases."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select, update

from gauntlet.spec.experiment import ExperimentSpec
from store import controls, experiments, jobs, turns
from store.database import Database
from store.jobs import Claim
from store.models import Evaluation, Run
from tests.evaluations import FGSM, imported, queued

LONG = 60.0


def submit(database: Database, spec: ExperimentSpec, seeds: int) -> list[str]:
    """An experiment of so many runs; returns their ids."""
    with database.writing() as session:
        changed = spec.model_copy(update={"seeds": tuple(range(seeds))})
        return experiments.create(session, changed, None)[1]


def claim(database: Database) -> Claim | None:
    with database.writing() as session:
        return turns.claim_next(session, "worker", LONG)


def claimed(database: Database) -> Claim:
    held = claim(database)
    assert held is not None
    return held


def end(database: Database, held: Claim) -> None:
    with database.writing() as session:
        jobs.finish(session, held, "succeeded")


def done_in_turn(database: Database, count: int) -> list[str]:
    """The jobs that a worker with one slot does, in its order."""
    order = []
    for _ in range(count):
        held = claimed(database)
        order.append(held.id)
        end(database, held)
    return order


def test_jobs_of_one_experiment_come_by_age(database: Database, tiny_spec: ExperimentSpec) -> None:
    """And nothing is left when all are claimed."""
    runs = submit(database, tiny_spec, 3)
    assert [claimed(database).id for _ in range(3)] == runs
    assert claim(database) is None


def test_what_is_short_does_not_wait_for_all_of_what_is_long(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Asked for while the first of many runs is under way, an evaluation comes after one run of theirs at most.

    So does a later experiment; the turns of all go round.
    """
    runs = submit(database, tiny_spec, 26)
    first = claimed(database)
    evaluations = [queued(database, imported(database, name), FGSM) for name in ("one", "two")]
    (later,) = submit(database, tiny_spec, 1)
    end(database, first)
    assert first.id == runs[0]
    assert done_in_turn(database, 6) == [runs[1], evaluations[0], later, runs[2], evaluations[1], runs[3]]


def test_slots_are_shared_evenly(database: Database, tiny_spec: ExperimentSpec) -> None:
    """With four slots the first of two experiments has all of them until the second comes, and then half."""
    ours = submit(database, tiny_spec, 9)
    held = [claimed(database) for _ in range(4)]
    theirs = submit(database, tiny_spec, 9)
    for _ in range(6):
        end(database, held.pop(0))
        held.append(claimed(database))
    assert sorted(job.id in ours for job in held) == [False, False, True, True]
    assert {job.id for job in held} <= {*ours, *theirs}


def test_new_experiments_do_not_starve_an_old_one(database: Database, tiny_spec: ExperimentSpec) -> None:
    """While another comes with every job that ends, the first still gets a turn between them."""
    runs = submit(database, tiny_spec, 3)
    order = []
    for _ in range(6):
        submit(database, tiny_spec, 1)
        order += done_in_turn(database, 1)
    assert [identifier for identifier in order if identifier in runs] == runs


def test_evaluations_of_an_experiment_come_before_its_runs(database: Database, tiny_spec: ExperimentSpec) -> None:
    """They complete it."""
    runs = submit(database, tiny_spec, 2)
    evaluation = queued(database, imported(database, "one"), FGSM)
    with database.writing() as session:
        experiment = session.get_one(Run, runs[0]).experiment_id
        session.execute(update(Evaluation).values(experiment_id=experiment))
    assert done_in_turn(database, 3) == [evaluation, *runs]


def test_what_must_wait_is_not_next(database: Database, tiny_spec: ExperimentSpec) -> None:
    """A job that waits after a fault, or was cancelled, takes nobody's turn."""
    runs = submit(database, tiny_spec, 3)
    with database.writing() as session:
        jobs.give_up(session, held := claim_in(session), "storage", "A sentence.", retry_s=LONG)
        controls.cancel(session, Run, Run.id == runs[1])
        assert turns.count_waiting(session) == 1
    assert held.id == runs[0]
    assert claimed(database).id == runs[2]
    assert claim(database) is None


def claim_in(session: object) -> Claim:
    held = turns.claim_next(session, "worker", LONG)  # type: ignore[arg-type]
    assert held is not None
    return held


def test_of_many_workers_each_gets_another_job(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Eight ask at once for the jobs of two experiments: nothing is claimed twice, and both have as many running."""
    ours, theirs = submit(database, tiny_spec, 8), submit(database, tiny_spec, 8)
    with ThreadPoolExecutor(8) as pool:
        held: Sequence[Claim] = list(pool.map(lambda _: claimed(database), range(8)))
    identifiers = {job.id for job in held}
    assert len(identifiers & set(ours)) == len(identifiers & set(theirs)) == 4
    with database.reading() as session:
        running = session.scalar(select(func.count()).select_from(Run).where(Run.status == "running"))
    assert running == 8


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_job_that_is_cancelled_meanwhile_is_passed_over(
    database: Database, tiny_spec: ExperimentSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one is taken in its place."""
    first, second = submit(database, tiny_spec, 2)
    look = turns.whose_turn
    looked = []

    def look_and_be_overtaken(session: object) -> object:
        turn = look(session)  # type: ignore[arg-type]
        if not looked:
            looked.append(turn)
            with database.writing() as other:
                controls.cancel(other, Run, Run.id == first)
        return turn

    monkeypatch.setattr(turns, "whose_turn", look_and_be_overtaken)
    assert claimed(database).id == second
    assert looked == [("run", first)]
