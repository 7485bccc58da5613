"""Transfer matrices: every checkpoint attacked with the examples made on every other, and on itself. No torch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from gauntlet.resources import Resource
from gauntlet.results.accuracy import Accuracy
from gauntlet.results.doubts import Doubt
from gauntlet.results.protocol import Protocol
from gauntlet.spec.evaluations.attacks import Transfer


class TransferMatrix(Resource):
    """Accuracies by source (row) and target (column), all measured by one protocol; None where none was measured.

    `protocol` is that of one of them: the others differ from it in the attack's `source` only. It is None where the
    whole matrix is empty. The diagonal, where source and target are one, is the white-box attack. `doubts` are, by
    target, what any of its evaluations found against its accuracies; a target of which nothing was found is not there.
    """

    object: Literal["transfer_matrix"] = "transfer_matrix"
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    protocol: Protocol | None
    cells: tuple[tuple[Accuracy | None, ...], ...]
    doubts: dict[str, tuple[Doubt, ...]] = Field(default_factory=dict)


@dataclass(frozen=True)
class Transferred:
    """One measured cell: what an attack made on `attack.source` leaves of `target`."""

    attack: Transfer
    target: str
    protocol: Protocol
    accuracy: Accuracy


def transfer_matrix(
    checkpoints: tuple[str, ...], measured: Iterable[Transferred], doubts: Mapping[str, tuple[Doubt, ...]]
) -> TransferMatrix:
    """The matrix of these checkpoints, from cells in order of preference, with what is known against each.

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
        doubts=dict(doubts),
    )


def _apart_from_source(cell: Transferred) -> str:
    return cell.protocol.model_copy(update={"attack": cell.attack.model_copy(update={"source": ""})}).id
