"""A sweep through a worker's jobs, and the same after a kill."""

from typing import Any

import pytest

from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.presets import overlay
from store.database import Database
from store.shown import reports
from store.subjects import experiments, runs
from tests.worker.training_job.attempts import (
    kept,
    result,
    resume_path,
    spec_with,
    state_files,
    train,
    train_until,
)
from worker.settings import WorkerSettings


@pytest.fixture
def spec(tiny_spec: ExperimentSpec) -> ExperimentSpec:
    """Two trials of two epochs, of which one in two goes on after epoch 1; the first drawn learns, the other cannot."""
    sweep = {"method": "asha", "trials": 9, "over": {"training.optimizer.lr": [1e-3, 1e-10]}, "reduction": 2}
    changes: dict[str, Any] = {
        "sweep": sweep | {"seed": 2},
        "architecture": {"kind": "cnn"},
        "objectives": [{"kind": "cross_entropy"}],
        "adversary": {"eps": "32/255"},
    }
    return ExperimentSpec.model_validate(overlay(spec_with(tiny_spec, epochs=2).model_dump(mode="json"), changes))


def submit(database: Database, spec: ExperimentSpec) -> tuple[str, list[str]]:
    with database.writing() as session:
        experiment, made = experiments.create(session, spec, None)
    return experiment.id, made


def found(database: Database, experiment: str, made: list[str]) -> tuple[Any, ...]:
    """All that a sweep comes to: its ranking, how its runs ended, their metrics and weights."""
    with database.reading() as session:
        ended = [runs.get(session, run) for run in made]
        ends = [(run.status, run.status_reason, run.status_detail) for run in ended]
        return reports.build(session, experiment).sweep, ends, [result(database, run) for run in made]


def test_a_sweep_that_was_killed_comes_to_the_same(
    database: Database, settings: WorkerSettings, spec: ExperimentSpec
) -> None:
    """Killed after a decision whose epoch must be done again, and before one; what is stopped leaves no state."""
    whole = submit(database, spec)
    for run in whole[1]:
        train(database, settings, run)
    sweep, ends, results = found(database, *whole)
    assert [end[:2] for end in ends] == [("succeeded", None), ("succeeded", "stopped_early")]
    assert [len(metrics) for metrics, _ in results] == [2, 1]
    assert [(trial.rank, trial.values) for trial in sweep.trials] == [
        (1, {"training.optimizer.lr": 1e-3}), (2, {"training.optimizer.lr": 1e-10})
    ]  # fmt: skip
    assert [checkpoint.epoch for run in whole[1] for checkpoint in kept(database, run)] == [2]
    assert state_files(settings) == []

    killed = submit(database, spec)
    first, second = killed[1]
    never = settings.model_copy(update={"state_every_s": 1e9})
    train_until(database, never, first, batches=4)
    assert resume_path(database, first) is None
    train(database, settings, first)
    train_until(database, settings, second, batches=2)
    assert resume_path(database, second) is not None
    train(database, settings, second)
    assert found(database, *killed) == (sweep, ends, results)
