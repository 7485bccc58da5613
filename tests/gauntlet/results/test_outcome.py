"""What an evaluation's batches are counted into, worked out by hand on six images of three classes."""

import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from hashlib import sha256
from itertools import product
from typing import Any

import pytest

from gauntlet.errors import EvaluationIncomplete
from gauntlet.events import BatchAttacked
from gauntlet.results.accuracy import Accuracy, right_count, right_images, right_in_all
from gauntlet.results.corruptions import corruption_stage
from gauntlet.results.doubts import doubts
from gauntlet.results.finding import Finding
from gauntlet.results.margins import ImageMargin
from gauntlet.results.masking import MASKING_PREFIX, MaskingVerdict, masking_attacks
from gauntlet.results.masking_checks import Check
from gauntlet.results.outcome import EvaluationOutcome, Measured, summarise
from gauntlet.results.protocol import IMPLEMENTATIONS, implementation, with_equal_fingerprints
from gauntlet.results.smoothing import smoothing_stage
from gauntlet.results.stage_results import NATURAL
from gauntlet.spec.evaluations.attacks import AutoAttack, FgsmAttack, attack_label
from gauntlet.spec.evaluations.corruptions import CorruptionKind
from gauntlet.spec.evaluations.evaluation import EvaluationSpec

LABELS = (0, 0, 1, 1, 2, 2)
# The last image is wrong as it is.
SEEN = (0, 0, 1, 1, 2, 0)
MARGIN = ImageMargin(0.9, 0.9, 2.0, 100.0, 4.0)
ATTACKS: list[dict[str, Any]] = [
    {"kind": "fgsm", "eps": "8/255"},
    {"kind": "autoattack", "eps": "8/255"},
    {"kind": "pgd", "eps": "16/255"},
    {"kind": "noise", "eps": "8/255", "norm": "L2"},
]


def batch(stage: str, predicted: Sequence[int], images: Sequence[int] = range(6), **told: Any) -> BatchAttacked:
    labels = tuple(LABELS[image] for image in images)
    gradients = told.pop("zero_gradient", None)
    return BatchAttacked(stage, 0, tuple(images), labels, tuple(predicted), gradients, 0, 0, **told)


def natural(**told: Any) -> BatchAttacked:
    return batch(NATURAL, SEEN, zero_gradient=(True, False, False, True, False, True), **told)


STAGES = [
    # An image that is wrong as it is may be put right by an attack, which counts for it there and in no worst case.
    batch("fgsm@8/255", (1, 0, 1, 1, 2, 2)),
    # The first part breaks image 1 and the second image 2, the third two of the rest, and the last none.
    batch("autoattack@8/255:apgd-ce", (0, 2, 1, 1, 2), range(5)),
    batch("autoattack@8/255:apgd-t", (0, 0, 1, 2), (0, 2, 3, 4)),
    batch("autoattack@8/255:fab-t", (1, 1, 0), (0, 3, 4)),
    batch("autoattack@8/255:square", (1,), (3,)),
    batch("pgd@16/255", (1, 1, 1, 0, 1, 0)),
    batch("noise@L2:8/255", (0, 0, 1, 0, 2, 0)),
]


def outcome(batches: Sequence[BatchAttacked], classes: int = 3, *known: Finding, **asked: Any) -> EvaluationOutcome:
    spec = EvaluationSpec.model_validate({"attacks": ATTACKS, "samples": 6, "batch_size": 4, "seed": 7} | asked)
    return summarise(spec, batches, Measured("ab", "made up", "cd", tuple(map(str, range(classes))), known))


@pytest.mark.parametrize("left", range(len(STAGES)))
def test_an_evaluation_that_was_left_early_is_none(left: int) -> None:
    """An image that an attack, or a part of one, was not given would count as one that it did not break."""
    with pytest.raises(EvaluationIncomplete, match=f"of the images that are for {STAGES[left].stage} have not been"):
        outcome([natural(), *STAGES[:left]])
    cut = batch(STAGES[left].stage, STAGES[left].predicted[:-1], STAGES[left].images[:-1])
    with pytest.raises(EvaluationIncomplete, match=r"^1 of the images that are for "):
        outcome([natural(), *STAGES[:left], cut, *STAGES[left + 1 :]])


@pytest.mark.parametrize("part", ["masking", "corruptions", "smoothing"])
def test_an_evaluation_that_was_left_beside_its_attacks_is_none(part: str) -> None:
    """Checks would pass where nothing was looked at, and accuracies be of the images that were there."""
    asked: dict[str, Any] = {
        "masking": {"samples": 5},
        "corruptions": {"kinds": ["fog", "contrast"], "severities": [2, 1], "strengths": "imagenet-c"},
        "smoothing": {"sigma": 0.25, "samples": 4, "radii": [0.5, 0]},
    }
    spec = EvaluationSpec.model_validate({"attacks": ATTACKS, "samples": 6, part: asked[part]})
    names = [f"{MASKING_PREFIX}{attack_label(attack)}" for attack in masking_attacks(spec)]
    if spec.corruptions is not None:
        names = [corruption_stage("imagenet-c", *which) for which in product(spec.corruptions.kinds, (2, 1))]
    if spec.smoothing is not None:
        names = [smoothing_stage(spec.smoothing, radius) for radius in spec.smoothing.radii]
    n = asked[part].get("samples", 6)
    stages = [batch(name, SEEN[:n], range(n)) for name in names]
    asked = {"masking": None, part: asked[part]}
    assert getattr(outcome([natural(), *STAGES, *stages], **asked), part) is not None
    for left, stage in enumerate(stages):
        cut = batch(stage.stage, stage.predicted[:-1], stage.images[:-1])
        for some in (stages[:left], [*stages[:left], cut, *stages[left + 1 :]]):
            with pytest.raises(EvaluationIncomplete, match=r"^\d of the images that are for "):
                outcome([natural(), *STAGES, *some], **asked)


def test_batches_that_were_read_before_are_told() -> None:
    """A generator has them once."""
    with pytest.raises(EvaluationIncomplete, match="keep them in a list"):
        outcome([])


def test_each_attack_has_its_accuracy_its_parts_and_its_confusion() -> None:
    """An ensemble leaves an image right that none of its parts breaks; a part that had none left breaks none."""
    found = outcome([natural(), *STAGES])
    assert found.natural == Accuracy.of(5, 6)
    assert found.confusion == ((2, 0, 0), (0, 2, 0), (1, 0, 1))
    fgsm, ensemble, pgd, noise = found.attacks
    assert [each.accuracy for each in found.attacks] == [Accuracy.of(right, 6) for right in (5, 1, 1, 4)]
    assert ensemble.survivors == {"apgd-ce": 4, "apgd-t": 3, "fab-t": 1, "square": 1}
    assert fgsm.survivors == pgd.survivors == noise.survivors == {}
    # Image 5 keeps the class that it is taken for as it is.
    assert ensemble.confusion == ((0, 1, 1), (1, 1, 0), (2, 0, 0))
    assert pgd.confusion == ((0, 2, 0), (1, 1, 0), (1, 1, 0))


def test_the_images_that_are_right_are_told_by_their_positions() -> None:
    """As bits of a hexadecimal number: without an attack 0 to 4, which is 1f, and of the rest what the stages leave."""
    found = outcome([natural(), *STAGES])
    assert found.natural_right == "1f"
    assert [each.right for each in found.attacks] == ["3e", "8", "4", "17"]
    assert [right_count(each.right or "") for each in found.attacks] == [
        round(6 * each.accuracy.value) for each in found.attacks
    ]
    assert right_images([]) == right_in_all(["5", "a"]) == "0"
    assert right_images(range(8_192)) == "f" * 2_048


def test_a_worst_case_is_of_one_threat_model_and_of_what_is_right_as_it_is() -> None:
    """Those that withstand every attack of a norm and a budget."""
    found = outcome([natural(), *STAGES])
    assert [(str(worst.norm), worst.attacks, worst.accuracy) for worst in found.worst_cases] == [
        ("Linf", ("fgsm@8/255", "autoattack@8/255"), Accuracy.of(1, 6)),
        ("Linf", ("pgd@16/255",), Accuracy.of(1, 6)),
        ("L2", ("noise@L2:8/255",), Accuracy.of(4, 6)),
    ]
    alone = outcome([natural(), *STAGES[:1]], attacks=ATTACKS[:1])
    # FGSM leaves five right, of which one was wrong.
    assert (alone.attacks[0].accuracy, alone.worst_cases[0].accuracy) == (Accuracy.of(5, 6), Accuracy.of(4, 6))


def test_every_number_tells_how_it_was_measured() -> None:
    """Natural accuracy follows from no seed and no batch; all of another attack have another protocol."""
    found = outcome([natural(), *STAGES])
    assert (found.natural_protocol.seed, found.natural_protocol.batch_size, found.natural_protocol.attack) == (
        None,
    ) * 3
    for each in found.attacks:
        told = each.protocol
        assert (told.n, told.seed, told.batch_size, told.attack) == (6, 7, 4, each.attack)
        assert (told.dataset, told.dataset_sha256) == ("made up", "cd")
        assert each.fingerprint == told.fingerprint("ab") != told.fingerprint("ac")
    fingerprints = {found.natural_fingerprint, *(each.fingerprint for each in found.attacks)}
    assert len(fingerprints) == 5
    assert [each.protocol.implementation.split()[0] for each in found.attacks] == [
        "gauntlet",
        "pyautoattack",
        "gauntlet",
        "gauntlet",
    ]


@pytest.mark.parametrize(
    ("attack", "whose"),
    [
        ({"kind": "autoattack", "version": "few"}, {"gauntlet", "pyautoattack"}),
        ({"kind": "autoattack", "version": "rand"}, {"pyautoattack"}),
        *(({"kind": kind}, {"pyautoattack"}) for kind in ("apgd-ce", "apgd-t", "fab-t", "square")),
        *(({"kind": kind, "eot": 2}, {"gauntlet", "pyautoattack"}) for kind in ("apgd-ce", "apgd-t", "fab-t")),
        *(({"kind": kind}, {"gauntlet"}) for kind in ("fgsm", "pgd", "noise", "mm", "pma", "fast")),
    ],
)
def test_a_protocol_says_whose_code_was_used(attack: dict[str, Any], whose: set[str]) -> None:
    """The authors' own but where we put parts of ours in their place, or a mean over draws in front of them."""
    asked = EvaluationSpec.model_validate({"attacks": [attack | {"eps": "8/255"}]})
    assert {part.split()[0] for part in implementation(asked.attacks[0]).split(", ")} == whose


def test_a_fingerprint_knows_nothing_of_what_nan_is_taken_for() -> None:
    """That is noted beside the code: of models with finite gradients every number keeps its name."""
    few = AutoAttack(eps=Fraction(8, 255), version="few")
    assert (implementation(few), implementation(FgsmAttack(eps=Fraction(8, 255)))) == (
        "gauntlet 2, pyautoattack 0.2.0",
        "gauntlet 2",
    )
    assert with_equal_fingerprints(IMPLEMENTATIONS) == implementation(few) != IMPLEMENTATIONS


def test_a_protocol_keeps_its_name() -> None:
    """Numbers that were stored are found by it: what is hashed, in which order, and how much of that is kept."""
    protocol = outcome([natural(), *STAGES], attacks=ATTACKS[:1]).attacks[0].protocol
    content = (
        '{"attack": {"eps": "8/255", "kind": "fgsm", "norm": "Linf"}, "batch_size": 4, "dataset": "made up", '
        '"dataset_sha256": "cd", "implementation": "gauntlet 2", "n": 6, "precision": "fp32", "seed": 7}'
    )
    assert protocol.id == sha256(content.encode()).hexdigest()[:16]
    assert protocol.fingerprint("ab") == sha256(f"{protocol.id} ab".encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    "short", [dataclasses.replace(natural(), labels=(0,)), dataclasses.replace(natural(), predicted=(0,))]
)
def test_a_batch_that_lacks_some_of_its_images_is_not_counted(short: BatchAttacked) -> None:
    with pytest.raises(ValueError, match="shorter"):
        outcome([short, *STAGES])


def test_gradients_and_margins_are_of_the_natural_images() -> None:
    """Margins that were taken of some alone are not told as those of all."""
    found = outcome([natural(margins=(MARGIN,) * 6), *STAGES])
    assert found.zero_gradients == 3
    assert found.margins is not None
    assert found.margins.n == 6
    halves = [
        batch(NATURAL, SEEN[:4], range(4), zero_gradient=(False,) * 4, margins=(MARGIN,) * 4),
        batch(NATURAL, SEEN[4:], (4, 5), zero_gradient=(True,) * 2),
    ]
    partly = outcome([*halves, *STAGES])
    assert (partly.margins, partly.zero_gradients, partly.natural) == (None, 2, Accuracy.of(5, 6))


@pytest.mark.parametrize(("classes", "counted"), [(200, True), (201, False)])
def test_of_many_classes_there_is_no_confusion(classes: int, *, counted: bool) -> None:
    found = outcome([natural(), *STAGES], classes)
    assert (found.confusion is not None) is counted
    assert (found.attacks[0].confusion is not None) is counted


def test_findings_are_told_once() -> None:
    """Those that were known and those that its batches tell, in that order."""
    one, other = (Finding(kind=kind, severity="warning", message=kind) for kind in ("random_output", "zero_gradient"))
    assert outcome([natural(findings=(other, one)), *STAGES], 3, one).findings == (one, other)


def test_corrupted_images_are_averaged_over_kinds_and_severities() -> None:
    """Each kind's mean is over its severities, each severity's over the kinds, in which every image counts alike."""
    asked = {"kinds": ["contrast", "fog"], "severities": [3, 1], "strengths": "imagenet-c"}
    right: dict[tuple[CorruptionKind, int], int] = {
        ("contrast", 1): 6,
        ("contrast", 3): 2,
        ("fog", 1): 3,
        ("fog", 3): 1,
    }
    corrupted = [
        batch(corruption_stage("imagenet-c", kind, severity), [*LABELS[:n], *(3 for _ in LABELS[n:])])
        for (kind, severity), n in right.items()
    ]
    found = outcome([natural(), *STAGES, *corrupted], corruptions=asked).corruptions
    assert found is not None
    contrast, fog = found.kinds
    assert contrast.severities == {1: Accuracy.of(6, 6), 3: Accuracy.of(2, 6)}
    assert [contrast.mean.value, fog.mean.value] == pytest.approx([4 / 6, 2 / 6])
    assert [each.value for each in found.severities.values()] == pytest.approx([4.5 / 6, 1.5 / 6])
    assert list(found.severities) == [1, 3]
    assert found.mean.value == pytest.approx(3 / 6)
    assert {each.n for each in (found.mean, contrast.mean, *found.severities.values())} == {6}
    assert (found.protocol.seed, found.protocol.attack, found.protocol.batch_size) == (7, None, None)
    assert found.fingerprint == found.protocol.fingerprint("ab")


def test_one_corruption_is_its_own_mean() -> None:
    """At a single severity too."""
    fog = batch(corruption_stage("cifar10-c", "fog", 2), SEEN)
    found = outcome([natural(), *STAGES, fog], corruptions={"kinds": ["fog"], "severities": [2]}).corruptions
    assert found is not None
    assert found.strengths == "cifar10-c"
    assert found.mean == found.kinds[0].mean == found.severities[2] == Accuracy.of(5, 6)


def test_certified_accuracy_is_of_the_images_that_were_certified() -> None:
    """By growing radius, and its protocol counts them."""
    asked = {"sigma": 0.25, "samples": 4, "radii": [0.5, 0]}
    smoothing = EvaluationSpec.model_validate({"attacks": ATTACKS, "smoothing": asked}).smoothing
    assert smoothing is not None
    certified = [
        batch(smoothing_stage(smoothing, 0), (0, 0, 1, 2), range(4)),
        batch(smoothing_stage(smoothing, 0.5), (0, 3, 3, 3), range(4)),
    ]
    found = outcome([natural(), *STAGES, *certified], smoothing=asked).smoothing
    assert found is not None
    assert [(point.radius, point.accuracy) for point in found.curve] == [
        (0, Accuracy.of(3, 4)),
        (0.5, Accuracy.of(1, 4)),
    ]
    assert (found.protocol.n, found.protocol.seed, found.protocol.batch_size) == (4, 7, None)
    assert (found.sigma, found.draws, found.alpha) == (0.25, 10_000, 0.001)
    assert found.fingerprint == found.protocol.fingerprint("ab")


def test_radii_and_noises_that_are_hardly_apart_are_not_taken_for_each_other() -> None:
    """What is certified at the one is not read off for the other, nor taken over by another evaluation."""
    near = 0.5000001
    asked = {"sigma": 0.25, "samples": 4, "radii": [0.5, near]}
    smoothing = EvaluationSpec.model_validate({"attacks": ATTACKS, "smoothing": asked}).smoothing
    assert smoothing is not None
    certified = [
        batch(smoothing_stage(smoothing, 0.5), (0, 0, 1, 2), range(4)),
        batch(smoothing_stage(smoothing, near), (0, 3, 3, 3), range(4)),
    ]
    found = outcome([natural(), *STAGES, *certified], smoothing=asked).smoothing
    assert found is not None
    assert [point.accuracy for point in found.curve] == [Accuracy.of(3, 4), Accuracy.of(1, 4)]
    names = {smoothing_stage(smoothing.model_copy(update=one), 0.5) for one in ({"sigma": 0.2500001}, {"alpha": 1e-3})}
    names.add(smoothing_stage(smoothing.model_copy(update={"alpha": 0.001000001}), 0.5))
    assert len(names) == 3
    assert smoothing_stage(smoothing, 0.5) == "smoothing/0.25/100/10000/0.001:0.5"


def test_the_gravest_doubt_comes_first() -> None:
    """An error, then warnings in the order in which they arose: of gradients, of the model, of its training."""
    weak, useless = (
        Finding(kind="zero_gradient", severity="warning", message="Weak."),
        Finding(kind="constant_output", severity="error", message="Useless."),
    )
    metrics = {"predicted_classes": 1.0, "mean_uniformity": 0.1, "mean_confidence": 0.99}
    passed = Check(name="noise", result="pass", evidence={}, sentence="Nothing.")
    accused = Check(name="margin", result="suspect", evidence={}, sentence="Misled.")
    suspect = MaskingVerdict(verdict="SUSPECT", n=9, checks=(passed, accused))
    found = doubts([weak, useless], suspect, metrics)
    assert [doubt.kind for doubt in found] == [
        "constant_output",
        "masked_gradients",
        "zero_gradient",
        "one_class",
        "overconfident",
    ]
    assert [doubt.severity for doubt in found] == ["error"] + ["warning"] * 4
    assert found[1].sentence.endswith("masked. Misled.")
    assert doubts([], MaskingVerdict(verdict="PASS", n=9, checks=(passed,)), {}) == doubts([], None) == ()
