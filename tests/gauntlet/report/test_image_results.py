"""What became of each image, from the batches of its stages."""

from fractions import Fraction

import pytest

from gauntlet.report.image_results import image_results
from gauntlet.resources import AttackedImage
from gauntlet.spec.evaluations.attacks import AutoAttack, FgsmAttack
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from tests.reports import Batch

CLASSES = ("cat", "dog", "owl")
SPEC = EvaluationSpec(attacks=(FgsmAttack(eps=Fraction(8, 255)), AutoAttack(eps=Fraction(8, 255))), samples=6)
FGSM, AUTO = "fgsm@8/255", "autoattack@8/255"


def attacked(predicted: str, by: str | None = None, *, robust: bool = False) -> AttackedImage:
    return AttackedImage(robust=robust, predicted=predicted, broken_by=by)


def test_an_image_is_what_its_stages_made_of_it() -> None:
    """Of four cats one is a dog as it is, which no attack breaks, one falls to FGSM and to the first part, one to the
    last part alone, and one to none; what a wrong image is under FGSM is told all the same.
    """
    batches = [
        Batch("natural", (7, 3), (0, 0), (0, 1)),
        Batch("natural", (9, 5), (0, 0), (0, 0)),
        Batch(FGSM, (7, 3, 9, 5), (0,) * 4, (2, 2, 0, 0)),
        Batch(f"{AUTO}:apgd-ce", (7, 9, 5), (0,) * 3, (1, 0, 0)),
        Batch(f"{AUTO}:apgd-t", (9, 5), (0, 0), (0, 0)),
        Batch(f"{AUTO}:fab-t", (9, 5), (0, 0), (0, 0)),
        Batch(f"{AUTO}:square", (9, 5), (0, 0), (2, 0)),
    ]
    found = image_results(SPEC, batches, CLASSES)
    assert [(one.position, one.label, one.natural) for one in found] == [
        (3, "cat", "dog"), (5, "cat", "cat"), (7, "cat", "cat"), (9, "cat", "cat")
    ]  # fmt: skip
    assert [one.attacks for one in found] == [
        {FGSM: attacked("owl"), AUTO: attacked("dog")},
        {FGSM: attacked("cat", robust=True), AUTO: attacked("cat", robust=True)},
        {FGSM: attacked("owl", "fgsm"), AUTO: attacked("dog", "apgd-ce")},
        {FGSM: attacked("cat", robust=True), AUTO: attacked("owl", "square")},
    ]


def test_a_wrong_image_may_be_right_under_an_attack() -> None:
    """A single attack that follows no loss of its own may even bring it back; it is robust there, and not broken."""
    batches = [Batch("natural", (0,), (0,), (1,)), Batch(FGSM, (0,), (0,), (0,))]
    (found,) = image_results(SPEC, batches, CLASSES)
    assert found.attacks[FGSM] == attacked("cat", robust=True)


@pytest.mark.parametrize("parts", [0, 1, 3])
def test_an_attack_that_is_not_through_with_an_image_says_nothing_of_it(parts: int) -> None:
    """One by itself until it was there, an ensemble until its last part was or one has broken it."""
    names = ("apgd-ce", "apgd-t", "fab-t", "square")
    batches = [
        Batch("natural", (0, 1), (0, 1), (0, 1)),
        Batch(FGSM, (1,), (1,), (1,)),
        *(Batch(f"{AUTO}:{part}", (0, 1), (0, 1), (0, 1)) for part in names[:parts]),
    ]
    found = image_results(SPEC, batches, CLASSES)
    assert [one.attacks for one in found] == [{}, {FGSM: attacked("dog", robust=True)}]
    assert [one.attacks for one in image_results(SPEC, batches[:1], CLASSES)] == [{}, {}]


def test_nothing_is_said_before_the_natural_pass() -> None:
    """An image that is not in it has no class yet."""
    assert image_results(SPEC, [], CLASSES) == ()
    assert image_results(SPEC, [Batch(FGSM, (0,), (0,), (0,))], CLASSES) == ()
    (found,) = image_results(SPEC, [Batch("natural", (1,), (2,), (2,)), Batch(FGSM, (0,), (0,), (0,))], CLASSES)
    assert (found.position, found.label, found.attacks) == (1, "owl", {})
