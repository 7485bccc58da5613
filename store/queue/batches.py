"""An evaluation's stored batches: those of some images, those that serve another evaluation, and their sums."""

from collections.abc import Sequence

from sqlalchemy import case, func, or_, select
from sqlalchemy.orm import Session

from gauntlet.report.progress import StageCount
from gauntlet.results.corruptions import CORRUPTION_PREFIX
from gauntlet.results.masking import MASKING_PREFIX, masking_attacks
from gauntlet.results.smoothing import SMOOTHING_PREFIX
from gauntlet.results.stage_results import NATURAL
from gauntlet.spec.evaluations.attacks import attack_label
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from store.models import Checkpoint, Evaluation, EvaluationBatch


def between(session: Session, identifier: str, first: int, last: int) -> Sequence[EvaluationBatch]:
    """The batches that may hold images at the positions `first` to `last`."""
    query = select(EvaluationBatch).where(
        EvaluationBatch.evaluation_id == identifier,
        EvaluationBatch.first_image <= last,
        EvaluationBatch.last_image >= first,
    )
    return session.scalars(query).all()


def images_so_far(session: Session, identifier: str) -> int:
    """How many images lie up to the last one that a stored batch holds."""
    last = session.scalar(
        select(func.max(EvaluationBatch.last_image)).where(EvaluationBatch.evaluation_id == identifier)
    )
    return 0 if last is None else last + 1


def reusable(session: Session, identifier: str) -> Sequence[EvaluationBatch]:
    """Batches of other evaluations that are as good as this one's own.

    They are of the same weights, test set, seed, batch size and code, and of its natural pass, its attacks, its checks
    for masked gradients, its corruptions or its certificates. Of each there is what was measured, not the copies that
    others took of it, and no natural pass without the images' margins, which earlier versions did not take. The
    evaluation's test set has been noted.
    """
    evaluation = session.get_one(Evaluation, identifier)
    checkpoint = session.get_one(Checkpoint, evaluation.checkpoint_id)
    spec = EvaluationSpec.model_validate(evaluation.spec)
    labels = [attack_label(attack) for attack in spec.attacks]
    checks = [f"{MASKING_PREFIX}{attack_label(attack)}" for attack in masking_attacks(spec)]
    stage = EvaluationBatch.stage
    beginnings = [f"{label}:" for label in labels]
    beginnings += [CORRUPTION_PREFIX] if spec.corruptions else []
    beginnings += [SMOOTHING_PREFIX] if spec.smoothing else []
    parts = (stage.startswith(beginning, autoescape=True) for beginning in beginnings)
    query = (
        select(EvaluationBatch)
        .join(Evaluation, Evaluation.id == EvaluationBatch.evaluation_id)
        .join(Checkpoint, Checkpoint.id == Evaluation.checkpoint_id)
        .where(
            Evaluation.id != identifier,
            Checkpoint.sha256 == checkpoint.sha256,
            Evaluation.dataset_sha256 == evaluation.dataset_sha256,
            Evaluation.implementation == evaluation.implementation,
            Evaluation.spec["seed"].as_integer() == spec.seed,
            Evaluation.spec["batch_size"].as_integer() == spec.batch_size,
            or_(stage.in_([NATURAL, *labels, *checks]), *parts),
            or_(stage != NATURAL, EvaluationBatch.margins.is_not(None)),
            EvaluationBatch.first_image < spec.samples,
            EvaluationBatch.seconds > 0,
        )
    )
    return session.scalars(query).all()


def stage_counts(session: Session, identifiers: Sequence[str]) -> dict[str, dict[str, StageCount]]:
    """What is stored of each evaluation's stages, by evaluation and stage, in one query."""
    batch = EvaluationBatch
    query = (
        select(
            batch.evaluation_id,
            batch.stage,
            func.sum(batch.n),
            func.sum(batch.correct),
            func.sum(case((batch.seconds > 0, batch.n), else_=0)),
            func.sum(batch.seconds),
        )
        .where(batch.evaluation_id.in_(identifiers))
        .group_by(batch.evaluation_id, batch.stage)
    )
    counts: dict[str, dict[str, StageCount]] = {identifier: {} for identifier in identifiers}
    for identifier, stage, images, correct, measured, seconds in session.execute(query):
        counts[identifier][stage] = StageCount(images, correct, measured, seconds)
    return counts
