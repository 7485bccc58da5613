"""Which runs of a sweep go on, decided with their epochs, on both databases."""

from typing import Any

import pytest

from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.presets import overlay
from store.database import Database
from store.queue import jobs, sweeps
from store.queue.jobs import Claim, JobProgress
from store.shown import reports
from store.subjects import experiments, runs
from store.subjects.runs import EpochRecord

# Trials come to the first rung with these accuracies under FGSM, one after the other.
AT_FIRST = (0.5, 0.4, 0.6, 0.55, 0.7, 0.7)


@pytest.fixture
def spec(tiny_spec: ExperimentSpec) -> ExperimentSpec:
    """Six trials, of which one in two goes on after epoch 1 and after epoch 2 of four."""
    rates = [0.001, 0.002, 0.003, 0.004, 0.005, 0.006]
    sweep = {"method": "asha", "trials": 40, "over": {"training.optimizer.lr": rates}, "reduction": 2}
    changes: dict[str, Any] = {"sweep": sweep, "objectives": [{"kind": "cross_entropy"}]}
    return ExperimentSpec.model_validate(overlay(tiny_spec.model_dump(mode="json"), changes))


def submit(database: Database, spec: ExperimentSpec) -> tuple[str, list[Claim]]:
    with database.writing() as session:
        experiment, made = experiments.create(session, spec, None)
        held = [jobs.claim(session, "run", run, "worker", 60) for run in made]
    return experiment.id, [claim for claim in held if claim is not None]


def record(database: Database, held: Claim, epoch: int, fgsm: float) -> bool:
    """Whether the run goes on after that epoch."""
    metrics = {"test_fgsm_accuracy": fgsm, "test_accuracy": 0.5, "train_accuracy": 0.75, "train_accuracy_n": 96.0}
    with database.writing() as session:
        runs.record_epoch(session, held, EpochRecord(epoch, metrics, 1.5, 64.0))
        return sweeps.goes_on(session, held, epoch, metrics)


@pytest.mark.parametrize(
    ("value", "others", "reduction", "promoted"),
    [
        # Before there are as many as one in `reduction` is of, only the best so far goes on.
        (0.5, [], 3, True),
        (0.4, [0.5], 3, False),
        (0.5, [0.5], 3, True),
        # Then the best third, rounded down: one of three to five, two of six.
        (0.4, [0.3, 0.5], 3, False),
        (0.5, [0.3, 0.4, 0.45, 0.6], 3, False),
        (0.5, [0.1, 0.2, 0.3, 0.4, 0.6], 3, True),
        (0.4, [0.1, 0.2, 0.3, 0.5, 0.6], 3, False),
    ],
)
def test_one_in_so_many_goes_on(value: float, others: list[float], reduction: int, promoted: bool) -> None:
    """Of those that came so far, whatever comes later."""
    assert sweeps.is_promoted(value, others, reduction) is promoted


def test_runs_are_stopped_with_the_epoch_that_decides(database: Database, spec: ExperimentSpec) -> None:
    """By hand: the first goes on alone, .4 does not, .6 does, .55 is second of four, .7 twice is best, or as good."""
    experiment, held = submit(database, spec)
    went = [record(database, claim, 1, fgsm) for claim, fgsm in zip(held, AT_FIRST, strict=True)]
    assert went == [True, False, True, True, True, True]
    with database.reading() as session:
        stopped = runs.get(session, held[1].id)
        told = stopped.status_detail or ""
        assert (stopped.status, stopped.status_reason) == ("succeeded", "stopped_early")
        assert "after epoch 1 of 4: 1 of the 1 other runs" in told
        (shown,) = experiments.show(session, [experiments.get(session, experiment)])
    assert (shown.status, shown.runs) == ("running", {"running": 5, "succeeded": 1})
    # After the second rung: alone, then worse than that one; epoch 3 is none.
    assert record(database, held[0], 2, 0.5)
    assert not record(database, held[2], 2, 0.4)
    assert record(database, held[0], 3, 0.0)


def test_a_decision_stands_when_its_epoch_is_done_again(database: Database, spec: ExperimentSpec) -> None:
    """After a crash, though better runs have come since; and nobody sees a second value."""
    _, held = submit(database, spec)
    assert record(database, held[0], 1, 0.5)
    assert record(database, held[1], 1, 0.9)
    with database.writing() as session:
        runs.rewind(session, held[0], to_epoch=0)
    assert record(database, held[0], 1, 0.5)
    with database.reading() as session:
        run = runs.get(session, held[0].id)
        assert run.trial is not None
        assert run.trial["rungs"] == {"1": 0.5}


def test_a_stopped_run_says_how_far_it_came_and_queues_nothing(database: Database, spec: ExperimentSpec) -> None:
    """Its progress is not that of a whole one; its experiment does not end as stopped."""
    experiment, held = submit(database, spec)
    for claim, fgsm in zip(held, (0.9, *AT_FIRST[1:]), strict=True):
        with database.writing() as session:
            jobs.renew(session, claim, 60, JobProgress("training", 3, 12, "batches", 1.0))
        if record(database, claim, 1, fgsm):
            with database.writing() as session:
                jobs.finish(session, claim, "succeeded")
    with database.reading() as session:
        whole, stopped = (runs.show(runs.get(session, claim.id)) for claim in held[:2])
        (shown,) = experiments.show(session, [experiments.get(session, experiment)])
        report = reports.build(session, experiment)
    assert whole.progress is not None
    assert stopped.progress is not None
    assert (whole.progress.completed, stopped.progress.completed, stopped.progress.eta_s) == (12, 3, None)
    assert stopped.trial is not None
    assert stopped.trial.values.keys() == {"training.optimizer.lr"}
    assert (shown.status, shown.status_reason) == ("succeeded", None)
    assert report.sweep is not None
    assert report.sweep.selected == (whole.objective,)
    assert report.result.startswith(report.sweep.result)
    # .4, .6 and .55 were not among the best half of two, three and four; .7 is, of five and of six.
    assert [(trial.number, trial.stopped) for trial in report.sweep.trials] == [
        (0, False), (4, False), (5, False), (2, True), (3, True), (1, True)
    ]  # fmt: skip
    assert any("selected on the test images" in warning for warning in report.warnings)
