"""What is compared across evaluations, read anew from their outcomes: the leaderboard and transfer matrices."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from gauntlet.report.leaderboard import Candidate, Leaderboard, rank
from gauntlet.report.transfers import TransferMatrix, Transferred, transfer_matrix
from gauntlet.results.doubts import Doubt, doubts
from gauntlet.results.finding import Finding
from gauntlet.results.masking import MaskingVerdict
from gauntlet.results.outcome import Accuracy, AttackOutcome
from gauntlet.spec.attacks import GradientLoss, Norm, Transfer
from store import checkpoints
from store.models import Checkpoint, Evaluation

# Older outcomes are not looked at. Bounds what one request reads.
MOST_EVALUATIONS = 5_000
_AT_ONCE = 100


def leaderboard(session: Session, *, attack: str | None, dataset: str | None, limit: int) -> Leaderboard:
    """Everything measured so far, like with like; of one kind of attack or one data set if it is named."""
    return rank(list(_candidates(session, attack, dataset)), limit)


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
    for evaluation, checkpoint in _succeeded(session, checkpoint_ids):
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


def _candidates(session: Session, attack: str | None, dataset: str | None) -> Iterator[Candidate]:
    """Every evaluation: one that has nothing to be ranked may have found something against the weights."""
    for evaluation, checkpoint in _succeeded(session):
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


def _succeeded(session: Session, targets: tuple[str, ...] | None = None) -> Iterator[tuple[Evaluation, Checkpoint]]:
    """Evaluations with an outcome, newest first, and their checkpoints."""
    query = (
        select(Evaluation, Checkpoint)
        .join(Checkpoint, Checkpoint.id == Evaluation.checkpoint_id)
        .options(joinedload(Checkpoint.run))
        .where(Evaluation.status == "succeeded", Evaluation.outcome.is_not(None))
        .order_by(Evaluation.id.desc())
        .limit(MOST_EVALUATIONS)
    )
    if targets is not None:
        query = query.where(Evaluation.checkpoint_id.in_(targets))
    with session.execute(query, execution_options={"yield_per": _AT_ONCE}) as found:
        yield from found
