"""What an evaluation does: a list of attacks on test images, and which checkpoints of a run it is done to."""

from collections.abc import Mapping
from fractions import Fraction
from math import prod
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gauntlet.spec.asked.priorities import GivenPriority
from gauntlet.spec.eps import Eps
from gauntlet.spec.evaluations.attacks import (
    MOST_ATTACKS,
    AnyAttack,
    AttackSpec,
    AutoAttack,
    FgsmAttack,
    Norm,
    attack_label,
    spread_budgets,
)
from gauntlet.spec.evaluations.corruptions import CorruptionsSpec
from gauntlet.spec.evaluations.protocols import ProtocolName, expand_protocol
from gauntlet.spec.evaluations.smoothing import SmoothingSpec
from gauntlet.spec.kinds import Spec
from gauntlet.spec.reading.lists import Listed, refuse_duplicates
from gauntlet.spec.reading.texts import CheckpointId

Selection = Literal["best_fgsm", "last"]
# What a checkpoint was selected as; of the averages where its run keeps them beside the weights.
Selected = Literal["best_fgsm", "last", "average_best_fgsm", "average_last"]
_OF_AVERAGES: Mapping[Selection, Selected] = {"best_fgsm": "average_best_fgsm", "last": "average_last"}
_Selections = Annotated[tuple[Selection, ...], Listed(1, 2, distinct=True)]
SelectOn = Literal["test", "validation"]
MOST_KEPT_BYTES = 128 << 20
# On CIFAR-10 the usual 5,000 of 50,000.
_ONE_HELD_OUT_OF = 10


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _no_attack_twice(attacks: tuple[AnyAttack, ...]) -> tuple[AnyAttack, ...]:
    refuse_duplicates("attacks", [attack_label(attack) for attack in attacks])
    return attacks


class MaskingSpec(Spec):
    """The checks for masked gradients: further attacks, on the first `samples` of the evaluation's images."""

    samples: Annotated[int, Field(ge=1, le=10_000)] = 200
    eps_grows_to: Annotated[int, Field(ge=2, le=255)] = Field(
        default=16,
        description="The unbounded-attack check multiplies the first budget above 0 by this at most.",
    )
    sources: Annotated[tuple[CheckpointId, ...], Listed(0, 8, distinct=True)] = Field(
        default=(),
        description="Checkpoints on which transferred examples are made. An experiment that names none takes its own "
        "other checkpoints, as far as they are trained by then.",
    )


class EvaluationSpec(Spec):
    """Attacks on the first `samples` test images, the same for every checkpoint.

    `protocol`, with `eps` and `norm`, is a shorthand of the request: it is taken apart into `attacks` while the spec is
    read, so a stored spec says everything itself.
    """

    protocol: ProtocolName | None = Field(
        default=None, exclude=True, description="In place of `attacks`: an ensemble by its name."
    )
    eps: Annotated[tuple[Eps, ...], Listed(1, MOST_ATTACKS)] | Eps | None = Field(
        default=None, exclude=True, description="The protocol's budget; a list stands for one ensemble per budget."
    )
    norm: Norm | None = Field(default=None, exclude=True, description="The protocol's norm, Linf by default.")
    attacks: Annotated[
        tuple[AttackSpec, ...],
        Listed(1, MOST_ATTACKS),
        BeforeValidator(spread_budgets),
        AfterValidator(_no_attack_twice),
    ] = (
        FgsmAttack(eps=Fraction(8, 255)),
        AutoAttack(eps=Fraction(8, 255)),
    )
    samples: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    batch_size: Annotated[int, Field(ge=1, le=1_000)] = Field(
        default=100,
        description="Images attacked at once; part of AutoAttack's protocol, whose seed restarts per batch.",
    )
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(
        default=0, description="Where every batch's random numbers start from."
    )
    masking: MaskingSpec | None = Field(
        default=None, description="Also look for masked gradients, and give a verdict with its evidence."
    )
    corruptions: CorruptionsSpec | None = Field(
        default=None,
        exclude_if=lambda asked: asked is None,
        description="Also measure accuracy on corrupted images: noise, blur, fog and the like.",
    )
    smoothing: SmoothingSpec | None = Field(
        default=None,
        exclude_if=lambda asked: asked is None,
        description="Also certify the model, smoothed with noise, under L2.",
    )

    # Not told where none are kept, so that the same evaluation as before is written as before.
    keep_images: Annotated[int, Field(ge=0, le=1_000)] = Field(
        default=0,
        exclude_if=lambda kept: kept == 0,
        description="Of how many of the first images the attacked pictures are kept, for others to check; at most "
        f"{MOST_KEPT_BYTES >> 20} MiB of them over all attacks.",
    )

    @model_validator(mode="before")
    @classmethod
    def _expand_protocol(cls, value: object) -> object:
        return expand_protocol(value)


def kept_bytes(spec: EvaluationSpec, image_shape: tuple[int, int, int]) -> int:
    """How many bytes the pictures that such an evaluation keeps have: a byte a number, and four under each attack."""
    images = min(spec.keep_images, spec.samples)
    return images * prod(image_shape) * (1 + 4 * len(spec.attacks))


class EvaluationRequest(EvaluationSpec):
    """The same, of one checkpoint: the body of `POST /v1/evaluations`."""

    checkpoint: CheckpointId
    priority: GivenPriority = "normal"

    def spec(self) -> EvaluationSpec:
        """What is asked for, without the checkpoint and what stands beside it."""
        return EvaluationSpec.model_validate(self.model_dump(exclude={"checkpoint", "priority"}))


class ExperimentEvaluationSpec(EvaluationSpec):
    """Which checkpoints of every run are attacked, and how."""

    select: Annotated[
        _Selections,
        BeforeValidator(_one_or_many, json_schema_input_type=Selection | _Selections),
    ] = ("best_fgsm",)
    select_on: SelectOn = Field(
        default="test",
        description="Whose FGSM accuracy `best_fgsm` goes by: the test set's, as in the paper, or that of training "
        "images which are held out of training for it, the same ones for every run.",
    )
    validation_samples: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None,
        description="How many training images are held out under `select_on: validation`; by default a tenth.",
    )

    @model_validator(mode="after")
    def _nothing_is_held_out_for_nothing(self) -> Self:
        if self.validation_samples is not None and self.select_on == "test":
            raise ValueError("validation_samples has no meaning without select_on validation: nothing is held out")
        return self

    def held_out(self, train_images: int) -> int:
        """How many of so many training images are kept for validation instead of being trained on."""
        if self.select_on == "test":
            return 0
        return self.validation_samples or max(1, train_images // _ONE_HELD_OUT_OF)

    def of_one(self) -> EvaluationSpec:
        """What is done to each of the selected checkpoints."""
        return EvaluationSpec.model_validate({name: getattr(self, name) for name in EvaluationSpec.model_fields})


def of_averages(selection: Selection) -> Selected:
    """The same selection, of a run's averages beside its weights."""
    return _OF_AVERAGES[selection]


def other_models(spec: EvaluationSpec) -> list[str]:
    """The checkpoints that transfer attacks make their examples on, without repetition."""
    named = [attack.source for attack in spec.attacks if attack.kind == "transfer"]
    return list(dict.fromkeys([*named, *(spec.masking.sources if spec.masking else ())]))
