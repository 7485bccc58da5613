"""What an attempt tells of itself: few spans, however much it does."""

import pytest

from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database
from store.models import Run
from store.queue import jobs
from store.queue.helpers import Help
from store.queue.jobs import Claim
from store.subjects import experiments
from store.traces import attempts
from store.traces.spans import ASKED, Asked, Span
from worker.jobs.course import Course
from worker.settings import WorkerSettings

PLACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def database(settings: WorkerSettings) -> Database:
    return Database(settings.database_url)


@pytest.fixture
def held(database: Database, tiny_spec: ExperimentSpec) -> Claim:
    """A claimed run that was queued within a trace."""
    before = ASKED.set(Asked(PLACE))
    with database.writing() as session:
        (run,) = experiments.create(session, tiny_spec, None)[1]
    ASKED.reset(before)
    with database.writing() as session:
        held = jobs.claim(session, "run", run, "here:1", 60.0)
    assert held is not None
    return held


@pytest.mark.parametrize(("epochs", "most"), [(1, 1), (8, 8), (9, 9), (220, 39), (30_000, 95)])
def test_the_spans_grow_as_the_number_of_epochs_has_digits(
    database: Database, held: Claim, epochs: int, most: int
) -> None:
    """The first eight are one each, the next are of two, then of four; together they are all epochs, in order."""
    told: list[Span] = []
    course = Course(held, "here:1", told.append)
    for epoch in range(1, epochs + 1):
        course.done(epoch)
    course.end(database)
    firsts = [span.attributes["gauntlet.first"] for span in told]
    lasts = [span.attributes.get("gauntlet.last", span.attributes["gauntlet.first"]) for span in told]
    assert len(told) == most
    assert (firsts[0], lasts[-1]) == (1, epochs)
    assert [int(first) for first in firsts[1:]] == [int(last) + 1 for last in lasts[:-1]]
    assert sum(int(span.attributes["gauntlet.count"]) for span in told) == epochs


def test_the_parts_of_a_stretch_are_one_span_each(database: Database, held: Claim) -> None:
    """Below it, with how often each was done; what is left at the end is told, too."""
    told: list[Span] = []
    course = Course(held, "here:1", told.append)
    course.prepared()
    for _ in range(3):
        with course.part("record rows"):
            pass
    course.done(1)
    with course.part("write files"):
        pass
    course.end(database)
    names = [(span.name, span.attributes.get("gauntlet.count")) for span in told]
    assert names == [("prepare", None), ("epochs", 1), ("record rows", 3), ("end", None), ("write files", 1)]
    _, first, rows, rest, files = told
    assert (rows.parent, files.parent) == (first.place, rest.place)
    assert {first.parent, rest.parent} == {attempts.place_of(held)}
    assert first.began <= rows.began <= rows.ended <= first.ended


def test_an_attempt_is_told_by_its_events(database: Database, held: Claim) -> None:
    """When it waited and was claimed, and how it ended, once; whoever else tells of it tells the same."""
    told: list[Span] = []
    course = Course(held, "here:1", told.append)
    course.begin(database)
    with database.writing() as session:
        jobs.give_up(session, held, "storage", "The disk of sir bors is full.", retry_s=1.0)
    course.end(database)
    course.end(database)
    queued, attempt = told
    assert (queued.name, queued.parent, attempt.parent) == ("queued", PLACE, PLACE)
    assert queued.ended == pytest.approx(attempt.began, abs=0.5)
    assert (attempt.name, attempt.error, attempt.place) == ("run attempt", "storage", attempts.place_of(held))
    said = {"gauntlet.status": "queued", "gauntlet.status_reason": "storage", "gauntlet.worker": "here:1"}
    assert said.items() <= attempt.attributes.items()
    assert "bors" not in repr(told)
    with database.reading() as session:
        (again,) = attempts.ended(session, held)
    assert (again.place, again.attributes, again.error) == (attempt.place, attempt.attributes, attempt.error)


@pytest.mark.parametrize("reason", ["worker_shutdown", None])
def test_an_attempt_that_was_stopped_in_order_has_no_error(database: Database, held: Claim, reason: str | None) -> None:
    """A shutdown, or a pause that was taken back, is no fault."""
    with database.writing() as session:
        jobs.release(session, held, reason)
    with database.reading() as session:
        (attempt,) = attempts.ended(session, held)
    assert (attempt.error, attempt.attributes["gauntlet.status"]) == (None, "queued")


def test_a_lost_attempt_is_known_to_whoever_takes_its_job_back(database: Database, held: Claim) -> None:
    """With the place that its own process gives it."""
    with database.writing() as session:
        jobs.renew(session, held, -1.0, None)
        taken = jobs.reclaim_expired(session, Run, retry_s=1.0)
        assert attempts.lost(session, Run, taken) == [held]
    with database.reading() as session:
        (attempt,) = attempts.ended(session, held)
    assert (attempt.place, attempt.error) == (attempts.place_of(held), "worker_lost")


def test_an_attempt_that_goes_on_is_not_told(database: Database, held: Claim) -> None:
    """As where the process is to end although its job is not over."""
    with database.reading() as session:
        assert list(attempts.ended(session, held)) == []


def test_a_job_without_a_trace_tells_nothing(database: Database) -> None:
    """It was queued while traces were off."""
    told: list[Span] = []
    course = Course(Claim("run", "run_1", 1), "here:1", told.append)
    course.begin(database)
    course.prepared()
    course.done(1)
    course.end(database)
    assert told == []


def test_a_helper_tells_what_it_computed(database: Database) -> None:
    """In the evaluation's trace: stretches of attacks, and its own span."""
    told: list[Span] = []
    course = Course(Help("help_1", "eval_1", None, PLACE), "here:1", told.append)
    for attack in ("natural", "natural", "fgsm"):
        course.visit(attack, ago_s=0.0)
    course.end(database)
    natural, fgsm, helped = told
    assert [span.attributes.get("gauntlet.first") for span in (natural, fgsm)] == ["natural", "fgsm"]
    # Beside it, as it may be killed at any moment, and is then not told of.
    assert {natural.parent, fgsm.parent} == {PLACE}
    assert (helped.name, helped.parent, helped.attributes["gauntlet.batches"]) == ("help", PLACE, 3)
