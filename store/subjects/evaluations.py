"""Evaluations: jobs whose batch results are rows, and what the API shows of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, joinedload

from gauntlet import resources
from gauntlet.checks.description import DatasetDescription, PicturesRead
from gauntlet.report.progress import StageCount, attack_progress
from gauntlet.resources import Status
from gauntlet.results.doubts import doubts
from gauntlet.results.finding import Finding
from gauntlet.results.outcome import EvaluationOutcome, Measured, summarise
from gauntlet.results.stage_results import StageBatch
from gauntlet.spec.asked.priorities import Priority
from gauntlet.spec.checkpoint_card import CheckpointCard
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from gauntlet.spec.kinds import dataset_title
from store import events, failpoints, pictures
from store.events import News
from store.lookup import find
from store.models import Checkpoint, Evaluation, EvaluationBatch
from store.queue import batches as stored
from store.queue import controls, helpers, jobs
from store.queue.helpers import Hand
from store.queue.jobs import Claim
from store.shown.pages import PageOf, newest_first
from store.subjects import checkpoints


class FinishedBatch(StageBatch, Protocol):
    """A finished batch with its number within its stage."""

    @property
    def batch(self) -> int: ...


def get(session: Session, identifier: str, *, anew: bool = False) -> Evaluation:
    """The evaluation with that id; read `anew` as it is by now, where it was seen before in this transaction.

    Raises:
        NotFound: there is none.
    """
    return find(session, Evaluation, "evaluation", identifier, anew=anew)


def page(
    session: Session,
    *,
    experiment: str | None = None,
    run: str | None = None,
    checkpoint: str | None = None,
    statuses: Sequence[Status] = (),
    after: str | None,
    limit: int,
) -> PageOf[Evaluation]:
    """Evaluations, newest first; of one experiment, run or checkpoint if it is named, and of the statuses."""
    query = select(Evaluation)
    if statuses:
        query = query.where(Evaluation.status.in_(statuses))
    if experiment is not None:
        query = query.where(Evaluation.experiment_id == experiment)
    if run is not None:
        query = query.where(Evaluation.run_id == run)
    if checkpoint is not None:
        query = query.where(Evaluation.checkpoint_id == checkpoint)
    return newest_first(
        session, query, Evaluation.id, after=after, limit=limit, parts=lambda row: len(row.spec["attacks"])
    )


def cancel(session: Session, identifier: str) -> Evaluation:
    """Cancel an evaluation that has not ended.

    Raises:
        NotFound: there is none.
    """
    get(session, identifier)
    controls.cancel(session, Evaluation, Evaluation.id == identifier)
    return get(session, identifier, anew=True)


def pause(session: Session, identifier: str) -> Evaluation:
    """Pause an evaluation until it is resumed.

    Raises:
        NotFound: there is none.
    """
    get(session, identifier)
    controls.pause(session, Evaluation, Evaluation.id == identifier)
    return get(session, identifier, anew=True)


def resume(session: Session, identifier: str) -> tuple[Evaluation, int]:
    """Let a paused evaluation go on; returns it, and how many jobs wait for it.

    Raises:
        NotFound: there is none.
    """
    get(session, identifier)
    waiting = controls.resume(session, Evaluation, Evaluation.id == identifier)
    return get(session, identifier, anew=True), waiting


def prioritise(session: Session, identifier: str, priority: Priority) -> Evaluation:
    """Give an evaluation that has not ended another priority.

    Raises:
        NotFound: there is none.
    """
    get(session, identifier)
    controls.prioritise(session, Evaluation, priority, Evaluation.id == identifier)
    return get(session, identifier, anew=True)


def batches(session: Session, identifier: str) -> Sequence[EvaluationBatch]:
    """The batches that are done."""
    return session.scalars(select(EvaluationBatch).where(EvaluationBatch.evaluation_id == identifier)).all()


def record_batch(
    session: Session, hand: Hand, batch: FinishedBatch, *, seconds: float, tell_progress: bool = False
) -> None:
    """Store one finished batch; `seconds` is 0 where its result is another evaluation's.

    `tell_progress` has the events say how far each attack is.

    Raises:
        LeaseLost: the evaluation is no longer this attempt's, or the helper is not one any more.
    """
    helpers.hold(session, hand, progressed=True)
    zero_gradient = None if batch.zero_gradient is None else list(batch.zero_gradient)
    session.add(
        EvaluationBatch(
            evaluation_id=hand.job,
            stage=batch.stage,
            batch=batch.batch,
            images=list(batch.images),
            labels=list(batch.labels),
            predicted=list(batch.predicted),
            zero_gradient=zero_gradient,
            margins=None if batch.margins is None else [list(margin) for margin in batch.margins],
            seconds=seconds,
            n=len(batch.images),
            correct=sum(seen == label for seen, label in zip(batch.predicted, batch.labels, strict=True)),
            first_image=min(batch.images),
            last_image=max(batch.images),
        )
    )
    helpers.free(session, hand, batch.stage, batch.batch)
    if tell_progress and isinstance(hand, Claim):
        _tell_progress(session, hand)
    session.flush()
    failpoints.reach("batch_recording")


def _tell_progress(session: Session, held: Claim) -> None:
    evaluation = session.get_one(Evaluation, held.id)
    hands = 1 + helpers.count(session, [held.id])[held.id]
    counts = stored.stage_counts(session, [held.id])[held.id]
    attacks = _attacks(evaluation, specified(evaluation), counts, hands)
    running = [f"{attack.label} {attack.completed} of {attack.total}" for attack in attacks if attack.completed]
    data = {"run": evaluation.run_id, "attacks": [attack.model_dump(mode="json") for attack in attacks]}
    message = f"Images done: {', '.join(running)}." if running else "The natural accuracy is being measured."
    events.tell(session, News("progress", "progress", held.id, message, held.experiment, held.token, data=data))


def _attacks(
    evaluation: Evaluation, spec: EvaluationSpec, counts: Mapping[str, StageCount], hands: int
) -> tuple[resources.AttackProgress, ...]:
    return attack_progress(spec, counts, evaluation.images or spec.samples, hands)


@dataclass(frozen=True)
class AttackedSet:
    """What is attacked: so many images of the test set with that digest, and what reading it has shown."""

    sha256: str
    images: int
    data: DatasetDescription | None = None


def note_start(session: Session, held: Claim, attacked: AttackedSet, implementation: str) -> None:
    """Note what is attacked, and whose code on what kind of device does it.

    `implementation` begins with `gauntlet.results.protocol.IMPLEMENTATIONS`. Where an earlier attempt attacked
    something else, or otherwise, its batches are forgotten: an outcome has one protocol. After a crash it begins
    without helpers.

    Raises:
        LeaseLost: the evaluation is no longer this attempt's.
    """
    jobs.hold(session, held)
    before = session.execute(
        select(Evaluation.dataset_sha256, Evaluation.implementation, Evaluation.crashes).where(Evaluation.id == held.id)
    ).one()
    another = (before.dataset_sha256, before.implementation) != (attacked.sha256, implementation)
    helpers.begin(session, held, alone=another or before.crashes > 0)
    if another:
        session.execute(delete(EvaluationBatch).where(EvaluationBatch.evaluation_id == held.id))
        pictures.forget(session, [held.id])
    noted = {
        "dataset_sha256": attacked.sha256,
        "images": attacked.images,
        "data": None if attacked.data is None else attacked.data.model_dump(mode="json"),
        "implementation": implementation,
    }
    session.execute(update(Evaluation).where(Evaluation.id == held.id).values(noted))


def complete(session: Session, held: Claim, findings: Sequence[Finding] = ()) -> None:
    """Count the stored batches into the outcome, with what else was found of the model, and end the evaluation.

    Raises:
        LeaseLost: the evaluation is no longer this attempt's.
    """
    # Before the end, with which whoever follows it stops.
    _tell_progress(session, held)
    if jobs.finish(session, held, "succeeded") != "succeeded":
        return
    evaluation = session.get_one(Evaluation, held.id)
    checkpoint = session.get_one(Checkpoint, evaluation.checkpoint_id)
    card = CheckpointCard.model_validate(checkpoint.card)
    measured = Measured(
        weights_sha256=checkpoint.sha256,
        dataset=dataset_title(card.dataset),
        dataset_sha256=evaluation.dataset_sha256 or "",
        classes=card.classes,
        findings=tuple(findings),
    )
    outcome = summarise(specified(evaluation), batches(session, held.id), measured)
    evaluation.outcome = outcome.model_dump(mode="json")
    session.flush()
    failpoints.reach("outcome_recording")


def specified(evaluation: Evaluation) -> EvaluationSpec:
    """The evaluation's spec as a value."""
    return EvaluationSpec.model_validate(evaluation.spec)


def pictures_read(evaluation: Evaluation) -> PicturesRead | None:
    """What reading its test images has shown; None before that."""
    if evaluation.data is None:
        return None
    test = DatasetDescription.model_validate(evaluation.data).test
    return None if test is None else test.read


def show(session: Session, shown: Sequence[Evaluation]) -> list[resources.Evaluation]:
    """The evaluations as the API shows them, with the progress of each attack counted from the batches."""
    identifiers = [evaluation.id for evaluation in shown]
    counts, helping = stored.stage_counts(session, identifiers), helpers.count(session, identifiers)
    attacked = {evaluation.checkpoint_id for evaluation in shown}
    found = select(Checkpoint).options(joinedload(Checkpoint.run)).where(Checkpoint.id.in_(attacked))
    about = {checkpoint.id: _About.of(checkpoint) for checkpoint in session.scalars(found)}
    return [
        _show(evaluation, counts[evaluation.id], about[evaluation.checkpoint_id], helping[evaluation.id])
        for evaluation in shown
    ]


@dataclass(frozen=True)
class _About:
    """What is shown of an evaluation's checkpoint."""

    name: str
    dataset: str
    metrics: Mapping[str, float]

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> "_About":
        card = checkpoints.card_of(checkpoint)
        return cls(checkpoints.name_of(checkpoint), dataset_title(card.dataset), checkpoint.metrics)


def show_whole(session: Session, evaluation: Evaluation) -> resources.Evaluation:
    """One evaluation with what was read of its test images and the files of its pictures, which lists do without."""
    (shown,) = show(session, [evaluation])
    data = None if evaluation.data is None else DatasetDescription.model_validate(evaluation.data)
    return shown.model_copy(update={"data": data, "pictures": pictures.show(session, evaluation.id)})


def _show(
    evaluation: Evaluation, counts: Mapping[str, StageCount], about: _About, helping: int
) -> resources.Evaluation:
    spec = specified(evaluation)
    outcome = (
        None if evaluation.outcome is None else EvaluationOutcome.model_validate(evaluation.outcome, extra="ignore")
    )
    return resources.Evaluation(
        id=evaluation.id,
        experiment=evaluation.experiment_id,
        run=evaluation.run_id,
        checkpoint=evaluation.checkpoint_id,
        checkpoint_name=about.name,
        dataset=about.dataset,
        selection=tuple(evaluation.selection),
        spec=spec,
        helpers=helping,
        attacks=_attacks(evaluation, spec, counts, 1 + helping),
        outcome=outcome,
        doubts=() if outcome is None else doubts(outcome.findings, outcome.masking, about.metrics),
        **jobs.shown(evaluation),
    )
