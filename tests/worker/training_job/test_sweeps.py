"""A sweep through a worker's jobs, and the same after a kill."""

from pathlib import Path
from typing import Any

import pytest

from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.presets import overlay
from store import experiments, reports, runs
from store.database import Database
from tests.worker.training_job.attempts import kept, result, resume_path, spec_with, train, train_until
from worker.settings import WorkerSettings


@pytest.fixture
def spec(tiny_spec: ExperimentSpec) -> ExperimentSpec:
    """Three trials of three epochs, of which one in two goes on after epoch 1 and after epoch 2."""
    sweep = {"method": "asha", "trials": 9, "over": {"training.optimizer.lr": [1e-3, 1e-10, 1e-9]}, "reduction": 2}
    document: dict[str, Any] = spec_with(tiny_spec, epochs=3).model_dump(mode="json")
    return ExperimentSpec.model_validate(overlay(document, {"sweep": sweep, "objectives": [{"kind": "cross_entropy"}]}))


def submit(database: Database, spec: ExperimentSpec) -> tuple[str, list[str]]:
    with database.writing() as session:
        experiment, made = experiments.create(session, spec, None)
    return experiment.id, made


def found(database: Database, experiment: str, made: list[str]) -> tuple[Any, ...]:
    """All that a sweep comes to: its ranking, how its runs ended, their metrics and weights."""
    with database.reading() as session:
        ends = [
            (run.status, run.status_reason, run.status_detail) for run in (runs.get(session, each) for each in made)
        ]
        return reports.build(session, experiment).sweep, ends, [result(database, run) for run in made]


def test_a_sweep_that_was_killed_comes_to_the_same(
    database: Database, settings: WorkerSettings, spec: ExperimentSpec
) -> None:
    """Killed after a decision and before the epoch's state was saved, and right before one."""
    whole = submit(database, spec)
    for run in whole[1]:
        train(database, settings, run)
    late = settings.model_copy(update={"state_every_s": 1e9})
    killed = submit(database, spec)
    for run in killed[1]:
        # Without a state since the beginning, so that the first epoch and its decision are done again.
        with database.reading() as session:
            before = runs.get(session, run).status
        assert before == "queued"
        if run == killed[1][0]:
            train_until(database, late, run, batches=5)
            assert resume_path(database, run) is None
        if run == killed[1][1]:
            train_until(database, settings, run, batches=2)
        train(database, settings, run)
    assert found(database, *killed) == found(database, *whole)
    sweep, ends, results = found(database, *whole)
    assert ("succeeded", "stopped_early") in {end[:2] for end in ends}
    assert len(sweep.selected) == 1
    assert min(len(metrics) for metrics, _ in results) < 3


def test_a_run_that_is_stopped_leaves_no_state_and_no_evaluation(
    database: Database, settings: WorkerSettings, spec: ExperimentSpec
) -> None:
    """Its process ends with the epoch; what it kept by then stays."""
    _, made = submit(database, spec)
    for run in made:
        train(database, settings, run)
    with database.reading() as session:
        stopped = [run for run in made if runs.get(session, run).status_reason == "stopped_early"]
    assert stopped
    for run in stopped:
        assert resume_path(database, run) is None
        assert not [file for file in Path(settings.storage).rglob("*.state.safetensors") if run in str(file)]
        assert kept(database, run) == [] or kept(database, run)[0].epoch != 3
