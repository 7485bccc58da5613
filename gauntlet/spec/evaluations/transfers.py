"""What is asked for where checkpoints are attacked with the examples made on each other."""

from fractions import Fraction
from typing import Annotated, Self

from pydantic import Field, model_validator

from gauntlet.spec.eps import Eps
from gauntlet.spec.evaluations.attacks import GradientLoss, Norm, Transfer
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from gauntlet.spec.kinds import Spec
from gauntlet.spec.reading.lists import Listed
from gauntlet.spec.reading.texts import CheckpointId

FEWEST_CHECKPOINTS = 2
MOST_CHECKPOINTS = 20


class TransferRequest(Spec):
    """The body of `POST /v1/transfers`; `steps` and `loss` are those of the PGD that makes the examples."""

    checkpoints: Annotated[tuple[CheckpointId, ...], Listed(FEWEST_CHECKPOINTS, MOST_CHECKPOINTS, distinct=True)]
    eps: Eps = Fraction(8, 255)
    norm: Norm = "Linf"
    steps: Annotated[int, Field(ge=1, le=10_000)] = 50
    loss: GradientLoss = "cross_entropy"
    samples: Annotated[int, Field(ge=1, le=1_000_000)] = 1_000
    batch_size: Annotated[int, Field(ge=1, le=1_000)] = 100
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0

    @model_validator(mode="after")
    def _attacks_are_valid(self) -> Self:
        self.spec()
        return self

    def spec(self) -> EvaluationSpec:
        """What is done to each of the checkpoints."""
        return EvaluationSpec(
            attacks=tuple(
                Transfer(source=source, eps=self.eps, norm=self.norm, steps=self.steps, loss=self.loss)
                for source in self.checkpoints
            ),
            samples=self.samples,
            batch_size=self.batch_size,
            seed=self.seed,
        )
