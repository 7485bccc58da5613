"""Weights that a user brings: read, tried, and written again with our header. Loads torch, on its first use."""

import tempfile
from pathlib import Path
from typing import BinaryIO

import torch

from gauntlet import seeding
from gauntlet.errors import CheckpointInvalid
from gauntlet.evaluation.preflight import preflight
from gauntlet.models.checkpoints import build_loaded, encode_weights, read_foreign_weights
from gauntlet.results.finding import Finding
from gauntlet.spec.checkpoint_card import CheckpointCard

# The service may have no images of the data set. Few, so that ResNet-18 on large images answers within seconds.
_NOISE_IMAGES = 16


def examine(upload: BinaryIO, card: CheckpointCard) -> tuple[bytes, tuple[Finding, ...]]:
    """The upload as a weights file of ours, and what trying its model on uniform noise found.

    Raises:
        CheckpointInvalid: no safetensors file, tensors unlike the network's, or a model whose output is not finite.
    """
    with tempfile.TemporaryDirectory() as folder:
        # The library maps a file by its path into memory, and an upload has none but the kernel's for what is open.
        path = Path(folder) / "The file"
        path.symlink_to(f"/proc/self/fd/{upload.fileno()}")
        upload.flush()
        tensors = read_foreign_weights(path, card.architecture, card.image_shape, len(card.classes))
    noise = torch.rand(_NOISE_IMAGES, *card.image_shape, generator=seeding.generator("cpu", 0, "preflight"))
    findings = preflight(build_loaded(tensors, card), noise, None, len(card.classes))
    for finding in findings:
        if finding.severity == "error":
            raise CheckpointInvalid(finding.message)
    return encode_weights(tensors, card), findings
