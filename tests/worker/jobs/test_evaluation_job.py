"""An evaluation's batches: computed, taken over from another evaluation, or refused for a damaged file."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import update

from gauntlet.data.datasets import digest, load_split
from gauntlet.errors import CheckpointInvalid
from gauntlet.evaluation.loop import evaluate
from gauntlet.models.checkpoints import encode_weights
from gauntlet.results.outcome import EvaluationOutcome, Measured, summarise
from gauntlet.spec.kinds import Digits
from store.database import Database
from store.models import EvaluationBatch
from store.subjects import evaluations
from tests.evaluations import FGSM, card, claimed, queued, untrained
from tests.gauntlet.examples import network
from worker.jobs.child import _work
from worker.jobs.evaluation_job import evaluate_checkpoint
from worker.jobs.heartbeat import Heartbeat
from worker.settings import WorkerSettings

torch.set_num_threads(1)

CPU = torch.device("cpu")
PGD = {"kind": "pgd", "eps": "8/255", "steps": 2}


@pytest.fixture
def database(settings: WorkerSettings) -> Database:
    return Database(settings.database_url)


def stored(database: Database, settings: WorkerSettings, seed: int) -> str:
    """A checkpoint of untrained weights; returns its id."""
    return untrained(database, settings.storage, f"seed-{seed}", seed=seed)


def evaluated(database: Database, settings: WorkerSettings, checkpoint: str, *attacks: Any, samples: int) -> str:
    """An evaluation, done by a worker; returns its id."""
    evaluation = queued(database, checkpoint, *attacks, samples=samples, batch_size=4)
    held = claimed(database, evaluation)
    evaluate_checkpoint(database, held, settings, Heartbeat(database, held, settings), CPU)
    return evaluation


def outcome(database: Database, evaluation: str) -> EvaluationOutcome:
    with database.reading() as session:
        return EvaluationOutcome.model_validate(evaluations.get(session, evaluation).outcome)


def batches(database: Database, evaluation: str) -> list[EvaluationBatch]:
    with database.reading() as session:
        return sorted(evaluations.batches(session, evaluation), key=lambda row: (row.stage, row.batch))


def direct(database: Database, evaluation: str, sources: dict[str, int]) -> EvaluationOutcome:
    """The same, of the network with seed 0 and computed at once."""
    with database.reading() as session:
        spec = evaluations.specified(evaluations.get(session, evaluation))
    test, classes = load_split(Digits(), "test", Path("unused"))
    models = {identifier: network(seed=seed) for identifier, seed in sources.items()}
    found = list(evaluate(network(seed=0), test, spec, len(classes), device=CPU, sources=models))
    weights = hashlib.sha256(encode_weights(network(seed=0).state_dict(), card("seed-0"))).hexdigest()
    return summarise(spec, found, Measured(weights, "digits", digest(test, classes), classes))


def test_an_evaluation_of_more_images_takes_over_what_is_known(database: Database, settings: WorkerSettings) -> None:
    """Of 16 images the first 8 are not attacked again, and the outcome is that of 16 computed at once."""
    checkpoint = stored(database, settings, 0)
    evaluated(database, settings, checkpoint, FGSM, PGD, samples=8)
    longer = evaluated(database, settings, checkpoint, FGSM, PGD, samples=16)
    rows = batches(database, longer)
    assert [(row.batch, row.seconds == 0) for row in rows] == [(0, True), (1, True), (2, False), (3, False)] * 3
    assert outcome(database, longer) == direct(database, longer, {})
    with database.reading() as session:
        (shown,) = evaluations.show(session, [evaluations.get(session, longer)])
        whole = evaluations.show_whole(session, evaluations.get(session, longer))
    assert [(attack.status, attack.completed, attack.total) for attack in shown.attacks] == [("done", 16, 16)] * 2
    assert shown.data is None
    assert whole.data is not None
    assert (whole.data.dataset, whole.data.train) == ("digits", None)
    assert whole.data.test is not None
    assert whole.data.test.images == 360


def test_what_is_known_is_not_computed(database: Database, settings: WorkerSettings) -> None:
    """Were a batch of the first evaluation wrong, the second would have it as it is."""
    checkpoint = stored(database, settings, 0)
    first = evaluated(database, settings, checkpoint, PGD, samples=8)
    mark = [9, 9, 9, 9]
    with database.writing() as session:
        marked = update(EvaluationBatch).where(
            EvaluationBatch.evaluation_id == first,
            EvaluationBatch.stage == "pgd(steps=2)@8/255",
            EvaluationBatch.batch == 1,
        )
        session.execute(marked.values(predicted=mark))
    second = evaluated(database, settings, checkpoint, PGD, samples=16)
    assert [row.predicted for row in batches(database, second) if row.stage != "natural"][1] == mark


def test_other_weights_are_attacked_themselves(database: Database, settings: WorkerSettings) -> None:
    """Nothing is taken over from a checkpoint with another digest."""
    evaluated(database, settings, stored(database, settings, 1), FGSM, samples=8)
    evaluation = evaluated(database, settings, stored(database, settings, 0), FGSM, samples=8)
    assert all(row.seconds > 0 for row in batches(database, evaluation))


def test_examples_are_made_on_the_source(database: Database, settings: WorkerSettings) -> None:
    """Transfer attacks get the model of each checkpoint they name, the attacked one's own too."""
    target, source = stored(database, settings, 0), stored(database, settings, 1)
    attacks = [{"kind": "transfer", "eps": "16/255", "steps": 2, "source": name} for name in (target, source)]
    evaluation = evaluated(database, settings, target, *attacks, samples=8)
    found = outcome(database, evaluation)
    assert found == direct(database, evaluation, {target: 0, source: 1})


def test_a_damaged_source_fails_the_evaluation(database: Database, settings: WorkerSettings) -> None:
    """Its file is checked by its digest as the attacked checkpoint's is."""
    target, source = stored(database, settings, 0), stored(database, settings, 1)
    (settings.storage.root / "seed-1.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointInvalid, match=source):
        evaluated(database, settings, target, {"kind": "transfer", "eps": "8/255", "source": source}, samples=8)


def test_a_storage_that_is_away_does_not_fail_the_evaluation(database: Database, settings: WorkerSettings) -> None:
    """It waits in the queue, and is done once the storage is back."""
    soon = settings.model_copy(update={"retry_s": 1e-9})
    evaluation = queued(database, stored(database, settings, 0), samples=8, batch_size=4)
    away = settings.storage.root.with_name("away")
    settings.storage.root.rename(away)
    for status in ("queued", "succeeded"):
        held = claimed(database, evaluation)
        _work(database, held, soon, Heartbeat(database, held, soon))
        with database.reading() as session:
            row = evaluations.get(session, evaluation)
        assert (row.status, row.status_reason) == (status, "storage" if status == "queued" else None)
        if status == "queued":
            away.rename(settings.storage.root)
