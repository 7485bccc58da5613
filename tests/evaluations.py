"""Evaluations without a worker: imported checkpoints as rows, and batches as an attack might leave them."""

from collections.abc import Sequence
from typing import Any

from gauntlet.events import BatchAttacked
from gauntlet.models.checkpoints import encode_weights
from gauntlet.results.elsewhere import ElsewhereResult
from gauntlet.results.finding import Finding
from gauntlet.results.margins import ImageMargin
from gauntlet.results.masking import MASKING_PREFIX, masking_attacks
from gauntlet.results.outcome import Measured, summarise
from gauntlet.results.protocol import IMPLEMENTATIONS
from gauntlet.results.stage_results import NATURAL
from gauntlet.spec.checkpoint_card import CheckpointCard, Imported
from gauntlet.spec.evaluations.attacks import attack_label
from gauntlet.spec.evaluations.evaluation import EvaluationRequest, EvaluationSpec
from gauntlet.spec.kinds import DatasetSpec, Digits
from gauntlet.spec.runs.architectures import Cnn
from store.database import Database, db_now
from store.models import Checkpoint, new_id
from store.queue import jobs
from store.queue.jobs import Claim
from store.storage import Storage
from store.subjects import evaluation_requests, evaluations
from store.subjects.evaluations import AttackedSet
from tests.gauntlet.examples import network

FGSM = {"kind": "fgsm", "eps": "8/255"}


def card(name: str, *, dataset: DatasetSpec | None = None, classes: int = 10, side: int = 16) -> CheckpointCard:
    return CheckpointCard(
        architecture=Cnn(),
        dataset=dataset or Digits(),
        classes=tuple(map(str, range(classes))),
        image_shape=(1, side, side),
        origin=Imported(name=name),
    )


def imported(
    database: Database, name: str, *, sha256: str = "", path: str = "", dataset: DatasetSpec | None = None, **shape: int
) -> str:
    """The row of a checkpoint that came from elsewhere; returns its id."""
    identifier = new_id("ckpt")
    row = Checkpoint(
        id=identifier,
        created_at=db_now(),
        card=card(name, dataset=dataset, **shape).model_dump(mode="json"),
        path=path,
        sha256=sha256 or name.ljust(64, "0"),
        bytes=1,
        metrics={},
    )
    with database.writing() as session:
        session.add(row)
    return identifier


def untrained(database: Database, storage: Storage, name: str = "untrained", *, seed: int = 0) -> str:
    """A checkpoint of untrained weights with its file; returns its id."""
    content = encode_weights(network(seed=seed).state_dict(), card(name))
    file = storage.write(f"{name}.safetensors", content)
    return imported(database, name, sha256=file.sha256, path=file.path)


def queued(database: Database, checkpoint: str, *attacks: dict[str, Any], **fields: Any) -> str:
    """An evaluation that waits; returns its id."""
    request = {"checkpoint": checkpoint, "attacks": attacks or [FGSM], "samples": 4, "batch_size": 2} | fields
    with database.writing() as session:
        (evaluation,) = evaluation_requests.create(session, EvaluationRequest.model_validate(request), None).evaluations
        return evaluation.id


def claimed(database: Database, evaluation: str) -> Claim:
    with database.writing() as session:
        held = jobs.claim(session, "evaluation", evaluation, "worker", 60)
    assert held is not None
    return held


def batch(
    stage: str, number: int, images: Sequence[int], predicted: Sequence[int], *, zero_gradients: int = 0
) -> BatchAttacked:
    """A batch of images whose class is their position modulo ten; the natural ones' margins are all alike."""
    zero_gradient = tuple(place < zero_gradients for place, _ in enumerate(images)) if stage == NATURAL else None
    labels = tuple(image % 10 for image in images)
    margins = (ImageMargin(0.9, 0.9, 2.0, 100.0, 4.0),) * len(images) if stage == NATURAL else None
    return BatchAttacked(stage, number, tuple(images), labels, tuple(predicted), zero_gradient, 0, 0, margins=margins)


def elsewhere(name: str = "theirs", right: int = 3) -> ElsewhereResult:
    """A result of four images, of which so many stay right under FGSM, as the library gives it."""
    spec = EvaluationSpec.model_validate({"attacks": [FGSM], "samples": 4})
    batches = [
        batch(NATURAL, 0, range(4), range(4)),
        batch("fgsm@8/255", 0, range(4), [9] * (4 - right) + [*range(4)][4 - right :]),
    ]
    outcome = summarise(spec, batches, Measured("", "theirs", "0" * 64, tuple(map(str, range(10)))))
    return ElsewhereResult(name=name, source="https://example.org/model.onnx", spec=spec, outcome=outcome)


def begun(database: Database, evaluation: str, dataset_sha256: str = "d" * 64) -> Claim:
    """The evaluation, claimed by a worker that has read the data."""
    held = claimed(database, evaluation)
    with database.writing() as session:
        samples = evaluations.specified(evaluations.get(session, evaluation)).samples
        evaluations.note_start(session, held, AttackedSet(dataset_sha256, samples), IMPLEMENTATIONS)
    return held


def recorded(database: Database, held: Claim, *batches: BatchAttacked, seconds: float = 1.0) -> None:
    for each in batches:
        with database.writing() as session:
            evaluations.record_batch(session, held, each, seconds=seconds)


def finished(
    database: Database,
    evaluation: str,
    *,
    natural: int,
    robust: int,
    zero_gradients: int = 0,
    findings: Sequence[Finding] = (),
) -> None:
    """End an evaluation in which so many images stay right without, and under each, attack (none an ensemble).

    Of those that look for masked gradients each breaks all.
    """
    held = begun(database, evaluation)
    with database.reading() as session:
        spec = evaluations.specified(evaluations.get(session, evaluation))
    images = range(spec.samples)
    for stage, right in [(NATURAL, natural), *((attack_label(attack), robust) for attack in spec.attacks)]:
        predicted = [i % 10 if i < right else (i + 1) % 10 for i in images]
        recorded(database, held, batch(stage, 0, images, predicted, zero_gradients=zero_gradients))
    for attack in masking_attacks(spec):
        name = f"{MASKING_PREFIX}{attack_label(attack)}"
        recorded(database, held, batch(name, 0, images, [(i + 1) % 10 for i in images]))
    with database.writing() as session:
        evaluations.complete(session, held, findings)
