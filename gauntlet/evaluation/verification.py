"""Whether the attacked pictures of an evaluation are what they are said to be, found without any attack's code."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gauntlet.data.datasets import to_unit
from gauntlet.errors import ModelUnfit
from gauntlet.evaluation.kept_pictures import KeptPictures, UnderAttack
from gauntlet.models.precision import fp32_products

NATURAL_PICTURES = "natural"
# Attacks clamp in fp32, whose rounding around 1 is 6e-8 a pixel.
_ROUNDING = 1e-6
# Another processor, or another batch, rounds a model's sums otherwise: of the largest logit.
_UNDECIDED = 1e-4
_AT_ONCE = 100


@dataclass(frozen=True)
class Verified:
    """What was found of the pictures of one attack, or of the images without any.

    `right` of `images` are classified correctly, and `said_right` were said to be. `beyond` lie farther from their own
    image than the budget allows, the farthest at `distance`; `outside` have a value outside [0, 1]. `otherwise` are the
    positions that the model takes for another class than is said; at those that are `undecided` instead, the two are as
    good as equal, within what processors differ by.
    """

    label: str
    images: int
    right: int
    said_right: int
    distance: float
    beyond: tuple[int, ...]
    outside: tuple[int, ...]
    otherwise: tuple[int, ...]
    undecided: tuple[int, ...]

    @property
    def holds(self) -> bool:
        """Whether everything is as it is said."""
        return not (self.beyond or self.outside or self.otherwise)


def verify(kept: KeptPictures, model: nn.Module, *, device: torch.device | str = "cpu") -> Iterator[Verified]:
    """What is found of the images themselves, and then of each attack's pictures.

    Args:
        model: in eval mode, from float32 [n, c, h, w] in [0, 1] to logits.

    Raises:
        ModelUnfit: it takes no such images, or answers for other classes or with what is not finite.
    """
    images = to_unit(torch.from_numpy(kept.images))
    logits = _logits(model, images, len(kept.about["classes"]), device)
    yield _verified(NATURAL_PICTURES, kept.labels, kept.natural, logits, torch.zeros(len(images)), 0.0, images)
    for attack in kept.attacks:
        pictures = torch.from_numpy(attack.pictures)
        logits = _logits(model, pictures, len(kept.about["classes"]), device)
        distances, most = _distances(attack, pictures, images), float(attack.eps)
        yield _verified(attack.label, kept.labels, attack.predicted, logits, distances, most, pictures)


def _distances(attack: UnderAttack, pictures: Tensor, images: Tensor) -> Tensor:
    # In fp64, so that nothing is lost on the way.
    changes = (pictures.double() - images.double()).flatten(1)
    return changes.abs().amax(dim=1) if attack.norm == "Linf" else changes.norm(dim=1)


def _verified(
    label: str,
    labels: NDArray[np.int64],
    said: NDArray[np.int64],
    logits: Tensor,
    distances: Tensor,
    most: float,
    pictures: Tensor,
) -> Verified:
    predicted = logits.argmax(dim=1)
    told = torch.from_numpy(said)
    short = logits.amax(dim=1) - logits.gather(1, told[:, None]).squeeze(1)
    close = short <= _UNDECIDED * logits.abs().amax(dim=1)
    # A model that answers for equal classes with equal logits takes the first.
    differs = predicted != told
    flat = pictures.flatten(1)
    return Verified(
        label=label,
        images=len(said),
        right=int((predicted.numpy() == labels).sum()),
        said_right=int((said == labels).sum()),
        distance=float(distances.max()),
        beyond=_positions(distances > most + _ROUNDING * max(1.0, most)),
        outside=_positions((flat.amin(dim=1) < 0) | (flat.amax(dim=1) > 1)),
        otherwise=_positions(differs & ~close),
        undecided=_positions(differs & close),
    )


def _positions(which: Tensor) -> tuple[int, ...]:
    return tuple(which.nonzero().flatten().tolist())


def _logits(model: nn.Module, images: Tensor, classes: int, device: torch.device | str) -> Tensor:
    found = []
    with torch.inference_mode(), fp32_products("fp32"):
        for some in images.split(_AT_ONCE):
            try:
                logits: Tensor = model(some.to(device).contiguous(memory_format=torch.channels_last))
            except RuntimeError as error:
                shape = " × ".join(map(str, images.shape[1:]))
                raise ModelUnfit(f"The model takes no images of {shape}, as these pictures are.") from error
            if logits.shape != (len(some), classes):
                raise ModelUnfit(f"The model does not answer for the {classes} classes of these pictures.")
            # Beside an infinite one any class would be as good as the one that is said.
            if not bool(logits.isfinite().all()):
                raise ModelUnfit("The model's output is infinite or not a number for some of these pictures.")
            found.append(logits.float().cpu())
    return torch.cat(found)
