"""The checks for masked gradients, each a function of which images an attack broke.

The signs are those of Athalye, Carlini & Wagner 2018 (arXiv 1802.00420, section 3.1) and Carlini et al. 2019 (arXiv
1902.06705). They name no thresholds; ours are given with each check. Where counts of images are compared the test is
exact and one-sided at 1 %, so that a check seldom accuses a sound model by chance on a small sample.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict

from gauntlet.results.significance import mcnemar_p, upper_tail
from gauntlet.spec.eps import format_eps

CheckName = Literal["one_step", "black_box", "unbounded", "margin", "noise", "zero_gradient", "transfer", "overstated"]
CheckResult = Literal["pass", "suspect", "not_measured"]

# The images that are classified correctly as they are and no longer under an attack; None where it was not run.
Broken = frozenset[int] | None

_SIGNIFICANT = 0.01
_ALLOWED_RATE = 0.01
_ONE_STEP_POINTS = 0.02
_ONE_STEP_IMAGES = 2
_MARGIN_POINTS = 0.05
_UNBOUNDED_ACCURACY = 0.05
_UNBOUNDED_EPS = Fraction(64, 255)
# docs/experiments.md, "Whom FGSM flatters", has what these accuse.
_OVERSTATED_POINTS, _OVERSTATED_SHARE = 0.12, 0.5


class Check(BaseModel):
    """One sign that was looked for, what was found (accuracies, counts, p-values), and a sentence for its reader."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: CheckName
    result: CheckResult
    evidence: dict[str, float]
    sentence: str


@dataclass(frozen=True)
class Sample:
    """The images that the attacks were tried on: how many, and how many of them are right naturally."""

    n: int
    right: int

    def accuracy(self, broken: frozenset[int]) -> float:
        """The fraction that is right naturally and under the attacks that broke these."""
        return (self.right - len(broken)) / self.n


def one_step(sample: Sample, fgsm: Broken, cross_entropy: Broken, margin_loss: Broken) -> Check:
    """FGSM against PGD on either loss, of the same budget.

    PGD searches the same ball with more steps, so it ought to break nearly all that FGSM breaks. Suspect where those
    that only FGSM breaks are significantly more than those that only PGD breaks, or where accuracy under PGD is higher
    by 2 points and by 2 images, as much as a random start may not cost.
    """
    if fgsm is None or cross_entropy is None or margin_loss is None:
        return _not_measured("one_step", "FGSM or PGD was not run.")
    pgd = cross_entropy | margin_loss
    only_fgsm, only_pgd = len(fgsm - pgd), len(pgd - fgsm)
    p = mcnemar_p(only_fgsm, only_pgd)
    higher = only_fgsm - only_pgd
    found = p < _SIGNIFICANT or higher >= max(_ONE_STEP_IMAGES, _ONE_STEP_POINTS * sample.n)
    return Check(
        name="one_step",
        result=_result(suspect=found),
        evidence={
            "fgsm_accuracy": sample.accuracy(fgsm),
            "pgd_accuracy": sample.accuracy(pgd),
            "only_fgsm": only_fgsm,
            "only_pgd": only_pgd,
            "p": p,
        },
        sentence=f"FGSM alone breaks {only_fgsm} of {sample.n} images and PGD alone {only_pgd}: one step "
        + ("finds what many steps miss." if found else "is no stronger than many, as it should be."),
    )


def black_box(sample: Sample, square: Broken, white_box: Broken) -> Check:
    """Square, which sees no gradient, against FGSM and PGD together.

    Whoever sees the gradient can do all that Square does. Suspect where the images that Square alone breaks are
    significantly more than 1 % of all; up to that, a single run of PGD with one random start may miss some.
    """
    return _beyond(
        "black_box",
        sample,
        square,
        white_box,
        subject="Square, which sees no gradient,",
        unrun="Square, FGSM or PGD was not run.",
    )


def noise(sample: Sample, draws: Broken, pgd: Broken) -> Check:
    """Random points of the ball against PGD.

    A random point is the weakest attack there is; that sampling finds what the gradient does not is among the signs of
    Athalye et al. 2018. Suspect where the images that noise alone breaks are significantly more than 1 % of all.
    """
    return _beyond("noise", sample, draws, pgd, subject="Random noise", unrun="Noise or PGD was not run.")


def transfer(sample: Sample, transferred: Broken, pgd: Broken) -> Check:
    """Examples made on other models, of the same budget or a smaller one, against PGD on this one.

    They come from a model's stand-in, so the model itself ought to give better ones. Suspect where the images that they
    alone break are significantly more than 1 % of all.
    """
    return _beyond(
        "transfer",
        sample,
        transferred,
        pgd,
        subject="Transfer from other models",
        unrun="No other checkpoint was there to make transferred examples on.",
    )


def margin(sample: Sample, cross_entropy: Broken, margin_loss: Broken) -> Check:
    """PGD on the logit margin (Carlini & Wagner 2017) against PGD on cross-entropy, of the same budget.

    Cross-entropy's gradient vanishes as confidence grows, the margin's does not (Croce & Hein 2020, arXiv 2003.01690,
    section 4). On adversarially trained models the two differ by two or three points. Suspect where the margin breaks
    significantly more images, and by 5 points.
    """
    if cross_entropy is None or margin_loss is None:
        return _not_measured("margin", "PGD was not run on both losses.")
    only_margin, only_entropy = len(margin_loss - cross_entropy), len(cross_entropy - margin_loss)
    p = mcnemar_p(only_margin, only_entropy)
    found = p < _SIGNIFICANT and only_margin - only_entropy >= _MARGIN_POINTS * sample.n
    before, after = sample.accuracy(cross_entropy), sample.accuracy(margin_loss)
    return Check(
        name="margin",
        result=_result(suspect=found),
        evidence={
            "cross_entropy_accuracy": before,
            "margin_accuracy": after,
            "only_margin": only_margin,
            "only_cross_entropy": only_entropy,
            "p": p,
        },
        sentence=f"Accuracy is {_percent(before)} under PGD on cross-entropy and {_percent(after)} under PGD on the "
        "margin: " + ("cross-entropy's gradient misleads the attack." if found else "neither misleads."),
    )


def unbounded(sample: Sample, norm: str, growing: Mapping[Fraction, tuple[Broken, Broken]]) -> Check:
    """PGD on cross-entropy and on the margin (the pair of each budget) as the budget grows.

    An unbounded attack must succeed (Athalye et al. 2018; Carlini et al. 2019), and a larger ball holds the smaller.
    Suspect where accuracy rises significantly from one budget to the next (the least p times the number of steps).
    Suspect too, where the largest budget is at least 64/255 under Linf, a quarter of the range, if over 5 % withstand
    it, be it both losses or cross-entropy alone (saturation). A smaller budget, or one in L2, need not break
    everything: there such images say nothing. A model that ignores its input is suspect as well.
    """
    run = {eps: pair for eps, pair in sorted(growing.items()) if None not in pair}
    both = [entropy | beyond for entropy, beyond in run.values() if entropy is not None and beyond is not None]
    steps = [(len(less - more), len(more - less)) for less, more in pairwise(both)]
    if not steps:
        return _not_measured("unbounded", "PGD was not run at two budgets.")
    largest, entropy = max(run), run[max(run)][0] or frozenset()
    together, alone = sample.accuracy(both[-1]), sample.accuracy(entropy)
    p = min(1.0, len(steps) * min(mcnemar_p(regained, lost) for regained, lost in steps))
    evidence = {f"pgd_accuracy@{format_eps(eps)}": sample.accuracy(found) for eps, found in zip(run, both, strict=True)}
    evidence |= {"largest_eps": float(largest), "cross_entropy_accuracy": alone, "p_rise": p}
    large = norm == "Linf" and largest >= _UNBOUNDED_EPS
    if p < _SIGNIFICANT:
        result, sentence = "suspect", "Accuracy under PGD rises as its budget grows."
    elif alone <= _UNBOUNDED_ACCURACY:
        result, sentence = "pass", f"Accuracy under PGD falls to {_percent(together)} as its budget grows."
    elif not large:
        result, sentence = "not_measured", "The largest budget is too small for every attack to have to succeed."
    elif together > _UNBOUNDED_ACCURACY:
        result, sentence = (
            "suspect",
            f"{_percent(together)} withstand PGD at the largest budget, where nothing should.",
        )
    else:
        result = "suspect"
        sentence = (
            f"{_percent(alone)} withstand PGD on cross-entropy at the largest budget and {_percent(together)} on the "
            "margin."
        )
    return Check.model_validate({"name": "unbounded", "result": result, "evidence": evidence, "sentence": sentence})


def zero_gradient(n: int, zero: int) -> Check:
    """Natural images at which cross-entropy's gradient is, at every pixel, exactly zero in fp32 or no number.

    There an attack that follows it stands still. Suspect above 1 % of the images, which is counted and not estimated.
    It is a fact about gradients and not about intent: an ordinary model that is very confident has such images too, and
    its accuracy under such attacks is no less overstated.
    """
    found = zero / n > _ALLOWED_RATE
    return Check(
        name="zero_gradient",
        result=_result(suspect=found),
        evidence={"images": zero, "n": n, "rate": zero / n},
        sentence=f"Cross-entropy's gradient is zero or no number throughout {zero} of {n} natural images"
        + (": attacks that follow it stand still there, whether or not the model was defended." if found else "."),
    )


def overstated(sample: Sample, fgsm: Broken, strongest: Broken) -> Check:
    """FGSM against the strongest attack there is, all that were run at its budget together.

    One step is weaker than many on any model, so a difference by itself is no sign; but on sound ones FGSM finds most
    of what can be broken. Suspect where accuracy under it is higher by 12 points, and it misses more than half of the
    images that the strongest attack breaks.
    """
    if fgsm is None or strongest is None:
        return _not_measured("overstated", "FGSM was not run beside a stronger attack.")
    together = fgsm | strongest
    missed = len(together - fgsm)
    share = missed / len(together) if together else 0.0
    # Counts of images: a share of them need not be exact.
    found = missed >= _OVERSTATED_POINTS * sample.n - 1e-9 and share > _OVERSTATED_SHARE
    before, after = sample.accuracy(fgsm), sample.accuracy(together)
    return Check(
        name="overstated",
        result=_result(suspect=found),
        evidence={"fgsm_accuracy": before, "strongest_accuracy": after, "n": sample.n, "share_missed": share},
        sentence=f"Accuracy is {_percent(before)} under FGSM and {_percent(after)} under all attacks together; "
        f"FGSM misses {missed} of {len(together)} images that can be broken"
        + (": it flatters this model." if found else "."),
    )


def _beyond(name: CheckName, sample: Sample, weaker: Broken, stronger: Broken, *, subject: str, unrun: str) -> Check:
    if weaker is None or stronger is None:
        return _not_measured(name, unrun)
    alone = len(weaker - stronger)
    p = upper_tail(alone, sample.n, _ALLOWED_RATE)
    found = p < _SIGNIFICANT
    return Check(
        name=name,
        result=_result(suspect=found),
        evidence={
            "accuracy": sample.accuracy(weaker),
            "white_box_accuracy": sample.accuracy(stronger),
            "broken_alone": alone,
            "p": p,
        },
        sentence=f"{subject} breaks {alone} of {sample.n} images that attacks along the gradient leave right"
        + (": the gradient hides ways to break the model." if found else ", no more than these may miss."),
    )


def _result(*, suspect: bool) -> CheckResult:
    return "suspect" if suspect else "pass"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def _not_measured(name: CheckName, why: str) -> Check:
    return Check(name=name, result="not_measured", evidence={}, sentence=why)
