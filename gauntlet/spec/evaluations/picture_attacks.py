"""How single pictures are attacked while somebody waits: a quick attack, at several budgets. No torch."""

from typing import Annotated, Literal, Self, assert_never

from pydantic import Field, model_validator

from gauntlet.spec.eps import Eps
from gauntlet.spec.evaluations.attacks import FgsmAttack, GradientLoss, Noise, Norm, PgdAttack
from gauntlet.spec.kinds import Spec, faulty_fields
from gauntlet.spec.reading.lists import Listed

MOST_BUDGETS = 32

_OF_KIND = {"steps": "pgd", "restarts": "pgd", "loss": "pgd", "draws": "noise"}

QuickAttack = FgsmAttack | PgdAttack | Noise


class PictureAttack(Spec):
    """FGSM, PGD or noise at each of the budgets, as evaluations make them (`gauntlet.spec.evaluations.attacks`).

    `steps`, `restarts` and `loss` are PGD's, and `draws` those of noise. `label` is what the pictures are; without it
    each is attacked away from what a checkpoint takes it for. `pictures` asks for the attacked pictures too.
    """

    kind: Literal["fgsm", "pgd", "noise"]
    eps: Annotated[tuple[Eps, ...], Listed(1, MOST_BUDGETS, distinct=True)]
    norm: Norm = "Linf"
    steps: Annotated[int, Field(ge=1, le=100)] = 20
    restarts: Annotated[int, Field(ge=1, le=5)] = 1
    loss: GradientLoss = "cross_entropy"
    draws: Annotated[int, Field(ge=1, le=100)] = 10
    label: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    pictures: bool = False

    @model_validator(mode="after")
    def _has_the_kinds_own_fields(self) -> Self:
        fields = type(self).model_fields
        # What is said as it is by default changes nothing: a document of this class has all fields.
        faults = [
            ((field,), getattr(self, field), f"{field} is of {kind} alone: there is none for {self.kind}")
            for field, kind in _OF_KIND.items()
            if kind != self.kind and getattr(self, field) != fields[field].default
        ]
        if faults:
            raise faulty_fields(faults)
        return self

    @model_validator(mode="after")
    def _attacks_are_valid(self) -> Self:
        self.attacks()
        return self

    def attacks(self) -> tuple[QuickAttack, ...]:
        """One attack per budget, from the smallest to the largest."""
        return tuple(self._at(eps) for eps in sorted(self.eps))

    def _at(self, eps: Eps) -> QuickAttack:
        match self.kind:
            case "fgsm":
                return FgsmAttack(eps=eps, norm=self.norm)
            case "pgd":
                return PgdAttack(eps=eps, norm=self.norm, steps=self.steps, restarts=self.restarts, loss=self.loss)
            case "noise":
                return Noise(eps=eps, norm=self.norm, draws=self.draws)
            case _:
                assert_never(self.kind)
