"""AutoAttack by its authors' code (pyautoattack), driven one batch at a time.

The package's own loop reports progress only to its log, cannot be stopped between batches and does not resume. Its
four attacks are therefore called one by one, in its order, on batches of its survivors, each batch from the same seed
as there, so the flags equal those of `run_standard_evaluation` (held by a test).
"""

from fractions import Fraction
from typing import Final

import torch
from pyautoattack import AutoAttack
from torch import Tensor, nn

# The standard ensemble, with each part's nominal cost in model passes per image (a backward pass counts as two):
# 100 steps, 9 targets × 100 steps, 9 targets × 100 steps of several gradients, 5,000 queries. Used for progress only.
STANDARD: Final[dict[str, int]] = {"apgd-ce": 300, "apgd-t": 2_700, "fab-t": 6_000, "square": 5_000}

_TARGETS = 9


class _RowMajor(nn.Module):
    """The model with gradients in plain NCHW memory order.

    The package reads gradients with `view`, which fails on the channels-last ones of a channels-last model. Flattening
    costs nothing forward and copies the gradient into plain order backward.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images.flatten(1).unflatten(1, images.shape[1:]))
        return logits


class StandardEnsemble:
    """The standard L∞ ensemble against one model.

    With fewer than ten classes the targeted attacks try every wrong class, as there are fewer than nine.
    """

    def __init__(self, model: nn.Module, eps: Fraction, classes: int, device: torch.device) -> None:
        self._attacks = AutoAttack(_RowMajor(model), norm="Linf", eps=float(eps), version="standard", device=device)
        targets = min(_TARGETS, classes - 1)
        self._attacks.apgd_targeted.n_target_classes = targets
        self._attacks.fab.n_target_classes = targets

    def perturb(self, part: str, images: Tensor, labels: Tensor, seed: int) -> Tensor:
        """Attack a batch with one part of the ensemble.

        Args:
            part: a key of `STANDARD`.
            images: float32 in [0, 1], [n, c, h, w]; labels: int64 [n].
            seed: every batch of an evaluation starts from the same one, as in the reference.

        Returns:
            float32 in [0, 1], [n, c, h, w]. The caller's random state is left as it was.
        """
        ensemble = self._attacks
        attack = {
            "apgd-ce": ensemble.apgd,
            "apgd-t": ensemble.apgd_targeted,
            "fab-t": ensemble.fab,
            "square": ensemble.square,
        }[part]
        if part == "apgd-ce":
            attack.loss = "ce"
        if part == "fab-t":
            attack.targeted = True
        attack.seed = seed
        with torch.random.fork_rng(), torch.no_grad():
            adversarial: Tensor = attack.perturb(images.contiguous(), labels)
        return adversarial
