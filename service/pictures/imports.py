"""Weights that a user brings, tried in a process of their own, whose memory comes back when it ends."""

from dataclasses import dataclass
from typing import BinaryIO

from gauntlet.errors import CheckpointInvalid
from gauntlet.results.finding import Finding
from gauntlet.spec.checkpoint_card import CheckpointCard
from service.aside.processes import Aside, Ended
from store.storage import Draft

# Measured: 230 MB of torch; with the model 1,120 for ResNet-18 on images of 256 × 256 and 600 for the paper's CNN on
# 128 × 128. What a network of ours takes on the largest images and 10,000 classes has room twice.
MOST_MEMORY = 2 << 30
# What it computes is bounded; it may have to share a processor with much else.
_PATIENCE_S = 600.0
# The names of a file whose header is as long as it may be, 4 MiB, with nothing in it but signs that JSON writes in
# twelve, and what each tensor is.
_LONGEST_ANSWER = 16 << 20


@dataclass(frozen=True)
class Examined:
    """What trying a model found, and what became of its tensors' names.

    `renamed` is the file's name of each → ours, where they differ; `left_out` the file's name of what takes no part in
    the logits → what that is.
    """

    findings: tuple[Finding, ...]
    renamed: dict[str, str]
    left_out: dict[str, str]


async def examine(
    upload: BinaryIO,
    card: CheckpointCard,
    into: BinaryIO | Draft,
    *,
    most_seconds: float,
    most_memory: int = MOST_MEMORY,
) -> Examined:
    """Try the upload's model on noise; the weights are written `into` a file, under our names and with our header.

    Both files must be the system's own. If this is cancelled, the process is ended.

    Raises:
        CheckpointInvalid: no safetensors file, tensors unlike the network's, a model whose output is not finite, or one
            that takes too long or too much memory.
        ServiceError: 503, the process does not answer.
        OSError: the file cannot be written.
    """
    upload.flush()
    weights, ours = upload.fileno(), into.fileno()
    process = Aside(
        "importing",
        most_memory=most_memory,
        patience_s=_PATIENCE_S,
        descriptors=(weights, ours),
        longest_answer=_LONGEST_ANSWER,
    )
    order = {"weights": weights, "into": ours, "card": card.model_dump_json()}
    try:
        answer, _ = await process.ask(order, seconds=most_seconds)
    except Ended as end:
        raise CheckpointInvalid(_why(end, most_seconds)) from end
    finally:
        await process.close()
    if "refused" in answer:
        raise CheckpointInvalid(answer["refused"])
    findings = tuple(Finding.model_validate(finding) for finding in answer["findings"])
    return Examined(findings, answer["renamed"], answer["left_out"])


def _why(end: Ended, most_seconds: float) -> str:
    if end.late:
        return f"Trying the model takes more than {most_seconds:g} s of a processor."
    return "What tries the model broke down over it."
