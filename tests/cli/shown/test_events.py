"""`gauntlet events`: what happened, told while it happens."""

import json
import threading
from typing import Any

from sqlalchemy import select

from store.database import Database
from store.models import Run
from store.queue import controls
from tests.e2e.system import System


def test_what_happened_is_told_a_line_each(gauntlet: Any, system: System) -> None:
    """In order, with when and to what; as JSON for scripts."""
    experiment = system.client.submit({"preset": "quickstart", "seeds": [0]})
    lines = gauntlet("events", experiment.id).output.splitlines()
    assert lines[-1].endswith(f"{experiment.id} status: The experiment is queued.")
    values = json.loads(gauntlet("events", experiment.id, "--json").output)
    assert [value["message"] for value in values] == [line.partition(": ")[2] for line in lines]


def test_events_are_followed_to_their_subjects_end(gauntlet: Any, system: System, database: Database) -> None:
    """From the first to the last, one JSON value a line; the command ends with what it follows."""
    experiment = system.client.submit({"preset": "quickstart", "seeds": [0]})

    def cancel() -> None:
        with database.writing() as session:
            controls.cancel(session, Run, Run.experiment_id == experiment.id)

    later = threading.Timer(0.2, cancel)
    later.start()
    followed = [
        json.loads(line) for line in gauntlet("events", experiment.id, "--follow", "--json").output.splitlines()
    ]
    later.join()
    assert [event["kind"] for event in followed if event["subject"] == experiment.id] == ["queued", "cancelled"]
    with database.reading() as session:
        runs = session.scalars(select(Run.id).where(Run.experiment_id == experiment.id)).all()
    assert {event["subject"] for event in followed} == {experiment.id, *runs}
    assert [event["id"] for event in followed] == sorted({event["id"] for event in followed})
