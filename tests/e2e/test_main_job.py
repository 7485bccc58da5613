"""The main job over real processes: one request becomes checkpoints, a report and a classified image."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gauntlet.client import Refused
from gauntlet.data.datasets import load_split
from gauntlet.resources import TERMINAL
from gauntlet.spec.kinds import Digits
from tests.e2e.system import System, await_that

pytestmark = pytest.mark.long(seconds=35)


def comparison(tiny_document: dict[str, Any]) -> dict[str, Any]:
    """Both objectives, natural, FGSM and AutoAttack accuracy on a few digits."""
    return tiny_document | {
        "name": "comparison",
        "objectives": [{"kind": "cross_entropy"}, {"kind": "policy_gradient"}],
        "evaluation": {
            "select": ["best_fgsm", "last"],
            "attacks": [{"kind": "fgsm", "eps": "8/255"}, {"kind": "autoattack", "eps": "64/255"}],
            "samples": 3,
        },
    }


@pytest.fixture(scope="module")
def working(api: System) -> Iterator[System]:
    """The shared API, and a worker for all of these tests."""
    api.start("worker", GAUNTLET_WORKER_SLOTS="1")
    yield api
    api.rest()


def test_one_request_becomes_a_report_and_a_classified_image(
    tmp_path: Path, postgresql_url: str, broker_url: str, tiny_document: dict[str, Any]
) -> None:
    """On PostgreSQL (on SQLite the demo does it): submit, poll, read the report in two forms, classify."""
    with System(tmp_path, postgresql_url, broker_url) as system:
        system.start("worker", GAUNTLET_WORKER_SLOTS="1")
        _do_the_main_job(system, tmp_path, tiny_document)


def _do_the_main_job(system: System, tmp_path: Path, tiny_document: dict[str, Any]) -> None:
    client = system.client
    experiment = client.submit(comparison(tiny_document))
    await_that(lambda: client.experiment(experiment.id).status in TERMINAL)
    assert client.experiment(experiment.id).status == "succeeded"

    report = client.report(experiment.id)
    assert report.complete
    rows = {(row.objective, row.selection): row for row in report.rows}
    assert rows.keys() == {
        (kind, selection) for kind in ("cross_entropy", "policy_gradient") for selection in ("best_fgsm", "last")
    }
    for row in report.rows:
        assert row.n == 3
        assert 0 <= row.accuracies["autoattack@64/255"] <= row.natural_accuracy <= 1
        assert row.test_accuracy is not None
        assert row.generalisation_gap == pytest.approx(row.train_accuracy - row.test_accuracy)
    assert "| policy gradient | 0 | epoch" in client.report_text(experiment.id, "md")

    for run in client.runs(experiment.id):
        assert [row.epoch for row in client.metrics(run.id)] == [1, 2, 3, 4]
        assert [checkpoint.epoch for checkpoint in client.checkpoints(run.id)] == [4, 2]

    _require_told(system, experiment.id)
    test, _ = load_split(Digits(), "test", tmp_path)
    picture = tmp_path / "digit.png"
    Image.fromarray(test.images[0, 0].numpy()).save(picture)
    chosen = [row.checkpoint for row in report.rows if row.selection == "last"]
    seen = client.classify([picture], chosen)
    assert [item.checkpoint for item in seen] == chosen
    assert all(sum(entry.probability for entry in item.probabilities) == pytest.approx(1) for item in seen)


def _require_told(system: System, experiment: str) -> None:
    """The logs follow each job by its id: its start, its epochs or attacks, and how it ended; and name no message."""
    client, log = system.client, system.logged("worker")
    runs, evaluations = list(client.runs(experiment)), list(client.evaluations(experiment=experiment))
    assert f"Experiment {experiment} (comparison) is queued: " in system.logged("service")
    for job in [*runs, *evaluations]:
        own = [line for line in log.splitlines() if f"[{job.id} attempt 1]" in line]
        assert experiment in own[0]
        told = [f"Epoch {epoch} of 4" for epoch in range(1, 5)] if job in runs else ["natural: ", "fgsm@8/255: "]
        assert all(any(part in line for line in own) for part in told)
        assert own[-1].endswith(f"the {job.object} is succeeded.")
        assert "images right" in own[-2] or "evaluations are queued: eval_" in own[-2]
    assert "Task gauntlet" not in log


@pytest.mark.thorough
def test_a_folder_of_colour_images_takes_the_same_way(working: System, tiny_document: dict[str, Any]) -> None:
    """RGB pictures in <split>/<class>/ are trained on, attacked, and named by their folders.

    So far that AutoAttack's parts along gradients leave its Square nothing; one of a few queries searches by itself.
    """
    client = working.client
    digits, _ = load_split(Digits(), "train", working.home)
    names = ("nought", "one", "two", "three")
    for split, start in (("train", 0), ("test", 200)):
        for name in names:
            (working.home / "data/tinted" / split / name).mkdir(parents=True)
        for position in range(start, start + 100):
            label = int(digits.labels[position])
            if label < len(names):
                grey = Image.fromarray(digits.images[position, 0].numpy())
                tinted = Image.merge("RGB", (grey, grey.rotate(180), grey.point(lambda level: 255 - level)))
                tinted.save(working.home / "data/tinted" / split / names[label] / f"{position}.png")
    document = tiny_document | {
        "dataset": {"name": "image_folder", "folder": "tinted", "image_size": 16},
        "architecture": {"kind": "cnn"},
        "training": {"epochs": 10, "optimizer": {"kind": "rmsprop", "lr": 1e-3}},
        "evaluation": {
            "attacks": [
                {"kind": "autoattack", "eps": "64/255"},
                {"kind": "square", "eps": "32/255", "queries": 40},
            ],
            "samples": 4,
        },
    }
    experiment = client.submit(document)
    await_that(lambda: client.experiment(experiment.id).status in TERMINAL)
    (row,) = client.report(experiment.id).rows
    assert row.natural_accuracy > 0
    assert row.outcome.attacks[0].survivors.keys() == {"apgd-ce", "apgd-t", "fab-t", "square"}
    assert 0 <= row.accuracies["square(queries=40)@32/255"] <= row.natural_accuracy
    picture = next((working.home / "data/tinted/test/two").iterdir())
    (seen,) = client.classify([picture], [row.checkpoint])
    assert {entry.label for entry in seen.probabilities} == set(names)


@pytest.mark.thorough
def test_agents_take_the_same_way(working: System, tiny_document: dict[str, Any]) -> None:
    """PPO, A2C and DQN of one experiment tell a reward each epoch, keep checkpoints, are evaluated, and classify."""
    client = working.client
    agents = {kind: {"kind": kind, "n_steps": 1} for kind in ("ppo", "a2c", "dqn")}
    experiment = client.submit(tiny_document | {"objectives": list(agents.values())})
    await_that(lambda: client.experiment(experiment.id).status in TERMINAL)
    assert client.experiment(experiment.id).status == "succeeded"

    for run in client.runs(experiment.id):
        rewards = [row.metrics["mean_reward"] for row in client.metrics(run.id)]
        assert len(rewards) == 4
        assert all(-1 <= reward <= 1 for reward in rewards)
        assert [checkpoint.epoch for checkpoint in client.checkpoints(run.id)] == [4, 2]
    rows = {row.objective: row for row in client.report(experiment.id).rows}
    assert rows.keys() == agents.keys()
    for row in rows.values():
        assert row.n == 16
        assert 0 <= row.accuracies["fgsm@8/255"] <= row.natural_accuracy

    picture = working.home / "dark.png"
    Image.new("L", (16, 16)).save(picture)
    seen = client.classify([picture], [row.checkpoint for row in rows.values()])
    assert all(sum(entry.probability for entry in item.probabilities) == pytest.approx(1) for item in seen)


@pytest.mark.parametrize("kind", ["cross_entropy", "ppo"])
def test_a_running_experiment_can_be_cancelled(working: System, tiny_document: dict[str, Any], kind: str) -> None:
    """A run in mid-training and one that waits both end as cancelled; nothing is evaluated, and no state stays."""
    client = working.client
    endless = tiny_document | {
        "objectives": [{"kind": kind}],
        "training": {"epochs": 10_000, "compile": "off"},
        "seeds": [0, 1],
    }
    experiment = client.submit(endless)
    await_that(lambda: any(run.progress and run.progress.completed > 0 for run in client.runs(experiment.id)))
    client.cancel_experiment(experiment.id)
    await_that(lambda: client.experiment(experiment.id).status == "cancelled")
    assert {(run.status, run.status_reason) for run in client.runs(experiment.id)} == {("cancelled", "user")}
    assert list(client.evaluations(experiment=experiment.id)) == []
    await_that(working.leaves_no_orphan)


@contextmanager
def hidden(folder: Path) -> Iterator[None]:
    """Inside the block there is no such folder."""
    elsewhere = folder.with_name("elsewhere")
    folder.mkdir(exist_ok=True)
    folder.rename(elsewhere)
    yield
    elsewhere.rename(folder)


def test_a_missing_data_set_fails_the_run_with_its_reason(working: System, tiny_document: dict[str, Any]) -> None:
    """The run says which folder is missing, which an API that sees no data could not; it is not tried again."""
    client = working.client
    with hidden(working.home / "data"):
        experiment = client.submit(tiny_document | {"dataset": {"name": "image_folder", "folder": "nowhere"}})
        await_that(lambda: client.experiment(experiment.id).status in TERMINAL)
    (run,) = client.runs(experiment.id)
    assert (run.status, run.status_reason, run.attempt) == ("failed", "dataset_unavailable", 1)
    assert "nowhere" in (run.status_detail or "")
    assert "nowhere" in client.report(experiment.id).warnings[0]


def test_an_attack_that_does_not_apply_is_refused_before_it_is_queued(
    working: System, tiny_document: dict[str, Any]
) -> None:
    """AutoAttack on two classes: the answer says so at once, and there is no experiment."""
    client = working.client
    for split in ("train", "test"):
        for name, level in (("dark", 50), ("light", 200)):
            folder = working.home / "data/shades" / split / name
            folder.mkdir(parents=True)
            Image.new("L", (16, 16), level).save(folder / "a.png")
    document = tiny_document | {
        "dataset": {"name": "image_folder", "folder": "shades", "image_size": 16},
        "evaluation": {"attacks": [{"kind": "autoattack", "eps": "8/255"}]},
    }
    before = list(client.experiments())
    with pytest.raises(Refused) as refused:
        client.submit(document)
    assert "/evaluation/attacks/0" in [error.pointer for error in refused.value.problem.errors]
    assert list(client.experiments()) == before


def test_a_diverging_run_ends_as_diverged(working: System, tiny_document: dict[str, Any]) -> None:
    """A learning rate far too high is noticed; the run fails once and is not repeated."""
    client = working.client
    training = {"epochs": 50, "optimizer": {"kind": "rmsprop", "lr": 10.0}}
    experiment = client.submit(tiny_document | {"training": training, "architecture": {"kind": "cnn"}})
    await_that(lambda: client.experiment(experiment.id).status in TERMINAL)
    (run,) = client.runs(experiment.id)
    assert (run.status, run.status_reason, run.attempt) == ("failed", "diverged", 1)
    await_that(lambda: "the run is failed (diverged): Training diverged" in working.logged("worker"))
    await_that(working.leaves_no_orphan)


def test_the_client_says_what_was_refused(working: System, tiny_document: dict[str, Any]) -> None:
    """A refusal carries the problem, field by field."""
    with pytest.raises(Refused, match="/adversary/eps") as refusal:
        working.client.submit(tiny_document | {"adversary": {"kind": "fgsm", "eps": "8/0"}})
    assert refusal.value.problem.status == 422
