"""A run of a network of a team's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.runs.architectures import Custom
from store.database import Database
from store.subjects.checkpoints import card_of
from tests.own_networks import installed
from tests.worker.training_job.attempts import fail, kept, messages, spec_with, submit, train
from worker.jobs.child import probe
from worker.settings import WorkerSettings


@pytest.fixture
def settings(tmp_path: Path, settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerSettings]:
    """A worker beside which the package is installed."""
    with installed(tmp_path / "site", monkeypatch) as setting:
        yield settings.model_copy(update={"architectures": setting})


def spec(tiny_spec: ExperimentSpec, name: str) -> ExperimentSpec:
    return spec_with(tiny_spec, epochs=2).model_copy(update={"architecture": Custom(name=name)})


def test_it_is_trained_and_says_where_it_comes_from(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec
) -> None:
    """The run notes the package with its version, and every checkpoint remembers it."""
    run = submit(database, spec(tiny_spec, "linear"))
    train(database, settings, run)
    assert messages(database, run)["network"] == "The network linear comes from the package team-nets 1.2."
    assert [card_of(checkpoint).package for checkpoint in kept(database, run)] == ["team-nets 1.2"]


def test_it_is_looked_at_before_it_is_trained(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec
) -> None:
    """One that ends in a softmax is trained under an alarm; one with too few logits, or that there is not, is not."""
    run = submit(database, spec(tiny_spec, "softmax"))
    train(database, settings, run)
    assert "it ends in a softmax" in messages(database, run)["network"]
    for name, told in (
        ("short", r"[16, 9] and not logits of [16, 10]"),
        ("other", "these are: linear, narrow, short, softmax"),
    ):
        reason, detail = fail(database, settings, submit(database, spec(tiny_spec, name)))
        assert reason == "model_unfit"
        assert told in (detail or "")


def test_a_batch_of_one_image_that_it_cannot_take_ends_it_before_training(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec
) -> None:
    """As a fault of its numbers, which are told, and not of the service."""
    short = tiny_spec.dataset.model_copy(update={"train_samples": 17})
    asked = spec(tiny_spec, "narrow").model_copy(update={"dataset": short})
    asked = asked.model_copy(update={"training": asked.training.model_copy(update={"batch_size": 16})})
    run = submit(database, asked)
    reason, detail = fail(database, settings, run)
    assert reason == "model_unfit"
    assert "Of 17 training images in batches of 16 the last batch has 1" in (detail or "")
    assert kept(database, run) == []


def test_a_worker_says_which_there_are(settings: WorkerSettings) -> None:
    """With their package; where what the setting names is not there, it says that in their place."""
    assert probe(settings)[1] == dict.fromkeys(("linear", "softmax", "short", "narrow"), "team-nets 1.2")
    _, told = probe(settings.model_copy(update={"architectures": "nowhere_to_be_found:builders"}))
    assert "nowhere_to_be_found:builders, which cannot be imported here" in str(told)
