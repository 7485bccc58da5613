"""What is left of a model's accuracy on corrupted images: each kind at each severity, and the mean. No torch."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from gauntlet.results.accuracy import Accuracy
from gauntlet.results.protocol import Protocol
from gauntlet.results.stage_results import StageResult
from gauntlet.spec.evaluations.corruptions import STRENGTH_TITLES, CorruptionKind, CorruptionsSpec, Strengths

CORRUPTION_PREFIX = "corruption/"


class CorruptionAccuracy(BaseModel):
    """Of one kind, by severity; `mean` is of these."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: CorruptionKind
    severities: dict[int, Accuracy]
    mean: Accuracy


class CorruptionOutcome(BaseModel):
    """Accuracy on the same images under every corruption that was asked for; `strengths` says whose they are.

    `severities` are means over the kinds, and `mean` is over all of both. In a mean each image counts with its share of
    right answers, and the interval is Wilson's of so many images: at least as wide as that of such shares would be.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    strengths: Strengths
    kinds: tuple[CorruptionAccuracy, ...]
    severities: dict[int, Accuracy]
    mean: Accuracy
    protocol: Protocol
    fingerprint: str


def corruption_stage(strengths: Strengths, kind: CorruptionKind, severity: int) -> str:
    """The name of the stage that measures it."""
    return f"{CORRUPTION_PREFIX}{strengths}/{kind}:{severity}"


def corruption_stages(spec: CorruptionsSpec, stages: Mapping[str, StageResult]) -> list[str]:
    """The names of all that are asked for, of the strengths that `stages` has some of."""
    asked = [
        [corruption_stage(strengths, kind, severity) for kind in spec.kinds for severity in spec.severities]
        for strengths in STRENGTH_TITLES
    ]
    return next((names for names in asked if not stages.keys().isdisjoint(names)), asked[0])


def corruption_outcome(
    spec: CorruptionsSpec, stages: Mapping[str, StageResult], protocol: Protocol, weights_sha256: str
) -> CorruptionOutcome:
    """Count an evaluation's corrupted images; which strengths were theirs the names of its stages say."""
    some = spec.kinds[0], spec.severities[0]
    strengths = next(whose for whose in STRENGTH_TITLES if corruption_stage(whose, *some) in stages)

    def accuracies(kind: CorruptionKind) -> dict[int, Accuracy]:
        found = {severity: stages[corruption_stage(strengths, kind, severity)] for severity in sorted(spec.severities)}
        return {severity: _of_one(stage) for severity, stage in found.items()}

    by_kind = {kind: accuracies(kind) for kind in spec.kinds}
    return CorruptionOutcome(
        strengths=strengths,
        kinds=tuple(
            CorruptionAccuracy(kind=kind, severities=found, mean=_mean(list(found.values())))
            for kind, found in by_kind.items()
        ),
        severities={
            severity: _mean([found[severity] for found in by_kind.values()]) for severity in sorted(spec.severities)
        },
        mean=_mean([accuracy for found in by_kind.values() for accuracy in found.values()]),
        protocol=protocol,
        fingerprint=protocol.fingerprint(weights_sha256),
    )


def _of_one(stage: StageResult) -> Accuracy:
    return Accuracy.of(
        sum(seen == stage.labels[image] for image, seen in stage.predicted.items()), len(stage.predicted)
    )


def _mean(of: Sequence[Accuracy]) -> Accuracy:
    n = of[0].n
    return Accuracy.of(sum(accuracy.value for accuracy in of) / len(of) * n, n)
