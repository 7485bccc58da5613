"""How sure a model is of natural images, how far its decision is, and what a straight line would promise. No torch.

An image's margin is its right class's logit minus the largest of the others. Along a straight line, the margin falls to
zero at the distance margin / ‖∇ margin‖ of the dual norm: L1 for a distance in Linf, L2 for one in L2 (Moosavi-Dezfooli
et al. 2016, Eq. 8, for the runner-up alone). Where an attack leaves fewer images than lie beyond its budget on that
line, the network bends towards another class on the way; where it leaves more, it bends away, or the attack failed.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from gauntlet.results.accuracy import Accuracy
from gauntlet.spec.eps import Eps
from gauntlet.spec.evaluations.attacks import AnyAttack, Norm, threat_model

# Digits that are kept: an evaluation of 10,000 images stores 0.4 MB of them.
_DIGITS = 4


def rounded(value: float) -> float:
    """As margins, slopes and probabilities are kept."""
    return float(f"{value:.{_DIGITS}g}")


class ImageMargin(NamedTuple):
    """One natural image: the right class's probability, the largest one, the margin in logits, its gradient's norms.

    The norms are in logits for a pixel's whole range [0, 1]; None where the gradient is not finite.
    """

    probability: float
    confidence: float
    margin: float
    gradient_l1: float | None
    gradient_l2: float | None

    def distance(self, norm: Norm) -> float | None:
        """How far the decision is on a straight line, 0 where it is wrong already; infinite without a gradient."""
        slope = self.gradient_l1 if norm == "Linf" else self.gradient_l2
        if self.margin <= 0:
            return 0.0
        if slope is None:
            return None
        return self.margin / slope if slope else math.inf


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Quartiles(_Value):
    """Of several values the lower quartile, the median and the upper one, each a value of theirs; None if infinite."""

    lower: float | None
    median: float | None
    upper: float | None

    @classmethod
    def of(cls, values: Iterable[float]) -> "Quartiles | None":
        """Those of at least one value, infinite ones among them."""
        ordered = sorted(values)
        if not ordered:
            return None
        lower, median, upper = (ordered[math.ceil(share * len(ordered)) - 1] for share in (0.25, 0.5, 0.75))
        return cls(lower=_finite(lower), median=_finite(median), upper=_finite(upper))


class StraightLine(_Value):
    """The share of images that are right and whose decision lies beyond a budget on a straight line."""

    norm: Norm
    eps: Eps
    accuracy: Accuracy


class MarginOutcome(_Value):
    """A model's margins on the natural images.

    `confidence` and `right_probability` are means, of the largest probability and of the right class's; `given_up` is
    the share of images whose right class is less likely than one drawn by lot. `margins` (in logits), `slopes` (the
    gradient's L1 norm, in logits for a pixel's whole range) and `distances` (in Linf, as budgets are) are quartiles
    over the images that are right, None where there is none. `straight` has a line for each budget of the attacks.
    """

    n: int
    confidence: float
    right_probability: float
    given_up: Accuracy
    margins: Quartiles | None
    slopes: Quartiles | None
    distances: Quartiles | None
    straight: tuple[StraightLine, ...]


def margin_outcome(margins: Sequence[ImageMargin], classes: int, attacks: Iterable[AnyAttack]) -> MarginOutcome:
    """What the margins of at least one image say together."""
    n = len(margins)
    right = [image for image in margins if image.margin > 0]
    distances = (image.distance("Linf") for image in right)
    return MarginOutcome(
        n=n,
        confidence=math.fsum(image.confidence for image in margins) / n,
        right_probability=math.fsum(image.probability for image in margins) / n,
        # Both rounded: whoever answers with all classes alike gives nothing up.
        given_up=Accuracy.of(sum(image.probability < rounded(1 / classes) for image in margins), n),
        margins=Quartiles.of(image.margin for image in right),
        slopes=Quartiles.of(image.gradient_l1 for image in right if image.gradient_l1 is not None),
        distances=Quartiles.of(distance for distance in distances if distance is not None),
        straight=tuple(_straight_lines(margins, attacks)),
    )


def _straight_lines(margins: Sequence[ImageMargin], attacks: Iterable[AnyAttack]) -> Iterator[StraightLine]:
    budgets: dict[str, tuple[Norm, Fraction]] = {}
    for attack in attacks:
        budgets.setdefault(threat_model(attack), (attack.norm, attack.eps))
    for norm, eps in budgets.values():
        distances = (image.distance(norm) for image in margins)
        beyond = sum(distance is not None and distance > eps for distance in distances)
        yield StraightLine(norm=norm, eps=eps, accuracy=Accuracy.of(beyond, len(margins)))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
