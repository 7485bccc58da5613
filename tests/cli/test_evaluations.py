"""The commands that attack checkpoints and compare them, against a running service without a worker."""

from collections.abc import Iterator
from typing import Any

import pytest

from store.database import Database
from tests.e2e.system import System
from tests.evaluations import finished, imported, queued


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    database = Database(sqlite_url)
    yield database
    database.close()


def test_every_attack_meets_every_budget(gauntlet: Any, system: System, database: Database) -> None:
    """The id is printed, and the list says how far each attack is, then what it leaves."""
    checkpoint = imported(database, "one")
    options = ["--attack", "fgsm", "--attack", "pgd", "--eps", "4/255", "--eps", "8/255", "--samples", "4"]
    identifier = gauntlet("evaluate", checkpoint, *options).output.strip()
    evaluation = system.client.evaluation(identifier)
    labels = ["fgsm@4/255", "fgsm@8/255", "pgd@4/255", "pgd@8/255"]
    assert [attack.label for attack in evaluation.attacks] == labels
    listed = gauntlet("evaluations", checkpoint).output
    assert identifier in listed
    assert "pgd@8/255: 0/4" in listed
    finished(database, identifier, natural=4, robust=1)
    assert "pgd@8/255: 25.0" in gauntlet("evaluations").output
    assert [image.attacks["fgsm@4/255"].robust for image in system.client.images(identifier)] == [True] + 3 * [False]
    assert len(system.client.images_csv(identifier).splitlines()) == 5


def test_an_experiment_without_measurements_is_not_extended(gauntlet: Any, system: System) -> None:
    """Only what has been measured is measured on more images."""
    experiment = system.client.submit({"preset": "quickstart"})
    assert gauntlet("extend", experiment.id, "100").output.strip() == ""
    assert list(system.client.evaluations()) == []


def test_the_leaderboard_is_printed(gauntlet: Any, database: Database) -> None:
    """Ids are whole on a narrow terminal too."""
    checkpoints = [imported(database, name) for name in ("one", "two")]
    for robust, checkpoint in enumerate(checkpoints, 1):
        finished(database, queued(database, checkpoint), natural=4, robust=robust)
    lines = gauntlet("leaderboard", "--attack", "fgsm").output.splitlines()
    places = [next(i for i, line in enumerate(lines) if checkpoint in line) for checkpoint in checkpoints]
    assert places[1] < places[0]
    assert "50.0" in lines[places[1]]


def test_a_transfer_matrix_is_queued_and_shown(gauntlet: Any, system: System, database: Database) -> None:
    """One id per checkpoint, and a matrix that fills as they end."""
    pair = [imported(database, name) for name in ("one", "two")]
    options = ["--eps", "4/255", "--samples", "4", "--batch-size", "4"]
    first, second = gauntlet("transfer", *pair, *options).output.split()
    finished(database, first, natural=4, robust=1)
    shown = gauntlet("transfer", *pair, *options, "--show").output
    assert all(checkpoint in shown for checkpoint in pair)
    assert shown.count("25.0") == shown.count("–") == 2
    assert {evaluation.id for evaluation in system.client.evaluations()} == {first, second}


def test_a_refused_evaluation_is_told_in_a_sentence(gauntlet: Any) -> None:
    """The field and the fault, and exit status 1."""
    refused = gauntlet("evaluate", "ckpt_none", "--attack", "fgsm", "--eps", "8/255")
    assert refused.exit_code == 1
    assert "There is no checkpoint" in refused.output
