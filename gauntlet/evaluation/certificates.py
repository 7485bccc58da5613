"""Certificates of the smoothed model as stages of an evaluation: one for each radius, of which all are read off one."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from gauntlet.attacks.slices import sliced
from gauntlet.attacks.smoothing import ABSTAINED, Certificate, certify
from gauntlet.evaluation.stages import Victim
from gauntlet.results.smoothing import smoothing_stage
from gauntlet.spec.evaluations.smoothing import SmoothingSpec

# From images float32 [n, c, h, w] to what they are taken for, int64 [n].
Predict = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class CertifiedStage:
    """What images are certified as up to one radius; an image that is not has `ABSTAINED`."""

    name: str
    cost: int
    predict: Predict


class Certificates:
    """Those of one batch at a time: the first radius that is asked for makes them, the others read them off."""

    def __init__(self, victim: Victim, spec: SmoothingSpec, seed: int) -> None:
        self._victim, self._spec, self._seed = victim, spec, seed
        self._of: Tensor | None = None
        self._made: list[Certificate] = []

    def stages(self) -> list[CertifiedStage]:
        """A stage for each radius; all of the cost is the first one's."""
        costs = [certifying_cost(self._spec), *(0 for _ in self._spec.radii[1:])]
        return [
            CertifiedStage(smoothing_stage(self._spec, radius), cost, partial(self._at, radius))
            for radius, cost in zip(self._spec.radii, costs, strict=True)
        ]

    def _at(self, radius: float, images: Tensor) -> Tensor:
        if self._of is None or not torch.equal(self._of, images):
            model = sliced(self._victim.model, self._victim.device)
            self._made = certify(model, images, self._spec, self._victim.classes, self._seed)
            self._of = images
        labels = [found.label if found.radius >= radius else ABSTAINED for found in self._made]
        return torch.tensor(labels, dtype=torch.int64, device=images.device)


def certifying_cost(spec: SmoothingSpec) -> int:
    """Model passes for an image."""
    return spec.selection + spec.draws
