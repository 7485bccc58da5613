"""What is compared across evaluations, read anew from their outcomes: the leaderboard and transfer matrices."""

from collections.abc import Collection, Iterator
from fractions import Fraction
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute, Session, joinedload

from gauntlet.report.compared.leaderboard import Candidate, Leaderboard, rank
from gauntlet.report.compared.transfers import TransferMatrix, Transferred, transfer_matrix
from gauntlet.results.accuracy import Accuracy
from gauntlet.results.doubts import Doubt, doubts
from gauntlet.results.finding import Finding
from gauntlet.results.masking import MaskingVerdict
from gauntlet.results.outcome import AttackOutcome
from gauntlet.spec.evaluations.attacks import GradientLoss, Norm, Transfer
from store.models import Checkpoint, Evaluation
from store.shown import placings
from store.shown.placings import MOST_EVALUATIONS
from store.subjects import checkpoints

_AT_ONCE = 100


def leaderboard(session: Session, *, attack: str | None, dataset: str | None, limit: int) -> Leaderboard:
    """Everything measured so far, like with like; of one kind of attack or one data set if it is named."""
    shown = placings.shown(session, attack=attack, dataset=dataset, limit=limit)
    return rank(list(_candidates(session, attack, dataset, shown.evaluations)), limit, shown.counts)


def transfers(
    session: Session,
    checkpoint_ids: tuple[str, ...],
    *,
    eps: Fraction,
    norm: Norm,
    steps: int | None,
    loss: GradientLoss | None,
) -> TransferMatrix:
    """The transfer matrix of these checkpoints as far as it has been measured.

    Raises:
        NotFound: one of the checkpoints does not exist.
    """
    for identifier in checkpoint_ids:
        checkpoints.get(session, identifier)
    cells: list[Transferred] = []
    against: dict[str, dict[str, Doubt]] = {}
    for evaluation, checkpoint in _succeeded(session, Evaluation.checkpoint_id, checkpoint_ids):
        outcome = evaluation.outcome or {}
        cells += (
            cell
            for cell in _transferred(outcome, checkpoint.id)
            if (cell.attack.eps, cell.attack.norm) == (eps, norm)
            and steps in (None, cell.attack.steps)
            and loss in (None, cell.attack.loss)
            and cell.attack.source in checkpoint_ids
        )
        for doubt in _against(outcome, checkpoint)[1]:
            against.setdefault(checkpoint.id, {}).setdefault(doubt.kind, doubt)
    doubted = {checkpoint_id: tuple(found.values()) for checkpoint_id, found in against.items()}
    return transfer_matrix(checkpoint_ids, cells, doubted)


def _candidates(
    session: Session, attack: str | None, dataset: str | None, evaluations: frozenset[str]
) -> Iterator[Candidate]:
    """Of these evaluations, newest first; one that has nothing to be ranked may have found something."""
    for evaluation, checkpoint in _succeeded(session, Evaluation.id, evaluations):
        outcome = evaluation.outcome or {}
        masking, found_against = _against(outcome, checkpoint)
        yield Candidate(
            evaluation=evaluation.id,
            checkpoint=checkpoint.id,
            name=checkpoints.name_of(checkpoint),
            weights_sha256=outcome["weights_sha256"],
            natural=Accuracy.model_validate(outcome["natural"]),
            masking=masking.verdict if masking else None,
            doubts=found_against,
            outcomes=tuple(found for found in _attacked(outcome, attack) if dataset in (None, found.protocol.dataset)),
        )


def _transferred(outcome: dict[str, Any], target: str) -> Iterator[Transferred]:
    for found in _attacked(outcome, "transfer"):
        assert isinstance(found.attack, Transfer)
        yield Transferred(found.attack, target, found.protocol, found.accuracy)


def _against(outcome: dict[str, Any], checkpoint: Checkpoint) -> tuple[MaskingVerdict | None, tuple[Doubt, ...]]:
    """The verdict of an evaluation, and all that it and training found against the checkpoint."""
    masking = MaskingVerdict.model_validate(outcome["masking"]) if outcome["masking"] else None
    findings = [Finding.model_validate(found) for found in outcome.get("findings", ())]
    return masking, doubts(findings, masking, checkpoint.metrics)


def _attacked(outcome: dict[str, Any], kind: str | None) -> Iterator[AttackOutcome]:
    """The outcomes per attack, without their confusion matrices, the largest part of them."""
    for attack in outcome["attacks"]:
        if kind in (None, attack["attack"]["kind"]):
            yield AttackOutcome.model_validate(attack | {"confusion": None})


def _succeeded(
    session: Session, column: InstrumentedAttribute[str], among: Collection[str]
) -> Iterator[tuple[Evaluation, Checkpoint]]:
    """Evaluations with an outcome whose column has one of the values, newest first, and their checkpoints."""
    query = (
        select(Evaluation, Checkpoint)
        .join(Checkpoint, Checkpoint.id == Evaluation.checkpoint_id)
        .options(joinedload(Checkpoint.run))
        .where(Evaluation.status == "succeeded", Evaluation.outcome.is_not(None), column.in_(among))
        .order_by(Evaluation.id.desc())
        .limit(MOST_EVALUATIONS)
    )
    with session.execute(query, execution_options={"yield_per": _AT_ONCE}) as found:
        yield from found
