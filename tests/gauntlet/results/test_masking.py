from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest

from gauntlet.results.masking import MASKING_PREFIX, MaskingVerdict, masking_attacks, verdict
from gauntlet.results.masking_checks import Check
from gauntlet.results.outcome import EvaluationOutcome, Measured, summarise
from gauntlet.results.stage_results import by_stage
from gauntlet.spec.evaluations.attacks import attack_label
from gauntlet.spec.evaluations.evaluation import EvaluationSpec

N = 200
FGSM, SQUARE, NOISE = "fgsm@8/255", "square(queries=1000)@8/255", "noise@8/255"
PGD, MARGIN = "pgd@8/255", "pgd(loss=margin)@8/255"
GROWN = ("16/255", "32/255", "64/255", "128/255")
TRANSFER = {"kind": "transfer", "source": "ckpt_other", "eps": "8/255"}


@dataclass(frozen=True)
class Batch:
    stage: str
    images: tuple[int, ...]
    labels: tuple[int, ...]
    predicted: tuple[int, ...]
    zero_gradient: tuple[bool, ...] | None = None
    margins: None = None


def spec(*attacks: dict[str, Any], **masking: int) -> EvaluationSpec:
    chosen = attacks or ({"kind": "fgsm", "eps": "8/255"},)
    return EvaluationSpec.model_validate({"attacks": chosen, "samples": N, "masking": {"samples": N, **masking}})


def stage(name: str, broken: Iterable[int], *, zero: int | None = None) -> Batch:
    """All N images, of class 1, of which `broken` are taken for class 0 and the first `zero` have no gradient."""
    lost = set(broken)
    return Batch(
        name,
        tuple(range(N)),
        (1,) * N,
        tuple(int(image not in lost) for image in range(N)),
        None if zero is None else tuple(image < zero for image in range(N)),
    )


# A healthy model: the last 40 images are wrong as they are; what breaks more, the stronger the attack.
WRONG = set(range(160, N))
HEALTHY: dict[str, set[int]] = {
    FGSM: set(range(70)),
    PGD: set(range(90)),
    MARGIN: set(range(2, 93)),
    SQUARE: set(range(50)),
    NOISE: {1, 3},
} | {
    f"pgd{loss}@{eps}": set(range(low, 160))
    for loss in ("", "(loss=margin)")
    for eps, low in zip(GROWN, (40, 20, 2, 0), strict=True)
}
HEALTHY |= {f"pgd{loss}@16/255": set(range(120)) for loss in ("", "(loss=margin)")}


def batches(changes: dict[str, set[int] | None] | None = None, zero: int = 2) -> list[Batch]:
    """The stages of a healthy model with some changed, or absent where that is None."""
    found = HEALTHY | (changes or {})
    attacked = [stage(MASKING_PREFIX + name, lost | WRONG) for name, lost in found.items() if lost is not None]
    return [stage("natural", WRONG, zero=zero), *attacked]


def judged(
    changes: dict[str, set[int] | None] | None = None, *, zero: int = 2, wanted: EvaluationSpec | None = None
) -> MaskingVerdict:
    found = verdict(wanted or spec(), by_stage(batches(changes, zero)))
    assert found is not None
    return found


def check(name: str, found: MaskingVerdict) -> Check:
    return next(check for check in found.checks if check.name == name)


def results(found: MaskingVerdict) -> dict[str, str]:
    return {check.name: check.result for check in found.checks}


def suspects(found: MaskingVerdict) -> set[str]:
    """The checks that accuse; the verdict follows from them."""
    accusing = {name for name, result in results(found).items() if result == "suspect"}
    assert found.verdict == ("SUSPECT" if accusing else "PASS")
    return accusing


def test_the_attacks_are_what_the_checks_need() -> None:
    """FGSM, PGD-50 on both losses at growing budgets, Square and noise, under the first attack's threat model."""
    labels = [attack_label(attack) for attack in masking_attacks(spec())]
    assert sorted(labels) == sorted(HEALTHY)
    assert masking_attacks(EvaluationSpec()) == ()


def test_the_first_attack_sets_the_threat_model() -> None:
    """Under L2 and at another budget the same attacks run there."""
    found = masking_attacks(spec({"kind": "fgsm", "eps": "0.5", "norm": "L2"}, {"kind": "pgd", "eps": "1/255"}))
    assert {attack.norm for attack in found} == {"L2"}
    assert {attack.eps for attack in found} == {Fraction(1, 2) * factor for factor in (1, 2, 4, 8, 16)}


@pytest.mark.parametrize(
    ("eps", "most", "wanted"),
    [("8/255", 3, [8, 16, 24]), ("8/255", 2, [8, 16]), ("64/255", 255, [64, 128, 255]), (1, 16, [255])],
)
def test_budgets_double_up_to_a_multiple(eps: str, most: int, wanted: list[int]) -> None:
    """The last budget is the multiple asked for or the whole range, and none occurs twice."""
    found = masking_attacks(spec({"kind": "noise", "eps": eps}, eps_grows_to=most))
    budgets = [attack.eps for attack in found if attack.kind == "pgd" and attack.loss == "margin"]
    assert budgets == [Fraction(level, 255) for level in wanted]


def test_a_healthy_model_passes() -> None:
    """All that can be measured passes; without a transfer attack that check is not measured."""
    found = judged()
    assert found.n == N
    assert suspects(found) == set()
    assert results(found).pop("transfer") == "not_measured"
    assert set(list(results(found).values())[:-1]) == {"pass"}


def test_images_wrong_as_they_are_are_not_broken() -> None:
    """An attack that happens to put a wrong image right, or leaves it wrong, counts for nothing."""
    helped = batches()
    helped = [stage(batch.stage, HEALTHY[FGSM]) if batch.stage == MASKING_PREFIX + FGSM else batch for batch in helped]
    assert verdict(spec(), by_stage(helped)) == judged()
    assert check("one_step", judged()).evidence["fgsm_accuracy"] == (160 - 70) / N


def test_one_step_beating_many() -> None:
    """What only FGSM breaks accuses where it is significantly more than what only PGD breaks."""
    found = judged({FGSM: set(range(100)), PGD: set(range(90)), MARGIN: set(range(90))})
    assert "one_step" in suspects(found)
    evidence = check("one_step", found).evidence
    assert (evidence["only_fgsm"], evidence["only_pgd"]) == (10, 0)
    assert evidence["p"] == pytest.approx(2**-10)


def test_one_step_beating_many_by_two_points() -> None:
    """Four images of 200 more are two points, though not significant; three are neither."""
    for more, accused in ((4, True), (3, False)):
        found = judged({FGSM: set(range(90 + more)), PGD: set(range(90)), MARGIN: set(range(90))})
        assert check("one_step", found).evidence["p"] > 0.01
        assert ("one_step" in suspects(found)) is accused


def test_either_loss_answers_for_pgd() -> None:
    """An image that PGD breaks on one loss is broken."""
    found = judged({FGSM: set(range(100)), PGD: set(range(50)), MARGIN: set(range(50, 100))})
    assert check("one_step", found).result == "pass"


@pytest.mark.parametrize(("name", "attack"), [("black_box", SQUARE), ("noise", NOISE)])
@pytest.mark.parametrize(("alone", "accused"), [(6, False), (7, True)])
def test_a_weaker_attack_beating_the_gradient(name: str, attack: str, alone: int, *, accused: bool) -> None:
    """At 200 images seven broken by it alone are significantly more than 1 %, six are not."""
    found = judged({attack: set(range(100, 100 + alone))})
    assert suspects(found) == ({name} if accused else set())
    assert check(name, found).evidence["broken_alone"] == alone
    assert (check(name, found).evidence["p"] < 0.01) is accused


@pytest.mark.parametrize(("alone", "accused"), [(6, False), (7, True)])
def test_transfer_beating_the_gradient(alone: int, *, accused: bool) -> None:
    """Examples from another model are judged alike, all transfer attacks of the evaluation together."""
    wanted = spec({"kind": "fgsm", "eps": "8/255"}, TRANSFER, TRANSFER | {"source": "ckpt_third", "eps": "4/255"})
    labels = [attack_label(attack) for attack in wanted.attacks[1:]]
    split = set(range(100, 103)), set(range(103, 100 + alone))
    transferred = [stage(label, lost | WRONG) for label, lost in zip(labels, split, strict=True)]
    found = verdict(wanted, by_stage([*batches(), *transferred]))
    assert found is not None
    assert suspects(found) == ({"transfer"} if accused else set())
    assert check("transfer", found).evidence["broken_alone"] == alone


def test_transfer_of_a_larger_budget_says_nothing() -> None:
    """An attack that may go farther than PGD, or in another norm, is not compared with it."""
    farther, other = TRANSFER | {"eps": "16/255"}, TRANSFER | {"norm": "L2"}
    wanted = spec({"kind": "fgsm", "eps": "8/255"}, farther, other)
    transferred = [stage(attack_label(attack), range(N)) for attack in wanted.attacks[1:]]
    found = verdict(wanted, by_stage([*batches(), *transferred]))
    assert found is not None
    assert check("transfer", found).result == "not_measured"


def test_an_unbounded_attack_that_fails() -> None:
    """More than 5 % right at 128/255 accuses; up to that passes."""
    for left, accused in ((11, True), (10, False)):
        lost = set(range(160 - left))
        found = judged({"pgd@128/255": lost, "pgd(loss=margin)@128/255": lost})
        assert ("unbounded" in suspects(found)) is accused
        assert check("unbounded", found).evidence["pgd_accuracy@128/255"] == left / N


def test_saturation_at_the_largest_budget() -> None:
    """Cross-entropy that leaves more than 5 % right where the margin leaves none accuses."""
    found = judged({"pgd@128/255": set(range(140))})
    assert suspects(found) == {"unbounded"}
    assert check("unbounded", found).evidence["cross_entropy_accuracy"] == 0.1


def test_accuracy_that_rises_with_the_budget() -> None:
    """A significant rise from one budget to the next accuses, even where the largest breaks everything."""
    found = judged({f"pgd{loss}@32/255": set(range(60)) for loss in ("", "(loss=margin)")})
    assert suspects(found) == {"unbounded"}
    assert check("unbounded", found).evidence["p_rise"] < 0.01
    slightly = judged({f"pgd{loss}@32/255": set(range(115)) for loss in ("", "(loss=margin)")})
    assert suspects(slightly) == set()


@pytest.mark.parametrize(("left", "result"), [(140, "not_measured"), (10, "pass")])
@pytest.mark.parametrize(
    "wanted", [spec(eps_grows_to=4), spec({"kind": "fgsm", "eps": "8/255", "norm": "L2"})], ids=["small", "L2"]
)
def test_a_small_largest_budget_need_not_break_everything(wanted: EvaluationSpec, left: int, result: str) -> None:
    """Below 64/255, and in L2, images that withstand say nothing, and none that do is a pass."""
    broken = set(range(160 - left)) | WRONG
    attacked = [stage(MASKING_PREFIX + attack_label(attack), broken) for attack in masking_attacks(wanted)]
    found = verdict(wanted, by_stage([stage("natural", WRONG, zero=0), *attacked]))
    assert found is not None
    assert check("unbounded", found).result == result
    assert check("unbounded", found).evidence["cross_entropy_accuracy"] == left / N


def test_the_margin_finding_more_than_cross_entropy() -> None:
    """Ten images of 200 more, significantly, accuse; nine do not."""
    for more, accused in ((10, True), (9, False)):
        found = judged({PGD: set(range(90)), MARGIN: set(range(90 + more))})
        assert suspects(found) == ({"margin"} if accused else set())
        assert check("margin", found).evidence["only_margin"] == more


def test_zero_gradients() -> None:
    """More than 1 % of the natural images without a gradient accuse, whatever the attacks find."""
    assert suspects(judged(zero=2)) == set()
    found = judged(zero=3)
    assert suspects(found) == {"zero_gradient"}
    assert check("zero_gradient", found).evidence == {"images": 3, "n": N, "rate": 0.015}


def test_absent_stages_are_not_measured() -> None:
    """Without any of its stages only the zero gradients are judged; one that is missing takes its own checks along."""
    nothing = judged(dict.fromkeys(HEALTHY))
    assert results(nothing) == dict.fromkeys(results(nothing), "not_measured") | {"zero_gradient": "pass"}
    without = results(judged({SQUARE: None}))
    assert [name for name, result in without.items() if result == "not_measured"] == ["black_box", "transfer"]


def test_only_the_first_images_are_attacked_for_it() -> None:
    """Checks count the first `samples` images; the zero-gradient rate is of all."""
    natural, *attacked = batches()
    first = [Batch(batch.stage, batch.images[:40], batch.labels[:40], batch.predicted[:40]) for batch in attacked]
    found = verdict(spec(samples=40), by_stage([natural, *first]))
    assert found is not None
    assert found.n == 40
    assert check("one_step", found).evidence["fgsm_accuracy"] == 0
    assert check("zero_gradient", found).evidence["n"] == N


def outcome(wanted: EvaluationSpec, found: list[Batch]) -> EvaluationOutcome:
    return summarise(wanted, found, Measured("0" * 64, "digits", "0" * 64, ("no", "yes")))


def test_an_outcome_has_its_verdict() -> None:
    """`summarise` gives the verdict where masking is asked for; it survives JSON."""
    found = outcome(spec(), [*batches(), stage(FGSM, set(range(70)) | WRONG)])
    assert found.masking == judged()
    assert MaskingVerdict.model_validate_json(judged().model_dump_json()) == judged()


def test_masking_stages_disturb_no_other_count() -> None:
    """Apart from the verdict an outcome is what it is without the masking stages."""
    plain = [batches()[0], stage(FGSM, set(range(30)) | WRONG)]
    wanted = EvaluationSpec.model_validate(spec().model_dump() | {"masking": None})
    alone = outcome(wanted, plain)
    assert alone.masking is None
    assert outcome(spec(), [*plain, *batches()[1:]]).model_copy(update={"masking": None}) == alone


def test_a_list_of_budgets_that_begins_with_none_is_judged_at_the_next() -> None:
    """At 0 every attack fails, which says nothing: `[0, 8/255]` has the attacks and the verdict of `8/255`."""
    swept = spec({"kind": "fgsm", "eps": [0, "8/255"]})
    assert masking_attacks(swept) == masking_attacks(spec())
    masked = {PGD: set(range(10)), MARGIN: set(range(10))}
    assert judged(masked, wanted=swept) == judged(masked)
    assert judged(masked, wanted=swept).verdict == "SUSPECT"


def test_where_no_attack_has_a_budget_only_gradients_are_judged() -> None:
    """Nothing is attacked for it, and no check that needs an attack passes."""
    nothing = spec({"kind": "fgsm", "eps": 0})
    assert masking_attacks(nothing) == ()
    found = verdict(nothing, by_stage([stage("natural", WRONG, zero=0), stage("fgsm@0", WRONG)]))
    assert found is not None
    assert {one.name for one in found.checks if one.result != "not_measured"} == {"zero_gradient"}


@pytest.mark.parametrize(("missed", "found", "result"), [(24, 20, "suspect"), (23, 20, "pass"), (24, 24, "pass")])
def test_fgsm_that_misses_most_of_what_breaks(missed: int, found: int, result: str) -> None:
    """At least 12 points of 200 images, and more than half of all that any attack breaks."""
    broken = set(range(found + missed))
    changes: dict[str, set[int] | None] = {
        FGSM: set(range(found)),
        PGD: broken,
        MARGIN: broken,
        SQUARE: set(),
        NOISE: set(),
    }
    told = check("overstated", judged(changes))
    assert told.result == result
    assert told.evidence["fgsm_accuracy"] == (160 - found) / 200
    assert told.evidence["strongest_accuracy"] == (160 - found - missed) / 200
    assert told.evidence["share_missed"] == missed / (found + missed)


def test_fgsm_is_held_against_whatever_the_evaluation_ran() -> None:
    """A stronger attack at its budget, part by part, on all images; one at another budget says nothing."""
    strong, label = {"kind": "autoattack", "eps": "8/255"}, "autoattack@8/255"
    wanted = spec({"kind": "fgsm", "eps": "8/255"}, strong, {"kind": "pgd", "eps": "16/255"}, samples=50)
    of_its_own = [
        stage(FGSM, set(range(20)) | WRONG),
        stage(f"{label}:apgd-ce", set(range(30))),
        stage(f"{label}:apgd-t", set(range(30, 60))),
        stage("pgd@16/255", set(range(160))),
    ]
    found = verdict(wanted, by_stage([*batches(), *of_its_own]))
    assert found is not None
    told = check("overstated", found)
    assert (told.result, told.evidence["n"]) == ("suspect", 200)
    assert told.evidence["strongest_accuracy"] == 100 / 200
    assert found.verdict == "SUSPECT"
