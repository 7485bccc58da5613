"""Whose turn it is, on both databases."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import event, func, select, text, update
from sqlalchemy.orm import Session

from gauntlet.spec.asked.priorities import Priority
from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database
from store.models import Evaluation, Run
from store.queue import controls, jobs, turns
from store.queue.jobs import Claim
from store.subjects import evaluations, experiments
from tests.evaluations import FGSM, imported, queued

LONG = 60.0


def submit(database: Database, spec: ExperimentSpec, seeds: int, **beside: Any) -> list[str]:
    """An experiment of so many runs; returns their ids."""
    with database.writing() as session:
        changed = spec.model_copy(update={"seeds": tuple(range(seeds))})
        return experiments.create(session, changed, None, **beside)[1]


def owned(database: Database, owner: str, priority: Priority = "normal") -> str:
    """An evaluation by itself that waits; returns its id."""
    evaluation = queued(database, imported(database, "one"), FGSM, priority=priority)
    with database.writing() as session:
        session.execute(update(Evaluation).where(Evaluation.id == evaluation).values(owner=owner))
    return evaluation


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


def test_owners_take_turns_however_much_each_has(database: Database, tiny_spec: ExperimentSpec) -> None:
    """One with many experiments and one with a single evaluation, asked for last: that comes after one run at most.

    Then the two with experiments get a job each in turn, whatever each of them has.
    """
    ada = [submit(database, tiny_spec, 2, owner="ada") for _ in range(3)]
    first = claimed(database)
    bob = submit(database, tiny_spec, 2, owner="bob")
    evaluation = owned(database, "eve")
    end(database, first)
    assert first.id == ada[0][0]
    order = done_in_turn(database, 6)
    assert order == [ada[1][0], bob[0], evaluation, ada[2][0], bob[1], ada[0][1]]


def test_slots_are_shared_evenly_by_owners(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Of four slots two are each owner's, though one has three experiments and the other one."""
    ada = [run for _ in range(3) for run in submit(database, tiny_spec, 3, owner="ada")]
    bob = submit(database, tiny_spec, 3, owner="bob")
    held = {claimed(database).id for _ in range(4)}
    assert len(held & set(ada)) == len(held & set(bob)) == 2


def test_what_is_high_comes_before_the_rest_of_its_owner_only(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Whoever calls all of theirs high takes no other's turn."""
    normal = submit(database, tiny_spec, 1, owner="ada")
    high = submit(database, tiny_spec, 2, owner="ada", priority="high")
    bob = submit(database, tiny_spec, 2, owner="bob")
    assert done_in_turn(database, 5) == [high[0], bob[0], high[1], bob[1], *normal]


def test_what_is_low_waits_for_all_that_is_not(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Whosever that is, and although its owner has nothing else; changed, it has its turn."""
    low = submit(database, tiny_spec, 2, owner="ada", priority="low")
    bob = submit(database, tiny_spec, 2, owner="bob")
    evaluation = owned(database, "bob", "low")
    assert done_in_turn(database, 3) == [*bob, low[0]]
    with database.writing() as session:
        evaluations.prioritise(session, evaluation, "high")
    assert done_in_turn(database, 2) == [evaluation, low[1]]


def test_an_experiment_gets_another_priority_with_all_it_has(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Its waiting runs, and the evaluations that will follow; what has ended stays as it was."""
    first = submit(database, tiny_spec, 2)
    (later,) = submit(database, tiny_spec, 1)
    (ended,) = done_in_turn(database, 1)
    with database.writing() as session:
        experiment = session.get_one(Run, ended).experiment_id
        experiments.prioritise(session, experiment, "low")
        (shown,) = experiments.show(session, [experiments.get(session, experiment)])
        priorities = session.scalars(select(Run.priority).where(Run.experiment_id == experiment).order_by(Run.id))
        assert (shown.priority, priorities.all()) == ("low", [1, 2])
    assert done_in_turn(database, 2) == [later, first[1]]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_whose_turn_it_is_is_read_in_an_index(database: Database) -> None:
    """Of what waits no row is read, and an owner's last start is the end of an index."""
    for table in ("runs", "evaluations"):
        group = "priority, owner, experiment_id"
        waiting = (
            f"SELECT {group}, min(id), min(created_at) FROM {table} "  # our own names
            f"WHERE status = 'queued' AND (not_before IS NULL OR not_before <= 1) GROUP BY {group}"
        )
        last = f"SELECT max(started_at) FROM {table} WHERE owner = 'ada'"  # our own names
        assert plan(database, waiting) == [f"SEARCH {table} USING COVERING INDEX ix_{table}_waiting (status=?)"]
        assert plan(database, last) == [f"SEARCH {table} USING COVERING INDEX ix_{table}_owner_started_at (owner=?)"]


def plan(database: Database, statement: str) -> list[str]:
    with database.reading() as session:
        return [row.detail for row in session.execute(text(f"EXPLAIN QUERY PLAN {statement}"))]


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


def claim_in(session: Session) -> Claim:
    held = turns.claim_next(session, "worker", LONG)
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

    def look_and_be_overtaken(session: Session) -> object:
        turn = look(session)
        if not looked:
            looked.append(turn)
            with database.writing() as other:
                controls.cancel(other, Run, Run.id == first)
        return turn

    monkeypatch.setattr(turns, "whose_turn", look_and_be_overtaken)
    assert claimed(database).id == second
    assert looked == [("run", first)]


def test_all_claims_wait_for_few_statements(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Ten, with the event and the experiment's status, however many experiments wait and run: each is a round trip."""
    for _ in range(3):
        submit(database, tiny_spec, 3)
    claimed(database)
    asked: list[str] = []
    with database.writing() as session:

        @event.listens_for(session.connection().engine, "before_cursor_execute")
        def note(*arguments: Any) -> None:
            asked.append(arguments[2])

        turns.claim_next(session, "worker", LONG)
    assert 0 < len(asked) <= 10, "\n".join(asked)
