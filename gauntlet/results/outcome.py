"""What an evaluation found: its batches counted into accuracies, each with its interval and its protocol."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from gauntlet.errors import EvaluationIncomplete
from gauntlet.results.accuracy import Accuracy, RightImages, right_images
from gauntlet.results.corruptions import CorruptionOutcome, corruption_outcome, corruption_stages
from gauntlet.results.finding import Finding, non_finite_gradient
from gauntlet.results.margins import ImageMargin, MarginOutcome, margin_outcome
from gauntlet.results.masking import MASKING_PREFIX, MaskingVerdict, masking_attacks, verdict
from gauntlet.results.protocol import Protocol, implementation
from gauntlet.results.smoothing import SmoothingOutcome, smoothing_outcome, smoothing_stage
from gauntlet.results.stage_results import NATURAL, ModelLookedAt, StageBatch, StageResult, by_stage
from gauntlet.spec.eps import Eps
from gauntlet.spec.evaluations.attacks import AnyAttack, AttackSpec, Norm, attack_label, threat_model
from gauntlet.spec.evaluations.corruptions import CorruptionsSpec
from gauntlet.spec.evaluations.ensembles import parts_of
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from gauntlet.spec.evaluations.smoothing import SmoothingSpec

# Per-class counts of more classes than this would be larger than all else that is stored of an evaluation.
_MOST_CLASSES_COUNTED = 200

# Images of each true class (row) that were taken for each class (column).
Confusion = tuple[tuple[int, ...], ...]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AttackOutcome(_Value):
    """Accuracy under one attack. `survivors` counts the images that each part of an ensemble left correct.

    `confusion` is None where there are more than 200 classes. `right` are the images that are right under it
    (`gauntlet.results.accuracy`), None where an earlier version measured it.
    """

    attack: AttackSpec
    accuracy: Accuracy
    right: RightImages | None = Field(default=None, exclude_if=lambda found: found is None)
    survivors: dict[str, int]
    confusion: Confusion | None
    protocol: Protocol
    fingerprint: str


class WorstCase(_Value):
    """Images that are right naturally and under every attack of one threat model (labels in `attacks`)."""

    norm: Norm
    eps: Eps
    accuracy: Accuracy
    attacks: tuple[str, ...]


class EvaluationOutcome(_Value):
    """One checkpoint against a list of attacks, all on the same images.

    `zero_gradients` counts the natural images at which cross-entropy's gradient is, at every pixel, exactly zero in
    fp32 or no number. `margins` is None where an earlier version measured some of them. `masking`, `corruptions` and
    `smoothing` are None where the spec does not ask for them. `findings` is what looks wrong with the model on the
    first test images, 64 at most (`gauntlet.evaluation.preflight`), and a gradient that is not finite on any image.
    `natural_right` are the images that are right as they are, None where an earlier version measured them.
    """

    weights_sha256: str
    classes: tuple[str, ...]
    natural: Accuracy
    natural_right: RightImages | None = Field(default=None, exclude_if=lambda found: found is None)
    natural_protocol: Protocol
    natural_fingerprint: str
    confusion: Confusion | None
    zero_gradients: int
    margins: MarginOutcome | None = Field(default=None, exclude_if=lambda found: found is None)
    attacks: tuple[AttackOutcome, ...]
    worst_cases: tuple[WorstCase, ...]
    masking: MaskingVerdict | None = None
    findings: tuple[Finding, ...] = ()
    corruptions: CorruptionOutcome | None = Field(default=None, exclude_if=lambda found: found is None)
    smoothing: SmoothingOutcome | None = Field(default=None, exclude_if=lambda found: found is None)


@dataclass(frozen=True)
class Measured:
    """What was measured: whose weights, on which data, and what looked wrong with the model if no batch tells it."""

    weights_sha256: str
    dataset: str
    dataset_sha256: str
    classes: tuple[str, ...]
    findings: tuple[Finding, ...] = ()


def summarise(spec: EvaluationSpec, batches: Iterable[StageBatch], measured: Measured) -> EvaluationOutcome:
    """Count a finished evaluation's batches, and hand on what was found wrong with the model before they were made.

    A part of an ensemble that had no image left to attack has no batch and leaves none correct.

    Raises:
        EvaluationIncomplete: an attack, a check, a corruption or a certificate was not given all of its images.
    """
    everything = list(batches)
    told = (finding for batch in everything if isinstance(batch, ModelLookedAt) for finding in batch.findings)
    findings = tuple(dict.fromkeys([*measured.findings, *told]))
    stages = by_stage(everything)
    _require_whole(spec, stages)
    labels, natural = stages[NATURAL].labels, stages[NATURAL].predicted
    n, classes, margins = len(labels), len(measured.classes), stages[NATURAL].margins
    right = {image for image, predicted in natural.items() if predicted == labels[image]}

    def protocol(attack: AnyAttack | None) -> Protocol:
        return Protocol(
            dataset=measured.dataset,
            dataset_sha256=measured.dataset_sha256,
            n=n,
            attack=attack,
            implementation=implementation(attack),
            batch_size=None if attack is None else spec.batch_size,
            seed=None if attack is None else spec.seed,
        )

    def corrupted(corruptions: CorruptionsSpec) -> CorruptionOutcome:
        measured_by = protocol(None).model_copy(update={"corruptions": corruptions, "seed": spec.seed})
        return corruption_outcome(corruptions, stages, measured_by, measured.weights_sha256)

    def smoothed(smoothing: SmoothingSpec) -> SmoothingOutcome:
        measured_by = protocol(None).model_copy(update={"seed": spec.seed})
        return smoothing_outcome(smoothing, stages, measured_by, measured.weights_sha256)

    outcomes, robust = [], {}
    for attack in spec.attacks:
        label = attack_label(attack)
        predicted, survivors = _under_attack(attack, stages, natural)
        robust[label] = {image for image, seen in predicted.items() if seen == labels[image]}
        outcomes.append(
            AttackOutcome(
                attack=attack,
                accuracy=Accuracy.of(len(robust[label]), n),
                right=right_images(robust[label]),
                survivors=survivors,
                confusion=_confusion(labels, predicted, classes),
                protocol=protocol(attack),
                fingerprint=protocol(attack).fingerprint(measured.weights_sha256),
            )
        )
    return EvaluationOutcome(
        weights_sha256=measured.weights_sha256,
        classes=measured.classes,
        natural=Accuracy.of(len(right), n),
        natural_right=right_images(right),
        natural_protocol=protocol(None),
        natural_fingerprint=protocol(None).fingerprint(measured.weights_sha256),
        confusion=_confusion(labels, natural, classes),
        zero_gradients=stages[NATURAL].zero_gradients,
        margins=margin_outcome(margins, classes, spec.attacks) if len(margins) == n else None,
        attacks=tuple(outcomes),
        worst_cases=tuple(_worst_cases(spec.attacks, right, robust, n)),
        masking=verdict(spec, stages),
        findings=(*findings, *_not_finite(margins, findings)),
        corruptions=corrupted(spec.corruptions) if spec.corruptions else None,
        smoothing=smoothed(spec.smoothing) if spec.smoothing else None,
    )


def _require_whole(spec: EvaluationSpec, stages: Mapping[str, StageResult]) -> None:
    """What an attack was not given it has not broken: left in the midst of its images, a model would be robust."""
    natural = stages.get(NATURAL, StageResult({}, {}))
    for attack in spec.attacks:
        label, parts = attack_label(attack), parts_of(attack)
        left = {image for image, seen in natural.predicted.items() if not parts or seen == natural.labels[image]}
        for name in [f"{label}:{part}" for part in parts] or [label]:
            predicted = _given(name, left, stages)
            left = {image for image in left if predicted[image] == natural.labels[image]}
    if not natural.labels:
        raise EvaluationIncomplete("There are no batches: those that `evaluate` yields come once; keep them in a list.")
    images = sorted(natural.predicted)
    if spec.masking is not None:
        for attack in masking_attacks(spec):
            _given(f"{MASKING_PREFIX}{attack_label(attack)}", images[: spec.masking.samples], stages)
    if spec.corruptions is not None:
        for name in corruption_stages(spec.corruptions, stages):
            _given(name, images, stages)
    if spec.smoothing is not None:
        for radius in spec.smoothing.radii:
            _given(smoothing_stage(spec.smoothing, radius), images[: spec.smoothing.samples], stages)


def _given(name: str, images: Collection[int], stages: Mapping[str, StageResult]) -> Mapping[int, int]:
    """What a stage took images for, all of these among them."""
    predicted = stages.get(name, StageResult({}, {})).predicted
    if missing := len(set(images) - predicted.keys()):
        raise EvaluationIncomplete(
            f"{missing} of the images that are for {name} have not been given to it: the evaluation was left "
            "before its end. Keep all batches that `evaluate` yields, and summarise these."
        )
    return predicted


def _not_finite(margins: Sequence[ImageMargin], known: Iterable[Finding]) -> Iterable[Finding]:
    """That a gradient is not finite, where none of the images that the model was first tried on told it."""
    infinite = sum(image.gradient_l1 is None for image in margins)
    if infinite and all(finding.kind != "non_finite_gradient" for finding in known):
        yield non_finite_gradient(infinite, len(margins), of="the margin")


def _under_attack(
    attack: AnyAttack, stages: Mapping[str, StageResult], natural: Mapping[int, int]
) -> tuple[Mapping[int, int], dict[str, int]]:
    """What each image is taken for under an attack, and the survivors of its parts, if it has some, in their order."""
    label, parts = attack_label(attack), parts_of(attack)
    if not parts:
        return stages[label].predicted, {}
    predicted, survivors = dict(natural), {}
    for part in parts:
        stage = stages.get(f"{label}:{part}", StageResult({}, {}))
        # An image that one part breaks is not given to the next, and one that a part leaves may be broken later.
        predicted |= {image: seen for image, seen in stage.predicted.items() if seen != stage.labels[image]}
        survivors[part] = sum(seen == stage.labels[image] for image, seen in stage.predicted.items())
    return predicted, survivors


def _confusion(labels: Mapping[int, int], predicted: Mapping[int, int], classes: int) -> Confusion | None:
    if classes > _MOST_CLASSES_COUNTED:
        return None
    counts = [[0] * classes for _ in range(classes)]
    for image, label in labels.items():
        counts[label][predicted[image]] += 1
    return tuple(map(tuple, counts))


def _worst_cases(
    attacks: Sequence[AnyAttack], right: set[int], robust: Mapping[str, set[int]], n: int
) -> Iterable[WorstCase]:
    together: dict[str, list[AnyAttack]] = {}
    for attack in attacks:
        together.setdefault(threat_model(attack), []).append(attack)
    for alike in together.values():
        labels = tuple(attack_label(attack) for attack in alike)
        survivors = right.intersection(*(robust[label] for label in labels))
        yield WorstCase(norm=alike[0].norm, eps=alike[0].eps, accuracy=Accuracy.of(len(survivors), n), attacks=labels)
