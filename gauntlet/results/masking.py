"""Masked gradients: whether a model looks robust because attacks fail on it, not because none can succeed.

The further attacks that tell, and a verdict on what they found, with its evidence. `gauntlet.results.masking_checks`
has the signs, their sources and thresholds. A pass means that no sign was found, not that there is nothing to find.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from pydantic import BaseModel, ConfigDict

from gauntlet.results.masking_checks import (
    Broken,
    Check,
    Sample,
    black_box,
    margin,
    noise,
    one_step,
    overstated,
    transfer,
    unbounded,
    zero_gradient,
)
from gauntlet.results.stage_results import NATURAL, StageResult
from gauntlet.spec.evaluations.attacks import (
    AnyAttack,
    FgsmAttack,
    GradientAttack,
    GradientLoss,
    Noise,
    PgdAttack,
    Square,
    Transfer,
    attack_label,
    threat_model,
)
from gauntlet.spec.evaluations.ensembles import parts_of
from gauntlet.spec.evaluations.evaluation import EvaluationSpec, MaskingSpec

MaskingResult = Literal["PASS", "SUSPECT"]

MASKING_PREFIX = "masking/"
_FINEST = 10**30
_STEPS = 50
_QUERIES = 1_000
_DRAWS = 10
_LARGEST_EPS = {"Linf": Fraction(1), "L2": Fraction(1_000)}  # the most that a spec can say


class MaskingVerdict(BaseModel):
    """SUSPECT if any check is. `n` images were attacked for it; a check that was not measured does not accuse."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: MaskingResult
    n: int
    checks: tuple[Check, ...]


def masking_attacks(spec: EvaluationSpec) -> tuple[AnyAttack, ...]:
    """The attacks that the checks need, under the threat model of the first attack that has a budget above 0.

    They are stages named `MASKING_PREFIX` + their label, on the first `spec.masking.samples` of the images. There are
    none unless `spec.masking` is set, nor where no attack may change anything.
    """
    first = _first(spec)
    if spec.masking is None or first.eps == 0:
        return ()
    battery = _battery(spec, first, spec.masking)
    growing = (*battery.cross_entropy.values(), *battery.margin.values())
    return battery.fgsm, *growing, battery.square, battery.noise, *battery.transfers


def verdict(spec: EvaluationSpec, stages: Mapping[str, StageResult]) -> MaskingVerdict | None:
    """Judge the stages of an evaluation (`gauntlet.results.stage_results.by_stage`); None unless `spec.masking` is set.

    Only images that are right naturally can be broken. A check whose stages are absent is not measured.
    """
    if spec.masking is None:
        return None
    first = _first(spec)
    battery = _battery(spec, first, spec.masking)
    natural = stages[NATURAL]
    images = sorted(natural.predicted)[: spec.masking.samples]
    right = frozenset(image for image in images if natural.predicted[image] == natural.labels[image])
    sample = Sample(len(images), len(right))

    def broken(attack: AnyAttack, prefix: str = MASKING_PREFIX) -> Broken:
        stage = stages.get(prefix + attack_label(attack))
        if stage is None:
            return None
        return frozenset(image for image in right if stage.predicted[image] != stage.labels[image])

    transferred = [broken(attack, "") for attack in spec.attacks if _is_transfer_within(attack, first)]
    transferred += [broken(attack) for attack in battery.transfers]
    fgsm = broken(battery.fgsm)
    cross_entropy, margin_loss = (broken(attacks[first.eps]) for attacks in (battery.cross_entropy, battery.margin))
    pgd = _union(cross_entropy, margin_loss)
    checks = (
        one_step(sample, fgsm, cross_entropy, margin_loss),
        black_box(sample, broken(battery.square), _union(fgsm, pgd)),
        unbounded(
            sample,
            first.norm,
            {eps: (broken(attack), broken(battery.margin[eps])) for eps, attack in battery.cross_entropy.items()},
        ),
        margin(sample, cross_entropy, margin_loss),
        noise(sample, broken(battery.noise), pgd),
        zero_gradient(len(natural.predicted), natural.zero_gradients),
        _overstated(spec, first, stages) or overstated(sample, fgsm, _union(*_run(pgd, broken(battery.square)))),
        transfer(sample, _union(*transferred), pgd),
    )
    suspect = any(check.result == "suspect" for check in checks)
    return MaskingVerdict(verdict="SUSPECT" if suspect else "PASS", n=sample.n, checks=checks)


def _overstated(spec: EvaluationSpec, first: AnyAttack, stages: Mapping[str, StageResult]) -> Check | None:
    """On all images, where the evaluation itself has FGSM and others under the threat model that is judged."""
    natural = stages[NATURAL]
    right = frozenset(image for image, seen in natural.predicted.items() if seen == natural.labels[image])
    alike = [attack for attack in spec.attacks if threat_model(attack) == threat_model(first)]
    fgsm = [attack for attack in alike if isinstance(attack, FgsmAttack)]
    others = [
        broken for attack in alike if attack not in fgsm and (broken := _broken_by(attack, right, stages)) is not None
    ]
    if not fgsm or not others:
        return None
    return overstated(Sample(len(natural.predicted), len(right)), _broken_by(fgsm[0], right, stages), _union(*others))


def _broken_by(attack: AnyAttack, right: frozenset[int], stages: Mapping[str, StageResult]) -> Broken:
    """Those of the images that an attack of the evaluation broke, or one of its parts; None where it was not run."""
    label = attack_label(attack)
    names = [f"{label}:{part}" for part in parts_of(attack)] or [label]
    found = [stages[name] for name in names if name in stages]
    if not found:
        return None
    return frozenset(
        image
        for stage in found
        for image, seen in stage.predicted.items()
        if image in right and seen != stage.labels[image]
    )


def _first(spec: EvaluationSpec) -> AnyAttack:
    """Whose threat model is judged: at a budget of 0, as a list of budgets may begin with, every attack fails."""
    return next((attack for attack in spec.attacks if attack.eps > 0), spec.attacks[0])


@dataclass(frozen=True)
class _Battery:
    fgsm: FgsmAttack
    cross_entropy: dict[Fraction, PgdAttack]
    margin: dict[Fraction, PgdAttack]
    square: Square
    noise: Noise
    transfers: tuple[Transfer, ...]


def _battery(spec: EvaluationSpec, first: AnyAttack, masking: MaskingSpec) -> _Battery:
    eps, norm = first.eps, first.norm
    # A model that draws random numbers is to be seen by the checks as well as by the evaluation's own attacks.
    eot = max((attack.eot for attack in spec.attacks if isinstance(attack, GradientAttack)), default=1)

    def growing(loss: GradientLoss) -> dict[Fraction, PgdAttack]:
        return {
            budget: PgdAttack(eps=budget, norm=norm, steps=_STEPS, loss=loss, eot=eot)
            for budget in _budgets(eps, masking.eps_grows_to, _LARGEST_EPS[norm])
        }

    return _Battery(
        fgsm=FgsmAttack(eps=eps, norm=norm, eot=eot),
        cross_entropy=growing("cross_entropy"),
        margin=growing("margin"),
        square=Square(eps=eps, norm=norm, queries=_QUERIES),
        noise=Noise(eps=eps, norm=norm, draws=_DRAWS),
        transfers=tuple(
            Transfer(eps=eps, norm=norm, steps=_STEPS, source=source, eot=eot) for source in masking.sources
        ),
    )


def _budgets(eps: Fraction, most: int, largest: Fraction) -> list[Fraction]:
    """The budget times 1, 2, 4, … and last times `most`, none above `largest` and each once.

    A budget of very many digits is rounded when it grows, for a spec holds no more than 40.
    """
    factors = [*(2**power for power in range(most.bit_length()) if 2**power < most), most]
    return sorted({eps} | {min((eps * factor).limit_denominator(_FINEST), largest) for factor in factors[1:]})


def _is_transfer_within(attack: AnyAttack, first: AnyAttack) -> bool:
    return attack.kind == "transfer" and attack.norm == first.norm and attack.eps <= first.eps


def _run(*broken: Broken) -> list[Broken]:
    return [images for images in broken if images is not None]


def _union(*broken: Broken) -> Broken:
    """What any of the attacks broke; None where one of them was not run, or there is none."""
    run = [images for images in broken if images is not None]
    return frozenset().union(*run) if run and len(run) == len(broken) else None
