"""Runs that are trained together, as fast as the loop itself is."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.speed.rounds import random_images
from gauntlet.data.datasets import Dataset, ImageSet
from gauntlet.events import BatchFinished
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.runs.kinship import Kernels
from gauntlet.training.fused.together import train_together

_OBJECTIVES = ({"kind": "cross_entropy"}, {"kind": "policy_gradient", "action": "argmax", "baseline": "batch_mean"})


@dataclass(frozen=True)
class Scale:
    """How much of everything: as a GPU is asked for, or as a CPU can rehearse."""

    device: torch.device
    images: int = 50_000
    # Runs and batch of what is measured both ways, first of all.
    both_ways: tuple[tuple[int, int], ...] = ((24, 32), (8, 128), (6, 128), (24, 128), (6, 32))
    runs: tuple[int, ...] = (1, 12, 48)
    batches: tuple[int, ...] = (32, 128)
    precisions: tuple[str, ...] = ("bf16", "tf32", "fp32")
    jobs: tuple[int, ...] = (1, 12)
    warm_up: int = 20
    steps: int = 200
    attacked: int = 10_000
    attacked_by_package: int = 1_000
    attack_batch: int = 1_000
    epochs: int = 10

    @property
    def compile(self) -> str:
        """How a step is done: captured in a graph on a GPU."""
        return "on" if self.device.type == "cuda" else "off"

    @classmethod
    def of_a_rehearsal(cls) -> "Scale":
        """What a CPU has done within minutes."""
        return cls(torch.device("cpu"), 128, ((2, 16),), (1, 3), (16,), ("fp32",), (1, 2), 1, 2, 4, 2, 4, 1)


def together(scale: Scale, runs: int, batch: int, precision: str, kernels: Kernels = "auto") -> dict[str, Any]:
    """Images/s of so many runs trained together, by those kernels; one run is the run alone.

    `behind_s` is for how long the GPU still computed when all was launched: next to nothing where the host limits it.
    `first_s` is how long the first step took, in which kernels are compiled, tried and captured.
    """
    pixels, labels = random_images(scale.images)
    images = ImageSet(pixels, labels)
    data = Dataset(images, images.take(10), tuple("abcdefghij"))
    specs = [spec_of(seed, batch, precision, scale) for seed in range(runs)]
    steps = scale.warm_up + min(scale.steps, scale.images // batch - scale.warm_up - 1)
    done, started, seconds, behind, first = 0, 0.0, 0.0, 0.0, 0.0

    def leaves(_: int) -> bool:
        return seconds > 0

    begun = time.perf_counter()
    with _warnings() as warned:
        for place, event in train_together(specs, data, device=scale.device, leaves=leaves, kernels=kernels):
            if place == runs - 1 and isinstance(event, BatchFinished):
                done += 1
                if done == 1:
                    _finish(scale.device)
                    first = time.perf_counter() - begun
                if done == scale.warm_up:
                    _finish(scale.device)
                    started = time.perf_counter()
                elif done == steps:
                    queued = time.perf_counter()
                    _finish(scale.device)
                    seconds = time.perf_counter() - started
                    behind = time.perf_counter() - queued
    rate = runs * batch * (steps - scale.warm_up) / seconds
    found = {"images_per_second": round(rate), "behind_s": round(behind, 3), "first_s": round(first, 1)}
    return found | ({"warned": warned} if warned else {})


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """What is logged inside as a warning, and worse."""
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]  # no more is wanted of it
    logging.getLogger().addHandler(handler)
    try:
        yield said
    finally:
        logging.getLogger().removeHandler(handler)


def spec_of(seed: int, batch: int, precision: str, scale: Scale) -> RunSpec:
    return RunSpec.model_validate(
        {
            "dataset": {"name": "cifar10"},
            "architecture": {"kind": "cnn"},
            "objective": _OBJECTIVES[seed % 2],
            "adversary": {"kind": "fgsm", "eps": "8/255"},
            "training": {"batch_size": batch, "precision": precision, "compile": scale.compile},
            "evaluation": {},
            "seed": seed,
        }
    )


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
