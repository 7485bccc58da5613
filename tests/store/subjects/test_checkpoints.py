"""Checkpoints that no run made, on both databases."""

from gauntlet.spec.checkpoint_card import CheckpointCard, Imported
from gauntlet.spec.kinds import Digits
from gauntlet.spec.runs.architectures import ResNet
from store.database import Database
from store.storage import StoredFile
from store.subjects import checkpoints

CARD = CheckpointCard(
    architecture=ResNet(),
    dataset=Digits(),
    classes=tuple("0123456789"),
    image_shape=(1, 16, 16),
    origin=Imported(name="a reader", source="a book"),
)


def test_imported_weights_are_a_checkpoint_without_a_run(database: Database) -> None:
    """Any number of them is recorded, with what the card says, and shown like a run's."""
    for number in (1, 2):
        with database.writing() as session:
            weights = StoredFile(f"ckpt_{number}/weights.safetensors", "0" * 64, 10)
            recorded = checkpoints.show(checkpoints.add_imported(session, f"ckpt_{number}", CARD, weights))
        with database.reading() as session:
            assert checkpoints.show(checkpoints.get(session, f"ckpt_{number}")) == recorded
        assert (recorded.name, recorded.card) == ("a reader", CARD)
        assert (recorded.run, recorded.epoch, recorded.seed, recorded.metrics) == (None, None, None, {})
    with database.reading() as session:
        page = checkpoints.page(session, run=None, after=None, limit=10)
        assert [checkpoints.show(row).id for row in page.rows] == ["ckpt_2", "ckpt_1"]
