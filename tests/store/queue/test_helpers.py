"""Who helps with which evaluation, and that no batch is taken twice."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select, update

from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database, db_now
from store.errors import LeaseLost
from store.models import Evaluation, EvaluationHelper, Event, Run, TakenBatch
from store.queue import helpers, jobs
from store.queue.helpers import Hand, Help
from store.queue.jobs import Claim
from store.shown import load
from store.subjects import evaluations
from store.subjects.evaluations import AttackedSet
from tests.evaluations import FGSM, batch, claimed, imported, queued, recorded
from tests.store.recorded import submit


def running(database: Database, **values: Any) -> Claim:
    """An evaluation that takes its worker a thousand seconds still."""
    held = claimed(
        database, queued(database, imported(database, "model"), FGSM, samples=40, batch_size=2, keep_images=4)
    )
    with database.writing() as session:
        evaluations.note_start(session, held, AttackedSet("d" * 64, 40), helpers.implementation("cpu"))
        session.execute(update(Evaluation).where(Evaluation.id == held.id).values({"eta_s": 1000.0} | values))
    return held


def help_with(
    database: Database, *, but_not: Sequence[str] = (), device: str = "cpu", lease_s: float = 60
) -> Help | None:
    with database.writing() as session:
        return helpers.claim(session, "idle", lease_s, device, but_not=but_not)


def helper_of(database: Database, held: Claim, lease_s: float = 60) -> Help:
    helped = help_with(database, lease_s=lease_s)
    assert helped is not None
    assert helped.evaluation == held.id
    return helped


def taken(database: Database, hand: Hand, numbers: Sequence[int], most: int) -> list[int]:
    with database.writing() as session:
        return helpers.take(session, hand, "natural", numbers, most)


def test_help_is_spread(database: Database) -> None:
    """It goes where the fewest are at work, and there to the higher priority and to what takes longer."""
    short, long = running(database, eta_s=500.0), running(database)
    urgent = running(database, eta_s=400.0, priority=0)
    order = [help_with(database) for _ in range(6)]
    assert [helped and helped.evaluation for helped in order] == [urgent.id, long.id, short.id] * 2
    with database.reading() as session:
        assert helpers.count(session, [short.id, long.id]) == {short.id: 2, long.id: 2}


@pytest.mark.parametrize(
    "values",
    [
        {"eta_s": None},
        {"eta_s": 19.0},
        {"cancel_requested": True},
        {"pause_requested": True},
        {"status": "queued"},
        {"implementation": "gauntlet 1, cpu"},
        {"crashes": 1},
        {"images": 4},
    ],
    ids=lambda values: next(iter(values)),
)
def test_not_everything_is_helped_with(database: Database, values: dict[str, Any]) -> None:
    """What ends soon, was asked to, crashed, keeps all pictures, or is computed otherwise, its worker does alone."""
    running(database, **values)
    assert help_with(database) is None


def test_help_is_of_the_same_kind(database: Database) -> None:
    """A GPU does not help a processor, whose random numbers are others; nor who was of no use before."""
    held = running(database)
    assert help_with(database, device="cuda") is None
    assert help_with(database, but_not=[held.id]) is None
    assert help_with(database) is not None


def test_hands_that_ask_at_once_take_no_batch_twice(database: Database) -> None:
    """Four take twenty batches one by one, each in a thread and with a connection of its own."""
    held = running(database)
    hands: list[Hand] = [held, *(helper_of(database, held) for _ in range(3))]

    def take_all(hand: Hand) -> list[int]:
        mine: list[int] = []
        while fresh := [number for number in taken(database, hand, range(20), len(mine) + 1) if number not in mine]:
            mine += fresh
        return mine

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(take_all, hands))
    assert sorted(number for mine in found for number in mine) == list(range(20))


def test_what_was_taken_is_free_once_its_helper_is_gone(database: Database) -> None:
    """Whether it left or its lease ran out; what it writes then touches nothing. What is recorded nobody takes."""
    held = running(database)
    leaving, dead = helper_of(database, held), helper_of(database, held, lease_s=-1)
    assert taken(database, leaving, range(4), 2) == [0, 1]
    assert taken(database, dead, range(4), 1) == [2]
    assert taken(database, held, range(4), 9) == [3]
    with database.writing() as session:
        evaluations.record_batch(session, leaving, batch("natural", 0, [0, 1], [0, 1]), seconds=1.0)
        helpers.leave(session, leaving)
        seen = helpers.look(session, held, known=())
    assert (seen.hands, seen.others, [row.batch for row in seen.found]) == (1, frozenset(), [0])
    assert taken(database, held, range(4), 9) == [1, 2, 3]
    for late in (leaving, dead):
        with pytest.raises(LeaseLost), database.writing() as session:
            evaluations.record_batch(session, late, batch("natural", 2, [4, 5], [4, 5]), seconds=1.0)
    with database.reading() as session:
        assert [row.batch for row in evaluations.batches(session, held.id)] == [0]


def test_another_attempt_frees_what_the_one_before_had_taken(database: Database) -> None:
    """Its helpers keep theirs, unless it attacks something else, where they are sent away."""
    held = running(database)
    helped = helper_of(database, held)
    assert taken(database, held, range(4), 2) == [0, 1]
    assert taken(database, helped, range(4), 1) == [2]
    with database.writing() as session:
        jobs.release(session, held, None)
    second = claimed(database, held.id)
    with database.writing() as session:
        evaluations.note_start(session, second, AttackedSet("d" * 64, 40), helpers.implementation("cpu"))
        assert list(session.scalars(select(TakenBatch.batch))) == [2]
        evaluations.note_start(session, second, AttackedSet("e" * 64, 40), helpers.implementation("cpu"))
        assert session.scalars(select(EvaluationHelper.id)).all() == []
        assert session.scalars(select(TakenBatch.batch)).all() == []


@pytest.mark.parametrize("crash", ["worker_lost", "out_of_memory"])
def test_after_a_crash_an_evaluation_is_alone(database: Database, crash: str) -> None:
    """Memory may have been short: its helpers leave while it waits, and none comes for a while, further as it gets."""
    held = running(database)
    leaving, unheard = helper_of(database, held), helper_of(database, held)
    assert taken(database, unheard, range(4), 1) == [0]
    with database.writing() as session:
        jobs.give_up(session, held, crash, "Too little.", retry_s=0)
    with pytest.raises(LeaseLost), database.writing() as session:
        helpers.renew(session, leaving, 60)
    second = claimed(database, held.id)
    with database.writing() as session:
        evaluations.note_start(session, second, AttackedSet("d" * 64, 40), helpers.implementation("cpu"))
        assert session.scalars(select(EvaluationHelper.id)).all() == []
    assert taken(database, second, range(4), 1) == [0]
    recorded(database, second, batch("natural", 0, [0, 1], [0, 1]))
    with database.writing() as session:
        session.execute(update(Evaluation).values(eta_s=1000.0))
        assert session.get_one(Evaluation, held.id).crashes == 0
    assert help_with(database) is None
    with database.writing() as session:
        session.execute(update(Event).values(created_at=Event.created_at - 1_801))
    assert help_with(database) is not None


def test_nothing_is_left_of_an_evaluation_that_ended(database: Database) -> None:
    """The sweeper forgets who helped with it, and what they had taken."""
    held = running(database)
    helped = helper_of(database, held)
    taken(database, helped, range(4), 1)
    taken(database, held, range(4), 1)
    with database.writing() as session:
        jobs.finish(session, held, "failed", "internal_error")
        helpers.forget_ended(session)
        assert session.scalars(select(EvaluationHelper.id)).all() == []
        assert session.scalars(select(TakenBatch.batch)).all() == []


@pytest.mark.parametrize("whose", ["run", "evaluation", "helper"])
def test_a_lease_that_ran_out_is_seen(database: Database, tiny_spec: ExperimentSpec, whose: str) -> None:
    """Whoever let it; not one that runs, or that something held which has ended."""
    _, run = submit(database, tiny_spec)
    held = running(database)
    helped = helper_of(database, held)
    rows: dict[str, tuple[Any, str]] = {
        "run": (Run, run.id),
        "evaluation": (Evaluation, held.id),
        "helper": (EvaluationHelper, helped.id),
    }

    def is_seen() -> bool:
        with database.looking() as session:
            return helpers.any_expired(session)

    model, identifier = rows[whose]
    assert not is_seen()
    with database.writing() as session:
        session.execute(update(model).where(model.id == identifier).values(lease_expires_at=db_now() - 1))
    assert is_seen()
    with database.writing() as session:
        for ended in (Run, Evaluation):
            session.execute(update(ended).values(status="failed"))
    assert is_seen() == (whose == "helper")


def test_who_helps_is_busy(database: Database) -> None:
    """Beside the worker that holds the evaluation, each that helps counts once; not whose lease ran out."""
    running(database)
    helped = [help_with(database), help_with(database)]
    assert all(helped)
    with database.reading() as session:
        assert load.read(session).busy_workers == 2
    with database.writing() as session:
        session.execute(update(EvaluationHelper).values(lease_expires_at=0))
    with database.reading() as session:
        assert load.read(session).busy_workers == 1
