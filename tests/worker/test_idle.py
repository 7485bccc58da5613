"""What a worker that has nothing to do asks of the database, again and again."""

from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import event

from gauntlet.spec.asked.webhooks import WebhookRequest
from gauntlet.spec.experiment import ExperimentSpec
from store import webhooks
from store.database import Database
from tests.store.recorded import train_and_evaluate
from worker.beside.reconciler import reconcile
from worker.beside.unpacker import Unpacker
from worker.beside.webhooks import deliver
from worker.presence import Announcer
from worker.processes import JobProcesses
from worker.settings import WorkerSettings


def test_each_look_is_a_question_or_few_and_writes_nothing(
    database: Database, database_url: str, tmp_path: Path, tiny_spec: ExperimentSpec
) -> None:
    """Also where there are jobs at work elsewhere and webhooks that know all; that it lives is what it writes."""
    settings = WorkerSettings(home=tmp_path, database_url=database_url, worker_name="here:1")
    train_and_evaluate(database, tiny_spec)
    with database.writing() as session:
        webhooks.create(session, WebhookRequest(url="https://example.org/", events=("alarm",)), None)
    announcer = Announcer(database, settings)
    announcer.tell()
    looks = {
        "reconciler": partial(reconcile, database, JobProcesses(settings, database), retry_s=1),
        "unpacker": Unpacker(database, settings).look,
        "webhooks": partial(deliver, database, ()),
    }
    asked: list[str] = []

    def note(*told: Any) -> None:
        # By which SQLite's transactions begin.
        if not told[2].startswith("BEGIN"):
            asked.append(told[2])

    event.listen(database._engine, "before_cursor_execute", note)
    counted = {}
    for name, look in looks.items():
        asked.clear()
        look()
        counted[name] = len(asked)
        assert all(statement.startswith("SELECT") for statement in asked), asked
    assert counted == {"reconciler": 3, "unpacker": 1, "webhooks": 1}
    asked.clear()
    announcer.tell()
    # PostgreSQL's lock, its row, and who lives.
    assert len(asked) == (2 if database_url.startswith("sqlite") else 3)
