"""The weights of a checkpoint, as jobs read them."""

from pathlib import Path

from gauntlet.errors import CheckpointInvalid
from store import files
from store.models import Checkpoint
from store.storage import FileDamaged, Storage


def weights_of(checkpoint: Checkpoint, storage: Storage) -> Path:
    """A file of this machine with the checkpoint's weights, whose digest is the recorded one.

    Raises:
        CheckpointInvalid: they are damaged.
        OSError: they cannot be read; a storage that is away must not be taken for a checkpoint that is lost.
    """
    try:
        return files.checked(storage, checkpoint.path, checkpoint.sha256)
    except FileDamaged as error:
        raise CheckpointInvalid(f"The file of checkpoint {checkpoint.id} is damaged.") from error
