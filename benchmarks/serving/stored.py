"""A database with something in it: an experiment that a worker's own code did, and as many more like it as wanted."""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

import torch
from sqlalchemy import Table, column, insert, select, table, text
from sqlalchemy.orm import Session

from gauntlet.spec.experiment import ExperimentSpec
from service.settings import ServiceSettings
from store.database import Database
from store.models import Base, Checkpoint, EvaluationBatch, Run, new_id
from store.queue import jobs
from store.queue.jobs import JobKind
from store.subjects import experiments
from worker.jobs.evaluation_job import evaluate_checkpoint
from worker.jobs.heartbeat import Heartbeat, beating
from worker.jobs.training_job import train_run
from worker.settings import WorkerSettings

_AT_ONCE = 500
SMALL: dict[str, Any] = {
    "name": "small",
    "dataset": {"name": "digits", "train_samples": 96},
    "objectives": [{"kind": "cross_entropy"}, {"kind": "policy_gradient"}],
    "adversary": {"kind": "fgsm", "eps": "8/255"},
    "training": {"epochs": 2, "checkpoint_every": 1},
    "evaluation": {"attacks": [{"kind": "fgsm", "eps": "8/255"}], "samples": 16, "batch_size": 8},
}


def do_an_experiment(settings: ServiceSettings, spec: Mapping[str, Any] = SMALL) -> str:
    """An experiment, trained and evaluated in this process; returns its id."""
    database = Database(settings.database_url)
    with database.writing() as session:
        experiment, runs = experiments.create(session, ExperimentSpec.model_validate(spec), None)
        identifier = experiment.id
    for run in runs:
        for evaluation in _do(database, settings, "run", run):
            _do(database, settings, "evaluation", evaluation)
    database.close()
    return identifier


def queue_an_experiment(settings: ServiceSettings) -> str:
    """An experiment of ten runs that nobody works on; returns its id."""
    database = Database(settings.database_url)
    with database.writing() as session:
        spec = ExperimentSpec.model_validate({"preset": "quickstart", "seeds": list(range(5))})
        identifier = experiments.create(session, spec, None)[0].id
    database.close()
    return identifier


def _do(database: Database, settings: ServiceSettings, kind: JobKind, job: str) -> list[str]:
    worker = WorkerSettings(
        home=settings.home, database_url=settings.database_url, broker_url=settings.broker_url, threads=1
    )
    with database.writing() as session:
        held = jobs.claim(session, kind, job, worker.worker_name, worker.lease_s)
    assert held is not None
    device = torch.device("cpu")
    with beating(Heartbeat(database, held, worker)) as (heartbeat,):
        if kind == "run":
            return list(train_run(database, held, worker, heartbeat, device))
        evaluate_checkpoint(database, held, worker, heartbeat, device)
    return []


def copy_experiment(settings: ServiceSettings, experiment: str, copies: int) -> list[str]:
    """Store the experiment so many times more, with its runs, checkpoints, evaluations and all that they have recorded.

    Every row that names one of its ids comes along, with new ids in their places, in columns and in documents; so does
    the digest of its checkpoints' weights, by which they count as other weights. The files are shared, and so are not
    what those digests say. Returns the copies' ids in the order in which they were made.
    """
    database = Database(settings.database_url)
    made: list[str] = []
    with database.reading() as session:
        rows, known = _belonging(session, {experiment})
        weights = [row["sha256"] for row in rows[Base.metadata.tables[Checkpoint.__tablename__]]]
    for start in range(0, copies, _AT_ONCE):
        with database.writing() as session:
            renamed = []
            for _ in range(start, min(start + _AT_ONCE, copies)):
                names = {name: new_id(name.partition("_")[0]) for name in known}
                made.append(names[experiment])
                renamed.append(names | {each: sha256(f"{made[-1]} {each}".encode()).hexdigest() for each in weights})
            for each, originals in rows.items():
                # Without its types, so that documents stay the text that they are.
                plain = table(each.name, *(column(of.name) for of in each.columns))
                for copied in _copied(originals, renamed):
                    session.execute(insert(plain), copied)
    database.close()
    return made


def add_runs(settings: ServiceSettings, experiment: str, copies: int) -> None:
    """Give the experiment its runs so many times more, with all that is theirs, under other seeds."""
    database = Database(settings.database_url)
    with database.reading() as session:
        runs = session.scalars(select(Run.id).where(Run.experiment_id == experiment)).all()
        rows, known = _belonging(session, set(runs))
    with database.writing() as session:
        renamed = [{name: new_id(name.partition("_")[0]) for name in known} for _ in range(copies)]
        for each, originals in rows.items():
            plain = table(each.name, *(column(of.name) for of in each.columns))
            for copied in _copied(originals, renamed):
                if each.name == Run.__tablename__:
                    for number, row in enumerate(copied, 1):
                        row |= {"ordinal": row["ordinal"] + number * len(runs), "seed": row["seed"] + number}
                session.execute(insert(plain), copied)
    database.close()


def add_images(settings: ServiceSettings, evaluation: str, copies: int) -> None:
    """Give the evaluation its images so many times more, as if its test set were so much larger."""
    database = Database(settings.database_url)
    batches = select(EvaluationBatch.__table__).where(EvaluationBatch.evaluation_id == evaluation)
    with database.writing() as session:
        rows = [dict(row) for row in session.execute(batches).mappings()]
        images = 1 + max(row["last_image"] for row in rows)
        count = 1 + max(row["batch"] for row in rows)
        for number in range(1, copies + 1):
            further = number * images
            moved = [
                row
                | {"batch": row["batch"] + number * count, "images": [image + further for image in row["images"]]}
                | {"first_image": row["first_image"] + further, "last_image": row["last_image"] + further}
                for row in rows
            ]
            session.execute(insert(EvaluationBatch), moved)
    database.close()


def _belonging(session: Session, of: set[str]) -> tuple[dict[Table, list[dict[str, Any]]], list[str]]:
    """What belongs to these: the rows, by table in the order in which these refer to one another, and all ids."""
    known = set(of)
    rows: dict[Table, list[dict[str, Any]]] = {}
    for each in Base.metadata.sorted_tables:
        # As the database has them: documents are text.
        found = [dict(row) for row in session.execute(select(text("*")).select_from(each)).mappings()]
        rows[each] = [
            row for row in found if known.intersection(value for value in row.values() if isinstance(value, str))
        ]
        known |= {row["id"] for row in rows[each] if isinstance(row.get("id"), str)}
    return rows, sorted(known)


def _copied(
    originals: Sequence[Mapping[str, Any]], renamed: Sequence[Mapping[str, str]]
) -> Iterator[list[dict[str, Any]]]:
    """The copies of each row, with other names wherever one stands."""
    for row in originals:
        # A number is given anew by the database.
        kept = {key: None if key == "id" and isinstance(value, int) else value for key, value in row.items()}
        texts = {key: value for key, value in kept.items() if isinstance(value, str)}
        named = {key: [name for name in renamed[0] if name in value] for key, value in texts.items()}
        yield [kept | {key: _renamed(texts[key], known, names) for key, known in named.items()} for names in renamed]


def _renamed(value: str, known: Sequence[str], names: Mapping[str, str]) -> str:
    for name in known:
        value = value.replace(name, names[name])
    return value
