"""Runs and evaluations as a worker records them, made up."""

from dataclasses import replace

from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database
from store.queue import jobs
from store.queue.jobs import Claim
from store.storage import StoredFile
from store.subjects import experiments, runs
from store.subjects.runs import EpochRecord, Note
from tests.store.kept import kept_weights

EPOCHS = 4
FGSM = {1: 0.2, 2: 0.6, 3: 0.9, 4: 0.6}
# Of the averaged weights.
AVERAGE_FGSM = {1: 0.1, 2: 0.9, 3: 0.8, 4: 0.7}


def submit(database: Database, spec: ExperimentSpec) -> tuple[str, Claim]:
    with database.writing() as session:
        experiment, (run, *_) = experiments.create(session, spec, None)
        held = jobs.claim(session, "run", run, "worker", 60)
    assert held is not None
    return experiment.id, held


def record(spec: ExperimentSpec, epoch: int, *, keep: bool) -> EpochRecord:
    metrics = {
        "test_fgsm_accuracy": FGSM[epoch],
        "train_accuracy": 0.75,
        "train_accuracy_n": 96.0,
        "test_accuracy": 0.625,
        "mean_confidence": 0.5,
        "mean_uniformity": 0.1,
        "predicted_classes": 10.0,
    }
    state = StoredFile(f"state-{epoch}", "0" * 64, 10)
    weights = (kept_weights(spec, epoch),) if keep else ()
    return EpochRecord(epoch, metrics, 1.5, 64.0, [Note("note", "something", epoch, alarm=True)], state, weights)


def record_with_averages(database: Database, held: Claim, spec: ExperimentSpec) -> None:
    """Every epoch, with its weights and their average kept."""
    for epoch, accuracy in AVERAGE_FGSM.items():
        plain = record(spec, epoch, keep=True)
        metrics = {**plain.metrics, "average_test_fgsm_accuracy": accuracy}
        weights = [*plain.weights, kept_weights(spec, epoch, averaged=True)]
        with database.writing() as session:
            runs.record_epoch(session, held, replace(plain, metrics=metrics, weights=weights))


def train(database: Database, spec: ExperimentSpec, held: Claim, epochs: range) -> None:
    for epoch in epochs:
        with database.writing() as session:
            runs.record_epoch(session, held, record(spec, epoch, keep=epoch % 2 == 0))


def train_and_evaluate(database: Database, spec: ExperimentSpec) -> tuple[str, Claim]:
    """A trained run's experiment, and its evaluation claimed by a worker."""
    experiment_id, held = submit(database, spec)
    train(database, spec, held, range(1, EPOCHS + 1))
    with database.writing() as session:
        (waiting,) = runs.complete(session, held)
        evaluation = jobs.claim(session, "evaluation", waiting, "worker", 60)
    assert evaluation is not None
    return experiment_id, evaluation
