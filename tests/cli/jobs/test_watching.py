"""Following jobs without a screen: a line for each thing that happens, through a restart of the service too."""

import re
import threading
from pathlib import Path

from sqlalchemy import update

from cli.jobs.lines import Lines
from cli.jobs.watched import Watched
from cli.jobs.watching import watch_evaluations
from gauntlet.resources import EpochMetrics
from store.database import Database
from store.models import Run
from tests.cli.conftest import file, written
from tests.e2e.system import System, await_that, kill_group
from tests.evaluations import finished, imported, queued


def told(text: str) -> list[str]:
    """The lines without their times, each of which it must have."""
    lines = text.splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d  ", line) for line in lines)
    return [line[10:] for line in lines]


def epoch(number: int) -> EpochMetrics:
    accuracies = {"train_accuracy": 0.5, "test_accuracy": 0.25, "test_fgsm_accuracy": 0.125, "mean_confidence": 0.9}
    return EpochMetrics(epoch=number, metrics=accuracies, seconds=number * 6.0, images_per_second=1)


def test_epochs_and_the_end_of_a_run_are_told_once(system: System, database: Database) -> None:
    """Each epoch with its accuracies and seconds; a failure with its reason in full; nothing where nothing changed."""
    experiment = system.client.submit({"preset": "quickstart", "objectives": [{"kind": "cross_entropy"}]})
    known = [epoch(1), epoch(2), epoch(3)]
    console = file()
    view = Lines(console, lambda _run, after: [row for row in known[:seen] if row.epoch > after])

    def look(**changed: object) -> None:
        with database.writing() as session:
            session.execute(update(Run).where(Run.experiment_id == experiment.id).values(**changed))
        for _ in range(2):
            (run,) = system.client.runs(experiment.id)
            view.show([Watched("cross-entropy, seed 0", run)])

    seen = 0
    look(status="queued")
    seen = 2
    look(status="running", device="cpu", attempt=1)
    seen = 3
    look(status="failed", status_reason="diverged", status_detail="The loss was nan.")
    assert told(written(console)) == [
        "cross-entropy, seed 0: queued",
        "cross-entropy, seed 0: epoch 1 of 40, train 50.0 %, test 25.0 %, FGSM 12.5 %, 6.0 s",
        "cross-entropy, seed 0: epoch 2 of 40, train 50.0 %, test 25.0 %, FGSM 12.5 %, 12 s",
        "cross-entropy, seed 0: running on cpu",
        "cross-entropy, seed 0: epoch 3 of 40, train 50.0 %, test 25.0 %, FGSM 12.5 %, 18 s",
        "cross-entropy, seed 0: failed (diverged): The loss was nan.",
    ]


def test_of_what_has_ended_already_only_the_end_is_told(system: System, database: Database) -> None:
    """Whoever looks again is not told a thousand epochs."""
    evaluation = queued(database, imported(database, "ended before"))
    finished(database, evaluation, natural=4, robust=1)
    console = file()
    assert watch_evaluations(system.client, [evaluation], console)[0].id == evaluation
    assert told(written(console)) == ["ended before: succeeded: natural 100.0 %, fgsm@8/255 25.0 %"]


def test_watching_outlives_a_restart_of_the_service(tmp_path: Path, sqlite_url: str, broker_url: str) -> None:
    """While the service is away nothing is lost: the attack that ended meanwhile is told when it is back."""
    with System(tmp_path, sqlite_url, broker_url) as system:
        database = Database(sqlite_url)
        evaluation = queued(database, imported(database, "theirs"))
        console = file()
        ended: list[str] = []
        watching = threading.Thread(
            target=lambda: ended.extend(one.status for one in watch_evaluations(system.client, [evaluation], console))
        )
        watching.start()
        await_that(lambda: "queued" in written(console))
        kill_group(system.service)
        await_that(lambda: "asked again" in written(console))
        finished(database, evaluation, natural=4, robust=1)
        system.start("service")
        watching.join(90)
        database.close()
    assert ended == ["succeeded"]
    first, away, back, *rest = told(written(console))
    assert first == "theirs: queued"
    assert away.startswith("No Gauntlet answers at http://127.0.0.1:")
    assert away.endswith("It is asked again for 10 minutes.")
    assert back == "The service answers again."
    assert rest == [
        "theirs: fgsm@8/255 done, 4 images, 1.0 s",
        "theirs: succeeded: natural 100.0 %, fgsm@8/255 25.0 %",
    ]
