"""Experiments found and sorted, on both databases."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from sqlalchemy import Select, delete, text
from sqlalchemy.dialects import sqlite

from gauntlet.spec.asked.requests import ExperimentPatch
from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database
from store.models import Evaluation, Experiment, Run
from store.queue import controls, jobs
from store.queue.jobs import JobModel
from store.shown import experiment_lists
from store.shown.experiment_lists import Order, Wanted
from store.subjects import annotations, experiments, runs
from tests.store.recorded import submit, train_and_evaluate

# Names, owners and labels of experiments that are made one after the other.
MADE = [
    ("Ärger", "ada", ("a",)),
    ("ärger 2", "bob", ("a", "b")),
    ("50% of it", None, ()),
    ("x_y", "ada", ("b",)),
    ("xzy", "ada", ("a", "b")),
    ("x_y", "bob", ()),
]

_MOMENT = datetime(2026, 11, 27, tzinfo=UTC)


@pytest.fixture
def made(database: Database, tiny_spec: ExperimentSpec) -> list[str]:
    """Their ids; the last two were cancelled."""
    identifiers = []
    for name, owner, labels in MADE:
        spec = tiny_spec.model_copy(update={"name": name})
        with database.writing() as session:
            identifiers.append(experiments.create(session, spec, None, owner=owner, labels=labels)[0].id)
    for identifier in identifiers[-2:]:
        with database.writing() as session:
            experiments.cancel(session, identifier)
    return identifiers


def pages(database: Database, wanted: Wanted, order: Order = "-created_at", limit: int = 100) -> Iterator[list[str]]:
    after = None
    while True:
        with database.reading() as session:
            page = experiment_lists.page(session, wanted, order=order, after=after, limit=limit)
        yield [row.id for row in page.rows]
        if not page.has_more:
            return
        after = experiment_lists.cursor(page.rows[-1], order)


def found(database: Database, **wanted: Any) -> list[str]:
    (page,) = pages(database, Wanted(**wanted), "created_at")
    return page


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"statuses": ["cancelled"]}, [4, 5]),
        ({"statuses": ["cancelled", "queued"]}, [0, 1, 2, 3, 4, 5]),
        ({"statuses": ["failed"]}, []),
        ({"owner": "ada"}, [0, 3, 4]),
        ({"labels": ["a"]}, [0, 1, 4]),
        ({"labels": ["a", "b"]}, [1, 4]),
        ({"name": "ÄRG"}, [0, 1]),
        ({"name": "%"}, [2]),
        ({"name": "X_"}, [3, 5]),
        ({"name": "\\"}, []),
        ({"name": "y", "owner": "ada", "labels": ["b"], "statuses": ["queued"]}, [3]),
    ],
    ids=str,
)
def test_what_is_looked_for_is_found(
    database: Database, made: list[str], wanted: dict[str, Any], places: list[int]
) -> None:
    """By status, owner, all labels, and a part of the name in any case, in which no sign stands for another."""
    assert found(database, **wanted) == [made[place] for place in places]


def test_what_was_made_between_two_moments_is_found(database: Database, made: list[str]) -> None:
    """From the one on and before the other, as moments are shown: the first of them counts, the last does not."""
    with database.reading() as session:
        rows = [experiments.get(session, identifier) for identifier in made]
        shown = [each.created_at for each in experiments.show(session, rows)]
    assert len(set(shown)) == len(made)
    assert found(database, since=shown[2]) == made[2:]
    assert found(database, until=shown[2]) == made[:2]
    assert found(database, since=shown[1], until=shown[4], owner="ada") == [made[3]]


@pytest.mark.parametrize("order", get_args(Order))
def test_pages_in_any_order_have_everything_once(database: Database, made: list[str], order: Order) -> None:
    """Equal names and statuses are told apart by the time."""
    rank = dict(zip(made, [4, 5, 0, 1, 3, 2], strict=True))  # % before x, _ before z, ä after both
    key = {"created_at": made.index, "name": rank.__getitem__, "status": lambda each: (made.index(each) < 4, each)}
    ordered = sorted(made, key=key[order.lstrip("-")], reverse=order.startswith("-"))
    paged = list(pages(database, Wanted(), order, limit=4))
    assert [len(page) for page in paged] == [4, 2]
    if order.endswith("name"):  # where a letter beyond ASCII stands is the database's
        known = [each for each in ordered if rank[each] < 4]
        assert [each for page in paged for each in page if rank[each] < 4] == known
        assert sorted(each for page in paged for each in page) == sorted(made)
    else:
        assert [each for page in paged for each in page] == ordered


def test_a_cursor_stays_where_it_is(database: Database, made: list[str]) -> None:
    """Though its experiment is renamed, or gone."""
    paged = pages(database, Wanted(), "name", limit=3)
    first = next(paged)
    with database.writing() as session:
        annotations.change_experiment(session, experiments.get(session, first[-1]), ExperimentPatch(name="zzz"))
    rest = [each for page in paged for each in page]
    assert set(made) == {*first, *rest}
    assert [each for each in rest if each != first[-1]] == [each for each in rest if each not in first]
    paged = pages(database, Wanted(), "status", limit=3)
    first = next(paged)
    with database.writing() as session:
        session.execute(delete(Run).where(Run.experiment_id == first[-1]))
        session.execute(delete(Experiment).where(Experiment.id == first[-1]))
    assert {*first, *(each for page in paged for each in page)} == set(made)


def test_the_status_is_that_of_the_jobs(database: Database, tiny_spec: ExperimentSpec) -> None:
    """After every step of their life what is searched is what is shown."""

    def stands(identifier: str) -> str:
        with database.reading() as session:
            row = experiments.get(session, identifier)
            (shown,) = experiments.show(session, [row])
        assert row.status == shown.status
        return shown.status

    experiment, held = submit(database, tiny_spec)
    seen = [stands(experiment)]
    for step in (
        lambda session: jobs.release(session, held, "worker_shutdown"),
        lambda session: controls.pause(session, Run, Run.id == held.id),
        lambda session: controls.resume(session, Run, Run.id == held.id),
        lambda session: experiments.cancel(session, experiment),
    ):
        with database.writing() as session:
            step(session)
        seen.append(stands(experiment))
    assert seen == ["running", "queued", "paused", "queued", "cancelled"]
    other, evaluation = train_and_evaluate(database, tiny_spec)
    assert stands(other) == "running"
    with database.writing() as session:
        jobs.finish(session, evaluation, "failed", "internal_error")
    assert stands(other) == "failed"


def test_runs_are_found_by_status(database: Database, made: list[str]) -> None:
    """Of all experiments or one."""
    with database.reading() as session:
        cancelled = runs.page(session, experiment=None, statuses=["cancelled"], after=None, limit=10).rows
        of_one = runs.page(session, experiment=made[0], statuses=["cancelled"], after=None, limit=10).rows
    assert {run.experiment_id for run in cancelled} == set(made[-2:])
    assert of_one == []


@pytest.mark.parametrize("order", ["-created_at", "name", "-status"])
@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(),
        Wanted(["failed"]),
        Wanted(["failed", "running"]),
        Wanted(owner="ada"),
        Wanted(name="x"),
        Wanted(["failed"], "ada", name="x"),
        Wanted(since=_MOMENT, until=_MOMENT),
    ],
    ids=str,
)
def test_a_page_is_found_without_reading_experiments(sqlite_url: str, wanted: Wanted, order: Order) -> None:
    """In an index alone, whatever is looked for; and in its order, where one thing or nothing is."""
    statement = experiment_lists.identifiers(wanted, order=order, after="exp_1" if "created" in order else "exp_1.61")
    plan = planned(sqlite_url, statement.limit(21))
    assert plan[0].startswith("SEARCH experiments USING COVERING INDEX")
    if replace(wanted, name=None, since=None, until=None) == Wanted() or (
        order == "-created_at" and len(wanted.statuses) < 2
    ):
        assert len(plan) == 1


@pytest.mark.parametrize("model", [Run, Evaluation])
def test_jobs_are_counted_without_reading_them(sqlite_url: str, model: JobModel) -> None:
    """In an index alone, and in the order in which they are grouped."""
    table = model.__tablename__
    found = f"SEARCH {table} USING COVERING INDEX ix_{table}_standing (experiment_id=?)"
    assert planned(sqlite_url, experiments.counted(model, ["exp_1", "exp_2"])) == [found]


def planned(sqlite_url: str, statement: Select[Any]) -> list[str]:
    written = statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    database = Database(sqlite_url)
    with database.reading() as session:
        plan = [row[3] for row in session.execute(text(f"EXPLAIN QUERY PLAN {written}"))]
    database.close()
    return plan
