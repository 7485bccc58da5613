"""Results that somebody measured with the library, elsewhere, and brings to a service to be kept beside its own."""

from collections.abc import Iterator
from math import isclose
from typing import Literal, Self

from pydantic import Field, model_validator

from gauntlet.results.accuracy import Accuracy, right_count
from gauntlet.results.doubts import Doubt, doubts
from gauntlet.results.intervals import wilson_interval
from gauntlet.results.outcome import EvaluationOutcome
from gauntlet.results.protocol import Protocol
from gauntlet.spec.evaluations.attacks import attack_label
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from gauntlet.spec.kinds import Spec
from gauntlet.spec.reading.texts import Label, Source

ELSEWHERE = Doubt(
    kind="measured_elsewhere",
    severity="warning",
    sentence="Measured elsewhere and brought by whoever names it: this service has seen neither the model nor the "
    "images, and ranks it nowhere.",
)
_DIGITS = 1e-9


class ElsewhereResult(Spec):
    """What an evaluation by the library found, and what its model is called; the body of `POST /v1/results`.

    It is taken at its word, but must agree with itself: counts of images, intervals, protocols and fingerprints.
    """

    name: Label = Field(description="What to call the model.")
    source: Source = Field(default="", description="Where it comes from, such as a paper or an address.")
    measured: Literal["elsewhere"] = "elsewhere"
    spec: EvaluationSpec = Field(description="What the model was evaluated with.")
    outcome: EvaluationOutcome = Field(description="What `gauntlet.summarise` says of it.")

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if (fault := next(self._faults(), None)) is not None:
            raise ValueError(f"the outcome does not agree with itself or its spec: {fault}")
        return self

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """All reasons not to take its numbers at their word; where it was measured is the first."""
        return ELSEWHERE, *doubts(self.outcome.findings, self.outcome.masking)

    def _faults(self) -> Iterator[str]:
        outcome = self.outcome
        asked, found = (
            [attack_label(attack) for attack in attacks]
            for attacks in (self.spec.attacks, [each.attack for each in outcome.attacks])
        )
        if asked != found:
            yield f"it is of the attacks {', '.join(found)}, and not of {', '.join(asked)}"
        n = outcome.natural.n
        if not 0 < n <= self.spec.samples:
            yield f"it is of {n} images, and {self.spec.samples} were asked for"
        measured = [("natural", outcome.natural, outcome.natural_protocol, outcome.natural_fingerprint)]
        measured += [
            (attack_label(each.attack), each.accuracy, each.protocol, each.fingerprint) for each in outcome.attacks
        ]
        for label, accuracy, protocol, fingerprint in measured:
            yield from _of_one(label, accuracy, protocol, n)
            if fingerprint != protocol.fingerprint(outcome.weights_sha256):
                yield f"the fingerprint of {label} is not that of its protocol and weights"
        for each in outcome.attacks:
            if each.protocol.attack != each.attack:
                yield f"the protocol of {attack_label(each.attack)} is of another attack"
        told = [("natural", outcome.natural, outcome.natural_right)]
        told += [(attack_label(each.attack), each.accuracy, each.right) for each in outcome.attacks]
        for label, accuracy, right in told:
            if right is not None and (
                right_count(right) != round(accuracy.value * n) or int(right, 16).bit_length() > n
            ):
                yield f"the right images of {label} are not as many of the first {n} as its accuracy says"
        for worst in outcome.worst_cases:
            yield from _counted(f"the worst case of {', '.join(worst.attacks)}", worst.accuracy, n)


def _of_one(label: str, accuracy: Accuracy, protocol: Protocol, n: int) -> Iterator[str]:
    yield from _counted(label, accuracy, n)
    if protocol.n != n:
        yield f"the protocol of {label} is of {protocol.n} images, and the accuracy of {n}"


def _counted(label: str, accuracy: Accuracy, n: int) -> Iterator[str]:
    if accuracy.n != n:
        yield f"{label} is of {accuracy.n} images, and the natural accuracy of {n}"
    elif not 0 <= accuracy.value <= 1 or not isclose(accuracy.value * n, round(accuracy.value * n), abs_tol=1e-6 * n):
        yield f"{label} is no whole number of {n} images"
    elif not all(
        isclose(one, other, abs_tol=_DIGITS)
        for one, other in zip(accuracy.interval, wilson_interval(accuracy.value, n), strict=True)
    ):
        yield f"the interval of {label} is not that of {accuracy.value:g} of {n} images"
