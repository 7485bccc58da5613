"""A database whose jobs wait, run or are paused is upgraded from any version, and the jobs go on."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, MetaData, insert, select, update

from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database, alembic_config, engine_for_migrations
from store.models import Base, EpochMetrics, Evaluation, EvaluationBatch, Experiment, Run, new_id
from store.queue import jobs, turns
from store.queue.jobs import Claim
from store.subjects import evaluations, experiments, runs
from tests.evaluations import imported, queued

pytestmark = [pytest.mark.long(seconds=15), pytest.mark.thorough]

AT_ONCE, AN_HOUR = 1e-9, 3_600.0
# Whatever stands on a row comes after it.
TABLES = ("experiments", "checkpoints", "runs", "epoch_metrics", "evaluations", "evaluation_batches")
# Evaluations of the first schema say too little to be kept (test_migrations).
NO_EVALUATIONS = "2026_11_22_first_schema"

Rows = Mapping[str, list[dict[str, Any]]]


def _begun(database: Database, spec: ExperimentSpec) -> None:
    """A run and an evaluation of each status; those that run have got somewhere, and their worker is dead."""
    for status in ("queued", "running", "paused"):
        with database.writing() as session:
            (run,) = experiments.create(session, spec, None)[1]
        evaluation = queued(database, imported(database, status))
        with database.writing() as session:
            for model, identifier in ((Run, run), (Evaluation, evaluation)):
                changes: dict[str, Any] = {"status": status, "attempt": int(status != "queued")}
                if status == "running":
                    changes |= {"worker": "dead", "lease_expires_at": 1.0, "started_at": 1.0}
                if model is Run and status != "queued":
                    changes |= {"resume_path": f"{run}/attempt-1/state", "resume_sha256": "a" * 64}
                session.execute(update(model).where(model.id == identifier).values(changes))
            if status != "queued":
                session.add(EpochMetrics(run_id=run, epoch=1, metrics={}, seconds=1.0, images_per_second=1.0))
                result = {"images": [1], "labels": [0], "predicted": [0], "n": 1, "correct": 1}
                bounds = {"first_image": 1, "last_image": 1, "seconds": 1.0}
                session.add(EvaluationBatch(evaluation_id=evaluation, stage="natural", batch=0, **result, **bounds))


def _all_rows(engine: Engine) -> Rows:
    with engine.connect() as connection:
        return {
            name: [dict(row) for row in connection.execute(select(Base.metadata.tables[name])).mappings()]
            for name in TABLES
        }


def _anew(rows: Rows) -> Rows:
    """The same under other ids."""
    ids = {row["id"]: new_id(row["id"].partition("_")[0]) for name in TABLES for row in rows[name] if "id" in row}
    return {
        name: [
            {key: ids.get(value, value) if isinstance(value, str) else value for key, value in row.items()}
            for row in found
        ]
        for name, found in rows.items()
    }


def _insert(engine: Engine, rows: Rows, revision: str) -> Iterator[tuple[str, str]]:
    """Have the rows in a database of that revision, with the columns that it had; the jobs among them, by status."""
    there = MetaData()
    there.reflect(engine, only=lambda name, _: name in TABLES, resolve_fks=False)
    dropped: set[str] = set()
    with engine.begin() as connection:
        for name in TABLES:
            if revision == NO_EVALUATIONS and name in ("checkpoints", "evaluations", "evaluation_batches"):
                continue
            table = there.tables[name]
            for row in rows[name]:
                of = row.get("run_id") or row.get("evaluation_id")
                if of in dropped or (row.get("status") == "paused" and "pause_requested" not in table.columns):
                    dropped.add(row.get("id", ""))
                    continue
                had = {key: value for key, value in row.items() if key in table.columns}
                connection.execute(insert(table).values(had))
                if name in ("runs", "evaluations"):
                    yield row["id"], row["status"]


def _upgraded_step_by_step(url: str, add: Callable[[str], Iterable[tuple[str, str]]]) -> tuple[dict[str, str], int]:
    """Walk the history from its beginning; jobs are added at each revision. They all, and how many revisions."""
    config = alembic_config(url)
    revisions = [each.revision for each in ScriptDirectory.from_config(config).walk_revisions()][::-1]
    command.downgrade(config, "base")
    added: dict[str, str] = {}
    for revision in revisions:
        command.upgrade(config, revision)
        added |= dict(add(revision))
    return added, len(revisions)


def test_jobs_of_every_earlier_version_go_on(database_url: str, tiny_spec: ExperimentSpec) -> None:
    """What waits starts, what a dead worker held is taken over with all that it had, what is paused is resumed."""
    database = Database(database_url)
    _begun(database, tiny_spec)
    engine = engine_for_migrations(database_url)
    rows = _all_rows(engine)
    database.close()
    added, revisions = _upgraded_step_by_step(database_url, lambda revision: _insert(engine, _anew(rows), revision))
    engine.dispose()
    assert len(added) > 5 * revisions

    database = Database(database_url)
    with database.writing() as session:
        taken_back = {
            identifier: status
            for model in jobs.JOB_MODELS.values()
            for identifier, status in jobs.reclaim_expired(session, model, retry_s=AT_ONCE).items()
        }
        for identifier in (each for each, status in added.items() if status == "paused"):
            (runs if identifier.startswith("run_") else evaluations).resume(session, identifier)
    assert taken_back == {identifier: "queued" for identifier, status in added.items() if status == "running"}
    held: list[Claim] = []
    with database.writing() as session:
        while (claim := turns.claim_next(session, "new", AN_HOUR)) is not None:
            held.append(claim)
    assert {claim.id for claim in held} == set(added)
    with database.reading() as session:
        for claim in held:
            was = added[claim.id]
            job = session.get_one(jobs.JOB_MODELS[claim.kind], claim.id)
            assert isinstance(job, Run | Evaluation)
            assert (job.status, job.attempt, job.crashes) == ("running", claim.token, int(was == "running"))
            assert claim.token == (1 if was == "queued" else 2)
            if isinstance(job, Run):
                done = len(runs.metrics_page(session, claim.id, after=None, limit=10).rows)
                assert (job.resume_path is None) == (was == "queued")
            else:
                done = len(evaluations.batches(session, claim.id))
            assert done == int(was != "queued")
        standing = session.scalars(select(Experiment.status).where(Experiment.id.in_(select(Run.experiment_id)))).all()
    assert set(standing) == {"running"}
    for claim in held:
        assert database.write(partial(jobs.renew, held=claim, lease_s=AN_HOUR, progress=None), patience_s=10) is None
    database.close()
