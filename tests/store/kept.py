"""Weights as a worker would have kept them, without a file."""

from gauntlet.spec.checkpoint_card import CheckpointCard, Trained
from gauntlet.spec.experiment import ExperimentSpec
from store.storage import StoredFile
from store.subjects.runs import KeptWeights


def kept_weights(spec: ExperimentSpec, epoch: int, *, averaged: bool = False) -> KeptWeights:
    """Those of the experiment's first run at `epoch`; its sha256 is the epoch's last digit, repeated."""
    _, run = spec.runs()[0]
    card = CheckpointCard(
        architecture=run.architecture,
        dataset=run.dataset,
        classes=tuple("0123456789"),
        image_shape=run.dataset.image_shape,
        origin=Trained(spec=run, epoch=epoch, averaged=averaged),
    )
    return KeptWeights(StoredFile(f"{'average' if averaged else 'weights'}-{epoch}", str(epoch % 10) * 64, 10), card)
