"""Transfer matrices: every checkpoint attacked with the examples made on every other, and on itself. No torch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from gauntlet.resources import Resource
from gauntlet.results.outcome import Accuracy
from gauntlet.results.protocol import Protocol
from gauntlet.spec.attacks import GradientLoss, Norm, Transfer
from gauntlet.spec.eps import Eps
from gauntlet.spec.evaluation import EvaluationSpec, refuse_duplicates
from gauntlet.spec.kinds import CheckpointId, Spec

FEWEST_CHECKPOINTS = 2
MOST_CHECKPOINTS = 20


def _each_once(checkpoints: tuple[str, ...]) -> tuple[str, ...]:
    refuse_duplicates("checkpoints", checkpoints)
    return checkpoints


class TransferRequest(Spec):
    """The body of `POST /v1/transfers`; `steps` and `loss` are those of the PGD that makes the examples."""

    checkpoints: Annotated[
        tuple[CheckpointId, ...],
        Field(min_length=FEWEST_CHECKPOINTS, max_length=MOST_CHECKPOINTS),
        AfterValidator(_each_once),
    ]
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


class TransferMatrix(Resource):
    """Accuracies by source (row) and target (column), all measured by one protocol; None where none was measured.

    `protocol` is that of one of them: the others differ from it in the attack's `source` only. It is None where the
    whole matrix is empty. The diagonal, where source and target are one, is the white-box attack.
    """

    object: Literal["transfer_matrix"] = "transfer_matrix"
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    protocol: Protocol | None
    cells: tuple[tuple[Accuracy | None, ...], ...]


@dataclass(frozen=True)
class Transferred:
    """One measured cell: what an attack made on `attack.source` leaves of `target`."""

    attack: Transfer
    target: str
    protocol: Protocol
    accuracy: Accuracy


def transfer_matrix(checkpoints: tuple[str, ...], measured: Iterable[Transferred]) -> TransferMatrix:
    """The matrix of these checkpoints, from cells in order of preference.

    Cells of unlike protocols are never put together: of several protocols it is the one that fills most, and of those
    the most preferred.
    """
    matrices: dict[str, dict[tuple[str, str], Transferred]] = {}
    for cell in measured:
        matrices.setdefault(_apart_from_source(cell), {}).setdefault((cell.attack.source, cell.target), cell)
    fullest: Mapping[tuple[str, str], Transferred] = max(matrices.values(), key=len, default={})
    rows = [[fullest.get((source, target)) for target in checkpoints] for source in checkpoints]
    return TransferMatrix(
        sources=checkpoints,
        targets=checkpoints,
        protocol=next((cell.protocol for cell in fullest.values()), None),
        cells=tuple(tuple(None if cell is None else cell.accuracy for cell in row) for row in rows),
    )


def _apart_from_source(cell: Transferred) -> str:
    return cell.protocol.model_copy(update={"attack": cell.attack.model_copy(update={"source": ""})}).id
