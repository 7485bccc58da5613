"""What each attack of a spec does to a batch of images, and about what it costs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import assert_never

import torch
from torch import Tensor, nn

from gauntlet import seeding
from gauntlet.attacks import autoattack, gradient, probability_margin, targeted
from gauntlet.attacks.autoattack import Authored, AuthoredAttack
from gauntlet.attacks.corruptions import corrupted
from gauntlet.attacks.expectation import Expected
from gauntlet.attacks.passes import passes_of
from gauntlet.attacks.slices import Together, sliced
from gauntlet.attacks.square import square_where_stuck
from gauntlet.data.datasets import ImageSet
from gauntlet.results.corruptions import corruption_stage
from gauntlet.spec.evaluations.attacks import (
    AnyAttack,
    ApgdCe,
    ApgdT,
    AutoAttack,
    FabT,
    FastProtocol,
    FgsmAttack,
    GradientAttack,
    MinimumMargin,
    MultiTargeted,
    Noise,
    PgdAttack,
    ProbabilityMargin,
    ScreenProtocol,
    Square,
    Transfer,
    attack_label,
)
from gauntlet.spec.evaluations.corruptions import CorruptionKind, Strengths
from gauntlet.spec.evaluations.ensembles import attacks_of, parts_of
from gauntlet.spec.evaluations.evaluation import EvaluationSpec

# From images float32 in [0, 1], [n, c, h, w], and labels int64 [n] to attacked images.
Perturb = Callable[[Tensor, Tensor], Tensor]

_Own = FgsmAttack | PgdAttack | Transfer | Noise | MinimumMargin | MultiTargeted | ProbabilityMargin

# In model passes per image, a backward pass as two.
_STEP_COST = 3
# Of the probability margin attack.
_PASSES = 2
# Steps towards each class, as APGD-T takes them.
_AS_APGD = 100
# Of images that still stand: 25 of 319 at most on the networks of benchmarks/claim.
_ONE_STUCK_OF = 10


@dataclass(frozen=True)
class Stage:
    """One attack, or one part of an ensemble: its name, its nominal cost per image, and what it does."""

    name: str
    cost: int
    perturb: Perturb


@dataclass(frozen=True)
class Victim:
    """The model that is attacked, and what attacks need to know of it. `sources` are other models, by checkpoint.

    `scale` is what AutoAttack's parts see its logits times, and `random` whether it was seen to draw random numbers
    (`gauntlet.evaluation.preflight`).
    """

    model: nn.Module
    classes: int
    device: torch.device
    sources: Mapping[str, nn.Module]
    scale: float = 1.0
    random: bool = False


def stages_of(attack: AnyAttack, victim: Victim, seed: int) -> list[Stage]:
    """The attack's stages: one, or for an ensemble one for each part, to be given what the one before left right.

    Every batch starts from the same random numbers, those of `seed`.
    """
    label = attack_label(attack)
    match attack:
        case AutoAttack():
            ensemble, margins = _authored(attack, victim, seed), _margins_of(attack)
            costs = autoattack.parts(attack)
            return [
                Stage(f"{label}:{part}", costs[part], _part(ensemble, part, seed))
                if part in costs
                else Stage(f"{label}:{part}", nominal_cost(margins), _own(margins, victim, seed))
                for part in parts_of(attack)
            ]
        case ScreenProtocol() | FastProtocol():
            return [
                Stage(f"{label}:{part.kind}", _cost_where_stuck(part), _square_where_stuck(part, attack, victim, seed))
                if isinstance(part, Square)
                else Stage(f"{label}:{part.kind}", nominal_cost(part), _own(part, victim, seed))
                for part in attacks_of(attack)
            ]
        case _:
            return [Stage(label, nominal_cost(attack), _perturb(attack, victim, seed))]


def corruption_stages(spec: EvaluationSpec, images: ImageSet) -> list[Stage]:
    """A stage for each kind and severity of corruption that is asked for."""
    if spec.corruptions is None:
        return []
    strengths = spec.corruptions.strengths_for(*images.images.shape[2:])
    return [
        Stage(corruption_stage(strengths, kind, severity), 1, partial(_corrupted, kind, severity, strengths, spec.seed))
        for kind in spec.corruptions.kinds
        for severity in spec.corruptions.severities
    ]


def _corrupted(
    kind: CorruptionKind, severity: int, strengths: Strengths, seed: int, images: Tensor, _labels: Tensor
) -> Tensor:
    return corrupted(images, kind, severity, strengths, seed)


def nominal_cost(attack: AnyAttack) -> int:
    """Model passes per image, at most; for progress and estimates."""
    draws = attack.eot if isinstance(attack, GradientAttack) else 1
    # With more than one each pass is done once more for its gradient: four where there are three.
    return _cost(attack) if draws == 1 else -(-_cost(attack) * draws * (_STEP_COST + 1) // _STEP_COST)


def _cost(attack: AnyAttack) -> int:
    """The same with one draw."""
    match attack:
        case FgsmAttack():
            cost = _STEP_COST + 1
        case PgdAttack(steps=steps, restarts=restarts):
            cost = restarts * (_STEP_COST * steps + 1) + 1
        case Transfer(steps=steps):
            cost = _STEP_COST * steps + 2
        case Noise(draws=draws):
            cost = draws + 1
        case MinimumMargin(targets=targets, steps=steps) | MultiTargeted(targets=targets, steps=steps):
            cost = targets * (_STEP_COST * steps + 1) + 2
        case ProbabilityMargin(steps=steps):
            cost = _PASSES * (_STEP_COST * steps + 1) + 1
        case ScreenProtocol() | FastProtocol():
            cost = sum(
                _cost_where_stuck(part) if isinstance(part, Square) else _cost(part) for part in attacks_of(attack)
            )
        case AutoAttack(version="few"):
            cost = sum(autoattack.parts(attack).values()) + nominal_cost(_margins_of(attack))
        case AutoAttack() | ApgdCe() | ApgdT() | FabT() | Square():
            cost = sum(autoattack.parts(attack).values())
        case _:
            assert_never(attack)
    return cost


def _cost_where_stuck(part: Square) -> int:
    """Of an image on average, since hardly any has no gradient and still stands."""
    return part.queries // _ONE_STUCK_OF


def _margins_of(attack: AutoAttack) -> MinimumMargin:
    """What stands in for the part of AutoAttack that is not defined for few classes."""
    return MinimumMargin(eps=attack.eps, norm=attack.norm, steps=_AS_APGD)


def _authored(attack: Authored, victim: Victim, seed: int) -> AuthoredAttack:
    seen = _as_seen(victim.model, attack, seed)
    return AuthoredAttack(seen, attack, victim.classes, victim.device, scale=victim.scale)


def _as_seen(model: nn.Module, attack: AnyAttack, seed: int) -> nn.Module:
    """The model as an attack sees it: the mean of several passes, where it asks for that."""
    if isinstance(attack, GradientAttack) and attack.eot > 1:
        return Expected(model, attack.eot, seed, attack_label(attack))
    return model


def _part(ensemble: AuthoredAttack, part: str, seed: int) -> Perturb:
    return lambda images, labels: ensemble.perturb(part, images, labels, seed)


def _square_where_stuck(part: Square, protocol: AnyAttack, victim: Victim, seed: int) -> Perturb:
    model = sliced(_as_seen(victim.model, protocol, seed), victim.device)

    def where_stuck(images: Tensor, labels: Tensor) -> Tensor:
        generator = seeding.generator(victim.device, seed, part.kind)
        return square_where_stuck(model, images, labels, part.eps, queries=part.queries, generator=generator)

    return where_stuck


def _perturb(attack: _Own | Authored, victim: Victim, seed: int) -> Perturb:
    if isinstance(attack, AutoAttack | ApgdCe | ApgdT | FabT | Square):
        (part,) = autoattack.parts(attack)
        return _part(_authored(attack, victim, seed), part, seed)
    return _own(attack, victim, seed)


def _own(attack: _Own, victim: Victim, seed: int) -> Perturb:
    model, eps, norm = passes_of(_as_seen(victim.model, attack, seed), victim.device), attack.eps, attack.norm

    def drawing(perturb: Callable[..., Tensor], on: nn.Module = model, **options: object) -> Perturb:
        def from_the_same_numbers(images: Tensor, labels: Tensor) -> Tensor:
            generator = seeding.generator(victim.device, seed, attack.kind)
            return perturb(on, images, labels, eps, norm=norm, generator=generator, **options)

        return from_the_same_numbers

    match attack:
        case FgsmAttack():
            perturb: Perturb = partial(gradient.fgsm, model, eps=eps, norm=norm)
        case PgdAttack(steps=steps, restarts=restarts, loss=loss, step=step):
            perturb = drawing(
                gradient.pgd, steps=steps, restarts=restarts, loss=loss, step=step, stops=_is_a_function(victim.model)
            )
        case Transfer(source=source, steps=steps, loss=loss):
            other = passes_of(_as_seen(victim.sources[source], attack, seed), victim.device)
            perturb = drawing(
                gradient.pgd, other, steps=steps, restarts=1, loss=loss, stops=_is_a_function(victim.sources[source])
            )
        case Noise(draws=draws):
            perturb = drawing(gradient.noise, draws=draws)
        case MinimumMargin(targets=targets, steps=steps, loss=loss):
            perturb = drawing(targeted.minimum_margin, targets=targets, steps=steps, loss=loss, stay=attack.eot > 1)
        case MultiTargeted(targets=targets, steps=steps):
            perturb = drawing(targeted.multitargeted, targets=targets, steps=steps, stay=attack.eot > 1)
        case ProbabilityMargin(steps=steps):
            perturb = drawing(probability_margin.pma, steps=steps, stay=attack.eot > 1)
        case _:
            assert_never(attack)
    return perturb


def _is_a_function(model: nn.Module) -> bool:
    """Whether what a model says of an image follows from that image."""
    return not isinstance(model, Together)
