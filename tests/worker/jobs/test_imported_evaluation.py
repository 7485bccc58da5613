"""Evaluating a checkpoint that no run made."""

import pytest
import torch
from PIL import Image

from gauntlet.errors import CheckpointInvalid, DatasetUnavailable
from gauntlet.models.architectures import build_model, initialise
from gauntlet.models.checkpoints import encode_weights
from gauntlet.spec.checkpoint_card import CheckpointCard, ImportCard
from gauntlet.spec.kinds import DatasetSpec, Digits, ImageFolder
from gauntlet.spec.runs.architectures import Cnn
from store.database import Database, db_now
from store.models import Evaluation
from store.queue import jobs
from store.subjects import checkpoints, evaluations
from worker.jobs.evaluation_job import evaluate_checkpoint
from worker.jobs.heartbeat import Heartbeat, beating
from worker.settings import WorkerSettings

torch.set_num_threads(1)


def imported(settings: WorkerSettings, database: Database, card: CheckpointCard) -> None:
    """Random weights under the id `ckpt_1`."""
    model = build_model(card.architecture, card.image_shape, len(card.classes))
    initialise(model, 0)
    stored = settings.storage.write("ckpt_1/weights.safetensors", encode_weights(dict(model.state_dict()), card))
    with database.writing() as session:
        checkpoints.add_imported(session, "ckpt_1", card, stored)


def evaluated(settings: WorkerSettings, card: CheckpointCard) -> Evaluation:
    """The evaluation of such a checkpoint under FGSM, after it was worked on."""
    database = Database(settings.database_url)
    imported(settings, database, card)
    spec = {"attacks": [{"kind": "fgsm", "eps": "8/255"}], "samples": 8}
    with database.writing() as session:
        session.add(Evaluation(id="eval_1", created_at=db_now(), checkpoint_id="ckpt_1", selection=[], spec=spec))
        session.flush()
        held = jobs.claim(session, "evaluation", "eval_1", "worker", 60)
    assert held is not None
    with beating(Heartbeat(database, held, settings)) as (heartbeat,):
        evaluate_checkpoint(database, held, settings, heartbeat, torch.device("cpu"))
    with database.reading() as session:
        return evaluations.get(session, "eval_1")


def card_for(dataset: DatasetSpec, classes: tuple[str, ...] | None = None) -> CheckpointCard:
    return ImportCard(name="theirs", architecture=Cnn(), dataset=dataset, classes=classes).card()


def test_an_imported_checkpoint_is_evaluated_on_its_data_set(settings: WorkerSettings) -> None:
    """The data set is the card's: so many of its test images are attacked, and counted over its classes."""
    evaluation = evaluated(settings, card_for(Digits()))
    assert evaluation.status == "succeeded"
    assert evaluation.outcome is not None
    assert evaluation.outcome["natural"]["n"] == 8  # the samples asked for
    assert evaluation.outcome["classes"] == list("0123456789")
    # Its weights are random, which shows on labelled images only.
    assert [finding["kind"] for finding in evaluation.outcome["findings"]] == ["chance_accuracy"]


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        (("a", "b", "c"), "only the checkpoint has c."),
        (("a", "c"), "only the checkpoint has c; only the data set has b."),
        (("b", "a"), "in another order, which is a, b."),
    ],
)
def test_a_data_set_of_other_classes_is_refused(settings: WorkerSettings, classes: tuple[str, ...], told: str) -> None:
    """A label is a position among the folder's sorted names: as many others in their place would be taken for them."""
    for place in ("test/a", "test/b"):
        folder = settings.data_root / "pictures" / place
        folder.mkdir(parents=True)
        Image.new("RGB", (32, 32)).save(folder / "1.png")
    with pytest.raises(CheckpointInvalid, match=told):
        evaluated(settings, card_for(ImageFolder(folder="pictures"), classes))


def test_a_data_set_that_is_not_there_is_told(settings: WorkerSettings) -> None:
    """Of the worker's own machine, where the service saw none."""
    with pytest.raises(DatasetUnavailable, match="There is no data root, so no folder pictures"):
        evaluated(settings, card_for(ImageFolder(folder="pictures"), ("a", "b")))
