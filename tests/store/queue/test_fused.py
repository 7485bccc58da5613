"""Runs that are claimed together: which, how many, and what is one slot; on both databases."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.presets import overlay
from store.database import Database
from store.models import Run
from store.queue import fused, jobs, turns
from store.queue.jobs import Claim
from store.subjects import experiments
from store.subjects import runs as subjects
from tests.postgres import await_lock

LONG = 60.0


def of_runs(database: Database, spec: ExperimentSpec, owner: str | None = None, **changes: object) -> list[str]:
    """The runs of an experiment like `spec`."""
    changed = ExperimentSpec.model_validate(overlay(spec.model_dump(mode="json"), changes))
    with database.writing() as session:
        return experiments.create(session, changed, None, owner=owner)[1]


def claim(database: Database, most: int = 4) -> list[str]:
    with database.writing() as session:
        return [held.id for held in fused.claim_next(session, "worker", LONG, most=most)]


def crash(database: Database, run: str, crashes: int) -> None:
    with database.writing() as session:
        session.execute(update(Run).where(Run.id == run).values(crashes=crashes))


def test_kin_of_one_experiment_are_claimed_together(database: Database, tiny_spec: ExperimentSpec) -> None:
    """The older first and as many as are wanted; what is no kin, of another priority or experiment, is not of them."""
    objectives = [{"kind": "cross_entropy"}, {"kind": "trades"}, {"kind": "policy_gradient"}]
    runs = of_runs(database, tiny_spec, objectives=objectives, seeds=[0, 1])
    other = of_runs(database, tiny_spec, seeds=[0, 1])
    entropy, trades, policy = runs[:2], runs[2:4], runs[4:]
    with database.writing() as session:
        session.execute(update(Run).where(Run.id == policy[1]).values(priority=0))
    assert claim(database, most=1) == [policy[1]]
    assert claim(database, most=8) == other
    assert claim(database, most=2) == entropy
    assert [claim(database, most=2) for _ in range(4)] == [trades[:1], trades[1:], policy[:1], []]


def test_each_has_an_attempt_and_a_lease_of_its_own(database: Database, tiny_spec: ExperimentSpec) -> None:
    """One that leaves takes nothing from the other, and is claimed by itself the next time."""
    runs = of_runs(database, tiny_spec, seeds=[0, 1])
    with database.writing() as session:
        first, second = fused.claim_next(session, "worker", LONG, most=2)
    assert [first, second] == [Claim("run", run, 1, first.experiment) for run in runs]
    with database.writing() as session:
        jobs.release(session, second, None)
        assert jobs.renew(session, first, LONG, None) is None
        again = fused.claim_next(session, "worker", LONG, most=2)
        assert again == (Claim("run", second.id, 2, first.experiment),)
        assert [session.get_one(Run, run).fused_with for run in runs] == [None, None]


@pytest.mark.parametrize("crashed", [0, 1])
def test_who_may_crash_only_once_more_is_trained_alone(
    database: Database, tiny_spec: ExperimentSpec, crashed: int
) -> None:
    """Whoever's turn it is; after one crash runs are together still."""
    runs = of_runs(database, tiny_spec, seeds=[0, 1, 2])
    crash(database, runs[crashed], 2)
    crash(database, runs[2], 1)
    together = [run for run in runs if run != runs[crashed]]
    assert sorted([claim(database), claim(database)]) == sorted([[runs[crashed]], together])


def test_runs_that_are_computed_as_one_take_one_slot(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Three of Ada's are one slot to two of Bob's, so the next is hers; then it is a tie, and he has waited longer."""
    ada = of_runs(database, tiny_spec, "ada", seeds=[0, 1, 2])
    assert claim(database) == ada
    bob = of_runs(database, tiny_spec, "bob", seeds=[0, 1, 2])
    assert [claim(database, most=1), claim(database, most=1)] == [bob[:1], bob[1:2]]
    more = of_runs(database, tiny_spec, "ada", seeds=[0, 1])
    with database.reading() as session:
        assert turns.whose_turn(session) == ("run", more[0])
    assert claim(database, most=1) == more[:1]
    with database.reading() as session:
        assert turns.whose_turn(session) == ("run", bob[2])


def test_a_run_that_is_claimed_anew_shares_no_slot_with_those_it_left(
    database: Database, tiny_spec: ExperimentSpec
) -> None:
    """It takes one and they go on in another, named after their oldest: Ada has two to Bob's one, so it is his turn."""
    ada = of_runs(database, tiny_spec, "ada", seeds=[0, 1, 2])
    with database.writing() as session:
        first, *_ = fused.claim_next(session, "worker", LONG, most=3)
        jobs.release(session, first, None)
    assert claim(database) == ada[:1]
    with database.reading() as session:
        assert [session.get_one(Run, run).fused_with for run in ada] == [None, None, ada[1]]
    of_runs(database, tiny_spec, "ada")
    bob = of_runs(database, tiny_spec, "bob", seeds=[0, 1])
    assert claim(database, most=1) == bob[:1]
    with database.reading() as session:
        assert turns.whose_turn(session) == ("run", bob[1])


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("ask", "column", "asked"),
    [
        (experiments.cancel, Run.cancel_requested, True),
        (experiments.pause, Run.pause_requested, True),
        (partial(experiments.prioritise, priority="low"), Run.priority, 2),
    ],
)
def test_who_asks_something_of_all_runs_and_who_claims_them_do_not_wait_crosswise(
    database: Database,
    tiny_spec: ExperimentSpec,
    ask: Callable[[Session, str], object],
    column: InstrumentedAttribute[object],
    asked: object,
) -> None:
    """The older first, as in a claim, wherever their rows lie: those that are written anew lie last."""
    first, second = of_runs(database, tiny_spec, seeds=[0, 1])
    with database.writing() as session:
        session.execute(update(Run).where(Run.id == first).values(priority=0))
    with database.reading() as session:
        assert session.scalars(select(Run.id)).all() == [second, first]
        experiment = subjects.get(session, first).experiment_id

    def also() -> None:
        with database.writing() as session:
            ask(session, experiment)

    with ThreadPoolExecutor(1) as pool:
        with database.writing() as session:
            assert jobs.claim(session, "run", first, "worker", LONG) is not None
            late = pool.submit(also)
            await_lock(database)
            assert jobs.claim(session, "run", second, "worker", LONG) is not None
        late.result()
    with database.reading() as session:
        assert session.execute(select(Run.status, column).distinct()).all() == [("running", asked)]
