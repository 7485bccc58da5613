"""How far each attack is, from counts alone."""

from fractions import Fraction
from typing import Literal

import pytest

from gauntlet.attacks import autoattack
from gauntlet.report.progress import StageCount, attack_progress
from gauntlet.resources import AttackProgress
from gauntlet.spec.evaluations.attacks import AutoAttack
from gauntlet.spec.evaluations.ensembles import parts_of
from gauntlet.spec.evaluations.evaluation import EvaluationSpec

AUTO = "autoattack@8/255"
SPEC = EvaluationSpec.model_validate(
    {"attacks": [{"kind": "fgsm", "eps": "8/255"}, {"kind": "autoattack", "eps": "8/255"}], "samples": 100}
)
NATURAL = StageCount(100, 80, 100, 1.0)


def progress(counts: dict[str, StageCount]) -> tuple[AttackProgress, AttackProgress]:
    fgsm, auto = attack_progress(SPEC, counts, 100)
    return fgsm, auto


def test_what_has_not_begun_is_queued() -> None:
    """Without a measurement nothing is said of the time left, whether the natural pass is done or not."""
    for counts in ({}, {"natural": NATURAL}):
        for attack in progress(counts):
            assert (attack.status, attack.completed, attack.total) == ("queued", 0, 100)
            assert (attack.seconds, attack.eta_s) == (0.0, None)


def test_an_attack_by_itself_goes_over_every_image() -> None:
    """Its pace so far is that of the rest."""
    fgsm, _ = progress({"natural": NATURAL, "fgsm@8/255": StageCount(40, 10, 40, 20.0)})
    assert (fgsm.label, fgsm.status, fgsm.completed, fgsm.seconds) == ("fgsm@8/255", "running", 40, 20.0)
    assert fgsm.eta_s == 30.0
    fgsm, _ = progress({"natural": NATURAL, "fgsm@8/255": StageCount(100, 10, 100, 50.0)})
    assert (fgsm.status, fgsm.completed, fgsm.eta_s) == ("done", 100, 0.0)


def test_an_image_is_through_an_ensemble_once_broken_or_past_its_last_part() -> None:
    """Misclassified images are never given to it, and each part is timed at its own pace."""
    counts = {
        "natural": NATURAL,
        f"{AUTO}:apgd-ce": StageCount(80, 50, 80, 80.0),
        f"{AUTO}:apgd-t": StageCount(25, 20, 25, 50.0),
    }
    _, auto = progress(counts)
    assert (auto.status, auto.completed) == ("running", 20 + 30 + 5)
    # 25 images wait for apgd-t at 2 s each, at most 45 for each of the two others at 130 s / 105 on average.
    assert auto.eta_s == pytest.approx(25 * 2 + 2 * 45 * 130 / 105)
    counts[f"{AUTO}:apgd-t"] = StageCount(50, 40, 50, 100.0)
    counts[f"{AUTO}:fab-t"] = StageCount(40, 38, 40, 80.0)
    counts[f"{AUTO}:square"] = StageCount(38, 37, 38, 38.0)
    _, auto = progress(counts)
    assert (auto.status, auto.completed, auto.seconds, auto.eta_s) == ("done", 100, 298.0, 0.0)


def test_an_ensemble_is_done_without_its_later_parts_where_nothing_is_left() -> None:
    """The first part broke everything that was right."""
    _, auto = progress({"natural": NATURAL, f"{AUTO}:apgd-ce": StageCount(80, 0, 80, 8.0)})
    assert (auto.status, auto.completed, auto.eta_s) == ("done", 100, 0.0)
    _, auto = progress({"natural": StageCount(100, 0, 100, 1.0)})
    assert (auto.status, auto.completed, auto.eta_s) == ("done", 100, 0.0)


def test_many_hands_share_what_is_left() -> None:
    """60 images at half a second each, of two hands."""
    fgsm, _ = attack_progress(SPEC, {"natural": NATURAL, "fgsm@8/255": StageCount(40, 10, 40, 20.0)}, 100, hands=2)
    assert fgsm.eta_s == 15.0


def test_results_taken_over_do_not_make_it_look_fast() -> None:
    """Of 60 images 50 came from another evaluation at no cost: the pace is that of the other ten."""
    fgsm, _ = progress({"natural": NATURAL, "fgsm@8/255": StageCount(60, 10, 10, 20.0)})
    assert fgsm.eta_s == 80.0
    fgsm, _ = progress({"natural": NATURAL, "fgsm@8/255": StageCount(60, 10, 0, 0.0)})
    assert (fgsm.status, fgsm.eta_s) == ("running", None)


@pytest.mark.parametrize("version", ["standard", "plus", "rand"])
def test_the_parts_are_those_that_are_run(version: Literal["standard", "plus", "rand"]) -> None:
    """What is counted without torch is what runs with it, in the same order."""
    attack = AutoAttack(eps=Fraction(8, 255), version=version)
    assert parts_of(attack) == tuple(autoattack.parts(attack))
