"""The attacks a spec can list, each with its threat model: a norm and an exact budget.

`eps` may be a list in a request, which stands for one attack per budget; a stored spec has one budget each.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeGuard, assert_never

from pydantic import BaseModel, Field, TypeAdapter, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from gauntlet.spec.eps import Eps, format_eps, in_levels
from gauntlet.spec.kinds import Spec, faulty_fields, tag_required
from gauntlet.spec.reading.texts import CheckpointId

Norm = Literal["Linf", "L2"]
GradientLoss = Literal["cross_entropy", "margin"]
TargetLoss = Literal["difference", "scaled"]
MOST_ATTACKS = 100


class Attack(Spec):
    """What all attacks share. `eps` is the largest distance in `norm` that an attacked image may have from its own."""

    eps: Eps = Field(description='Exact: "8/255" or a decimal. In a request a list stands for one attack per budget.')
    norm: Norm = "Linf"

    @model_validator(mode="after")
    def _budget_fits_the_range(self) -> Self:
        if self.norm == "Linf" and self.eps > 1:
            why = f"eps must lie in [0, 1] under Linf, the range of a pixel{in_levels(self.eps)}"
            raise faulty_fields([(("eps",), format_eps(self.eps), why)])
        return self


class GradientAttack(Attack):
    """What attacks share that follow the gradient of a model's answer."""

    # Not told where it is 1, so that what was measured before there was one keeps its fingerprint.
    eot: Annotated[int, Field(ge=1, le=1_000)] = Field(
        default=1,
        exclude_if=lambda draws: draws == 1,
        description="Passes that each look at the model is the mean of: expectation over transformation, for a model "
        "that draws random numbers.",
    )


class FgsmAttack(GradientAttack):
    """One gradient step of the whole budget on cross-entropy (Goodfellow et al. 2015), model in eval mode."""

    model_config = tag_required("kind")
    kind: Literal["fgsm"] = "fgsm"


class PgdAttack(GradientAttack):
    """Projected gradient ascent from a random start (Madry et al. 2018); step 2.5 · eps / steps.

    An image whose points repeat is not walked round its cycle again and again; the result is that of all steps.
    """

    model_config = tag_required("kind")
    kind: Literal["pgd"] = "pgd"
    steps: Annotated[int, Field(ge=1, le=10_000)] = 50
    restarts: Annotated[int, Field(ge=1, le=100)] = 1
    loss: GradientLoss = Field(
        default="cross_entropy",
        description="What is ascended; `margin` (largest wrong logit − right logit) has a gradient where a confident "
        "model's cross-entropy has none.",
    )
    # Not told where it is not given, so that what was measured before there was one keeps its fingerprint.
    step: Annotated[float, Field(gt=0, le=2)] | None = Field(
        default=None,
        exclude_if=lambda step: step is None,
        description="Of one step, in budgets: 0.25 of 8/255 is 2/255. By default 2.5 / steps.",
    )


class ApgdCe(GradientAttack):
    """Auto-PGD on cross-entropy (Croce & Hein 2020), its authors' code."""

    model_config = tag_required("kind")
    kind: Literal["apgd-ce"] = "apgd-ce"
    restarts: Annotated[int, Field(ge=1, le=100)] = 1


class ApgdT(GradientAttack):
    """Auto-PGD on the targeted DLR loss (Croce & Hein 2020), its authors' code."""

    model_config = tag_required("kind")
    kind: Literal["apgd-t"] = "apgd-t"


class FabT(GradientAttack):
    """Targeted Fast Adaptive Boundary attack (Croce & Hein 2020), its authors' code."""

    model_config = tag_required("kind")
    kind: Literal["fab-t"] = "fab-t"


class Square(Attack):
    """Square Attack (Andriushchenko et al. 2020), its authors' code: sees probabilities only, no gradient."""

    model_config = tag_required("kind")
    kind: Literal["square"] = "square"
    queries: Annotated[int, Field(ge=1, le=100_000)] = 5_000


class AutoAttack(Attack):
    """The AutoAttack ensemble (Croce & Hein 2020), run with its authors' code.

    `standard` is APGD-CE, APGD-T, FAB-T and Square; `plus` adds untargeted ones and restarts; `rand` is for models that
    answer at random. `few`, for two and three classes, is ours: MM in place of APGD-T, which is not defined there.
    """

    model_config = tag_required("kind")
    kind: Literal["autoattack"] = "autoattack"
    version: Literal["standard", "plus", "rand", "few"] = "standard"


class Noise(Attack):
    """Uniform random points of the budget's ball; an image is robust if every draw leaves it right. No adversary."""

    model_config = tag_required("kind")
    kind: Literal["noise"] = "noise"
    draws: Annotated[int, Field(ge=1, le=10_000)] = 10


class Transfer(GradientAttack):
    """PGD's examples made on another checkpoint, `source`, shown to this one: a black-box attack."""

    model_config = tag_required("kind")
    kind: Literal["transfer"] = "transfer"
    source: CheckpointId
    steps: Annotated[int, Field(ge=1, le=10_000)] = 50
    loss: GradientLoss = "cross_entropy"


class MinimumMargin(GradientAttack):
    """MM, the minimum-margin attack (Gao et al. 2022): auto-PGD on logit differences to the likeliest wrong classes.

    One class after the other, each from a random start; an image that is broken is not attacked again. MM3, MM5 and MM9
    are its authors' numbers of targets.
    """

    model_config = tag_required("kind")
    kind: Literal["mm"] = "mm"
    targets: Annotated[int, Field(ge=1, le=100)] = Field(
        default=9, description="How many wrong classes, the likeliest first; all where there are fewer."
    )
    steps: Annotated[int, Field(ge=1, le=1_000)] = Field(default=20, description="For each of them.")
    # Not told where it is the authors', so that what was measured before there was another keeps its fingerprint.
    loss: TargetLoss = Field(
        default="difference",
        exclude_if=lambda loss: loss == "difference",
        description="`scaled` divides the difference by the length of the logits about their mean, so that a point is "
        "no better for making all of them small.",
    )


class ProbabilityMargin(GradientAttack):
    """PMA, ascent of the probability margin (Xie et al. 2024): the likeliest wrong class' less the right one's.

    Two passes, each of one term of it and then of both, along directions that are exact where a softmax underflows. It
    is defined for Linf alone.
    """

    model_config = tag_required("kind")
    kind: Literal["pma"] = "pma"
    norm: Literal["Linf"] = "Linf"
    steps: Annotated[int, Field(ge=2, le=10_000)] = Field(default=100, description="In each of the two passes.")


class MultiTargeted(GradientAttack):
    """PGD on logit differences towards each wrong class in turn, the likeliest first (Gowal et al. 2019).

    Step 2.5 · eps / steps, from a random start for each class; an image that is broken is not attacked again.
    """

    model_config = tag_required("kind")
    kind: Literal["multitargeted"] = "multitargeted"
    targets: Annotated[int, Field(ge=1, le=100)] = Field(
        default=9, description="How many wrong classes, the likeliest first; all where there are fewer."
    )
    steps: Annotated[int, Field(ge=1, le=10_000)] = Field(default=20, description="For each of them.")


class ScreenProtocol(GradientAttack):
    """A short ensemble that takes seconds, of PMA and MM, and in version 3 of Square where there is no gradient.

    No AutoAttack, and never ranked with it. Its parts have few steps. Under L2 PGD on the margin stands in for PMA, and
    there is no Square. An image that one part breaks is not given to the next. Version 3 has MM's loss scaled, and all
    classes of ten. (A second version was tried and taken back.)
    """

    model_config = tag_required("kind")
    kind: Literal["screen"] = "screen"
    version: Literal[1, 3] = Field(
        default=1,
        # Not told where it is the first, so that what was measured before there was another keeps its id.
        exclude_if=lambda version: version == 1,
        description="`protocol: screen` is the newest. A version's numbers are never ranked with another's.",
    )


class FastProtocol(GradientAttack):
    """An ensemble that takes minutes, of PMA, MM, and since version 2 of Square where there is no gradient to follow.

    No AutoAttack, and never ranked with it. Under L2 PGD on the margin stands in for PMA, and there is no Square. An
    image that one part breaks is not given to the next. Version 3 has MM's loss scaled.
    """

    model_config = tag_required("kind")
    kind: Literal["fast"] = "fast"
    version: Literal[1, 2, 3] = Field(
        default=1,
        # Not told where it is the first, so that what was measured before there was another keeps its id.
        exclude_if=lambda version: version == 1,
        description="`protocol: fast` is the newest. A version's numbers are never ranked with another's.",
    )


AnyAttack = (
    FgsmAttack
    | PgdAttack
    | ApgdCe
    | ApgdT
    | FabT
    | Square
    | AutoAttack
    | Noise
    | Transfer
    | MinimumMargin
    | ProbabilityMargin
    | MultiTargeted
    | ScreenProtocol
    | FastProtocol
)  # what AttackSpec is told apart into
AttackSpec = Annotated[AnyAttack, Field(discriminator="kind")]
AttackKind = Literal[
    "fgsm",
    "pgd",
    "apgd-ce",
    "apgd-t",
    "fab-t",
    "square",
    "autoattack",
    "noise",
    "transfer",
    "mm",
    "pma",
    "multitargeted",
    "screen",
    "fast",
]


def attack_label(attack: AnyAttack) -> str:
    """A short unique name of an attack, such as `fgsm@8/255` or `pgd(steps=20)@L2:0.5`."""
    fields = attack.model_dump(exclude_defaults=True, exclude={"kind", "eps", "norm"})
    departures = f"({', '.join(f'{name}={value}' for name, value in fields.items())})" if fields else ""
    norm = "" if attack.norm == "Linf" else f"{attack.norm}:"
    return f"{attack.kind}{departures}@{norm}{format_eps(attack.eps)}"


def takes_for_deterministic(attack: AnyAttack) -> bool:
    """Whether it follows a gradient and has but one draw of a model that answers at random."""
    match attack:
        case AutoAttack(version=version):
            return version != "rand"
        case GradientAttack(eot=draws):
            return draws == 1
        case _:
            return False


def threat_model(attack: AnyAttack) -> str:
    """The attack's norm and budget, such as `Linf 8/255`: what makes two attacks comparable."""
    return f"{attack.norm} {format_eps(attack.eps)}"


def fewest_classes(attack: AnyAttack) -> int:
    """The least number of classes that an attack's definition covers."""
    match attack:
        case FgsmAttack() | PgdAttack() | ApgdCe() | Square() | FabT() | Noise() | Transfer():
            return 2
        case MinimumMargin() | ProbabilityMargin() | MultiTargeted() | ScreenProtocol() | FastProtocol():
            return 2
        case ApgdT():
            return 4  # the targeted DLR loss compares the first, third and fourth largest logits
        case AutoAttack(version="few"):
            return 2
        case AutoAttack(version="rand"):
            return 3  # the DLR loss compares the first and third
        case AutoAttack():
            return 4
        case _:
            assert_never(attack)


class _Sweep(BaseModel):
    """The budgets of an attack that lists them; the rest of it is not looked at."""

    eps: tuple[Eps, ...]


def _one_per_budget(attack: object, validate: ValidatorFunctionWrapHandler) -> list[AnyAttack]:
    if not _lists_budgets(attack):
        return [validate(attack)]
    budgets = _Sweep.model_validate(attack).eps
    # What else is wrong with the attack is found at its first budget, and told once.
    return [validate({**attack, "eps": eps}) for eps in budgets]


def _budgets(attack: object) -> int:
    return len(attack["eps"]) if _lists_budgets(attack) else 1


def _lists_budgets(attack: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(attack, Mapping) and isinstance(attack.get("eps"), list | tuple) and len(attack["eps"]) > 0


_SWEEPS = TypeAdapter(list[Annotated[AttackSpec, WrapValidator(_one_per_budget)]])


def spread_budgets(attacks: object) -> object:
    """A request's attacks with every list of budgets taken apart into one attack per budget.

    Each is validated where it stands in the request, so a fault is told at that place.

    Raises:
        ValueError: they are more than `MOST_ATTACKS`.
        ValidationError: one of them is faulty.
    """
    if not isinstance(attacks, list | tuple):
        return attacks
    if len(attacks) > MOST_ATTACKS or sum(map(_budgets, attacks)) > MOST_ATTACKS:
        raise ValueError(f"attacks must be at most {MOST_ATTACKS}, counting one per budget")
    return [single for sweep in _SWEEPS.validate_python(attacks) for single in sweep]
