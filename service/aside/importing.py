"""`python -m service.aside.importing`: tries a user's model for `service.pictures.imports`. Loads torch.

An order has "weights" and "into", the numbers of open files, and "card". The answer has "findings", "renamed", the
file's name of a tensor → ours where they differ, and "left_out", the file's name of one that is not taken → what it is;
and the weights are written into the other file with our header.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gauntlet import seeding
from gauntlet.errors import CheckpointInvalid, ModelUnfit
from gauntlet.evaluation.preflight import preflight
from gauntlet.models.checkpoints import build_loaded, encode_weights
from gauntlet.models.foreign_weights import ForeignWeights, read_foreign_weights
from gauntlet.models.memory import is_out_of_memory
from gauntlet.models.own_networks import take_from
from gauntlet.results.finding import Finding
from gauntlet.spec.checkpoint_card import CheckpointCard
from service.aside.bounds import Answer, serve
from store.settings import StoreSettings

# The service may have no images of the data set. Few, and fewer of large ones, so that ResNet-18 answers within
# seconds: it takes 850 MB for 16 images of 64 × 64, 1,120 for two of 256 × 256.
_MOST_NOISE_IMAGES, _MOST_NOISE_PIXELS = 16, 16 * 64 * 64


def examine(order: Mapping[str, Any], _content: bytes) -> Answer:
    """Read and try the weights, and write them again."""
    card = CheckpointCard.model_validate_json(order["card"])
    try:
        weights = _read(order["weights"], card)
        findings = _tried(weights.tensors, card)
        content = encode_weights(weights.tensors, card)
    except (CheckpointInvalid, ModelUnfit) as error:
        return {"refused": str(error)}, ()
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise MemoryError from error
        raise
    try:
        with Path(f"/proc/self/fd/{order['into']}").open("wb") as file:
            file.write(content)
    except OSError as error:
        return {"storage": error.errno, "why": error.strerror, "met_there": True}, ()
    names = weights.names
    return {
        "findings": [finding.model_dump() for finding in findings],
        "renamed": names.renamed,
        "left_out": names.idle,
    }, ()


def _read(descriptor: int, card: CheckpointCard) -> ForeignWeights:
    with tempfile.TemporaryDirectory() as folder:
        # The library maps a file by its path into memory, and an upload has none but the kernel's for what is open.
        path = Path(folder) / "The file"
        path.symlink_to(f"/proc/self/fd/{descriptor}")
        return read_foreign_weights(path, card.architecture, card.image_shape, len(card.classes), card.normalisation)


def _tried(tensors: dict[str, Tensor], card: CheckpointCard) -> tuple[Finding, ...]:
    """What trying the model on uniform noise finds.

    Raises:
        CheckpointInvalid: its output is not finite.
    """
    _, height, width = card.image_shape
    images = min(_MOST_NOISE_IMAGES, max(2, _MOST_NOISE_PIXELS // (height * width)))
    noise = torch.rand(images, *card.image_shape, generator=seeding.generator("cpu", 0, "preflight"))
    findings = preflight(build_loaded(tensors, card), noise, None, len(card.classes))
    for finding in findings:
        if finding.severity == "error":
            raise CheckpointInvalid(finding.message)
    return findings


if __name__ == "__main__":
    take_from(StoreSettings.from_environment().architectures)
    serve(examine, beyond_memory="Trying the model takes more than {} MiB of memory.")
