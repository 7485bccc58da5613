"""The authors' AutoAttack with fewer steps: the same code in a fiftieth of the time, to compare two drivers of it."""

import sys

import torch
from pyautoattack import AutoAttack
from torch import Tensor, nn


class BriefAutoAttack(AutoAttack):
    """So few steps that each part leaves work for the next, as the standard ensemble does on harder images."""

    def __init__(self, model: nn.Module, **options: object) -> None:
        super().__init__(model, **options)
        self.apgd.n_iter = self.apgd_targeted.n_iter = 1
        self.fab.n_iter = 1
        self.square.n_queries = 100

    def run_standard_evaluation(self, images: Tensor, labels: Tensor, *, batch_size: int) -> tuple[Tensor, Tensor]:
        """The package's, but that random numbers and what traces this process are as they were.

        The package traces what a model calls, and afterwards nothing is traced: what measures coverage saw no more.
        """
        tracer = sys.gettrace()
        try:
            with torch.random.fork_rng():
                attacked, predicted = super().run_standard_evaluation(images, labels, batch_size=batch_size)
        finally:
            sys.settrace(tracer)
        return attacked, predicted


def reference_flags(
    model: nn.Module, images: Tensor, labels: Tensor, eps: float, batch_size: int, targets: int = 9
) -> list[bool]:
    """Which images the package's own loop leaves correct, seed 0."""
    package = BriefAutoAttack(model, norm="Linf", eps=eps, version="standard", seed=0, device=images.device)
    package.apgd_targeted.n_target_classes = package.fab.n_target_classes = targets
    _, predicted = package.run_standard_evaluation(images, labels, batch_size=batch_size)
    flags: list[bool] = (predicted == labels).tolist()
    return flags
