"""`gauntlet show` of anything that has an id."""

import json
from typing import Any

from sqlalchemy import select, update

from store import events
from store.database import Database
from store.events import News
from store.models import Run
from tests.e2e.system import System
from tests.evaluations import finished, imported, queued


def fields(shown: str) -> dict[str, str]:
    """The card at its beginning: headings and values."""
    _, *lines = shown.splitlines()
    card = [line for line in lines if line.startswith("  ") and "  " in line.strip()]
    return {heading: value.strip() for heading, _, value in (line.strip().partition("  ") for line in card)}


def test_an_experiment_is_shown_with_its_jobs(gauntlet: Any, system: System, database: Database) -> None:
    """How it stands and why, in full; what was asked for beyond the defaults, as a spec says it; its runs."""
    document = {
        "name": "mine",
        "dataset": {"name": "digits", "train_samples": 96},
        "objectives": [{"kind": "cross_entropy"}, {"kind": "ppo", "reward": {"wrong": 0.0}}],
        "adversary": {"kind": "fgsm", "eps": "8/255"},
        "training": {"epochs": 3},
    }
    experiment = system.client.submit(document)
    why = "There is no folder nowhere below the data root: what a worker said, in all its length."
    with database.writing() as session:
        failed = {"status": "failed", "status_reason": "dataset_unavailable", "status_detail": why}
        session.execute(update(Run).where(Run.experiment_id == experiment.id).values(failed))
    shown = gauntlet("show", experiment.id).output
    assert shown.splitlines()[0] == experiment.id
    assert fields(shown)["status"] == "failed (dataset_unavailable)"
    assert fields(shown)["asked for"] == (
        "name: mine, dataset: {name: digits, train_samples: 96}, objectives: [{kind: cross_entropy}, "
        "{kind: ppo, reward: {wrong: 0.0}}], adversary: {kind: fgsm, eps: 8/255}, training: {epochs: 3}"
    )
    for run in system.client.runs(experiment.id):
        assert run.id in shown
        assert f"! {run.id}: {why}" in shown
    values = json.loads(gauntlet("show", experiment.id, "--json").output)
    assert values["experiment"]["spec"]["name"] == "mine"
    assert [run["objective"] for run in values["runs"]] == ["cross_entropy", "ppo"]
    assert values["evaluations"] == []


def test_a_run_is_shown_with_its_events(gauntlet: Any, system: System, database: Database) -> None:
    """Whose it is, how far it came, why it failed, and what happened to it."""
    experiment = system.client.submit({"preset": "quickstart"})
    with database.writing() as session:
        run = session.scalars(select(Run.id).where(Run.experiment_id == experiment.id)).first()
        failed = {"status": "failed", "status_reason": "diverged", "status_detail": "The loss was nan.", "attempt": 2}
        session.execute(update(Run).where(Run.id == run).values(failed))
        events.tell(session, News("alarm", "one_class", run or "", "All alike.", experiment.id, attempt=2, epoch=7))
    shown = gauntlet("show", run).output
    about = fields(shown)
    assert about["experiment"] == experiment.id
    assert about["objective"] == "cross-entropy, seed 0"
    assert (about["status"], about["attempts"], about["epochs"]) == ("failed (diverged)", "2", "0 of 40")
    assert "! The loss was nan." in shown
    (line,) = (line for line in shown.splitlines() if "All alike." in line)
    assert line.split()[-5:] == ["7", "one", "class", "All", "alike."]
    assert [event["kind"] for event in json.loads(gauntlet("show", run, "--json").output)["events"]] == ["one_class"]


def test_a_checkpoint_is_shown_with_its_evaluations(gauntlet: Any, database: Database) -> None:
    """What network it is of, for what images and classes, and its file."""
    checkpoint = imported(database, "theirs to show", sha256="c" * 64)
    evaluation = queued(database, checkpoint)
    about = fields(gauntlet("show", checkpoint).output)
    assert about["name"] == "theirs to show"
    assert about["origin"] == "imported"
    assert about["data set"] == "digits, 1 × 16 × 16"
    assert about["classes"] == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert about["sha256"] == "c" * 64
    assert about["file"] == f"1 byte; gauntlet weights {checkpoint} FILE"
    (found,) = json.loads(gauntlet("show", checkpoint, "--json").output)["evaluations"]
    assert found["id"] == evaluation


def test_an_evaluation_is_shown_with_its_outcome(gauntlet: Any, database: Database) -> None:
    """Of which checkpoint on which images; how far each attack is, then what it left."""
    checkpoint = imported(database, "attacked to show")
    evaluation = queued(database, checkpoint)
    about = fields(gauntlet("show", evaluation).output)
    assert (about["checkpoint"], about["name"], about["data set"]) == (checkpoint, "attacked to show", "digits")
    assert about["attacks"] == "fgsm@8/255: queued, 0 of 4"
    finished(database, evaluation, natural=4, robust=1)
    shown = gauntlet("show", evaluation).output
    assert fields(shown)["status"] == "succeeded"
    assert "accuracy in per cent on 4 images" in shown


def test_nothing_is_shown_of_an_id_that_there_is_not(gauntlet: Any) -> None:
    """One sentence, and exit status 1."""
    missing = gauntlet("show", "eval_none")
    assert (missing.exit_code, missing.output) == (1, "There is no evaluation with the id 'eval_none'.\n")
