"""What an experiment would take, by what earlier ones took: times per device, and bytes of its checkpoints.

Only the newest jobs are looked at, and of them those that computed alike. What nobody measured is not guessed.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased, defer

from gauntlet.checks.description import DatasetDescription
from gauntlet.checks.used_images import used_images
from gauntlet.report.progress import StageCount
from gauntlet.resources import Estimate
from gauntlet.results.corruptions import corruption_stage
from gauntlet.results.smoothing import smoothing_stage
from gauntlet.results.stage_results import NATURAL
from gauntlet.spec.checkpoint_card import CheckpointCard
from gauntlet.spec.evaluations.attacks import AnyAttack, attack_label
from gauntlet.spec.evaluations.ensembles import parts_of
from gauntlet.spec.evaluations.smoothing import SmoothingSpec
from gauntlet.spec.experiment import ExperimentSpec, RunSpec
from store.models import Checkpoint, EpochMetrics, Evaluation, Run
from store.queue import batches
from store.subjects.evaluations import specified

# Read for one request; each has up to 10 kB of spec.
_NEWEST: Final = 50

# By device: seconds per image.
_Paces = dict[str, float]


def of_time(session: Session, spec: ExperimentSpec, found: DatasetDescription | None) -> tuple[Estimate, ...]:
    """What its jobs would take on each device that something alike ran on, the newest first.

    Args:
        found: the data set, without which nothing is known of how long training takes.
    """
    runs, evaluations = _runs(session), _evaluations(session, spec)
    wanted = _without_seeds(spec)
    used = [used_images(run, found) for run in wanted]
    trained = [
        {
            device: pace * len(spec.seeds) * run.training.epochs * (images.train or 0)
            for device, pace in _training_paces(runs, run).items()
        }
        for run, images in zip(wanted, used, strict=True)
    ]
    attacked = [_attack_paces(evaluations, attack) for attack in (None, *spec.evaluation.attacks)]
    attacked += [_stage_paces(evaluations, stage) for stage in _corrupted(spec)]
    certified = [] if spec.evaluation.smoothing is None else [_certifying_paces(evaluations, spec.evaluation.smoothing)]
    devices = dict.fromkeys(device for paces in (*trained, *attacked, *certified) for device in paces)
    # No trial has an evaluation of its own.
    test_images = used[0].test or spec.evaluation.samples
    checkpoints = len(wanted) * len(spec.seeds) * len(spec.evaluation.select) * _versions(spec)
    smoothed = min(test_images, spec.evaluation.smoothing.samples) if spec.evaluation.smoothing else 0
    return tuple(
        Estimate(
            device=device,
            training_seconds=None if None in [images.train for images in used] else _total(trained, device),
            evaluation_seconds=_sum(
                _total(attacked, device, checkpoints * test_images), _total(certified, device, checkpoints * smoothed)
            ),
        )
        for device in devices
    )


def of_disk(session: Session, spec: ExperimentSpec) -> int | None:
    """What its checkpoints would take, by the newest one of the same network; None where none is, or trials differ."""
    query = select(Checkpoint.card, Checkpoint.bytes).order_by(Checkpoint.id.desc()).limit(_NEWEST)
    training, trials = spec.training, 1 if spec.sweep is None else spec.sweep.most_trials
    network = _network_trained(spec)
    kept = sum(training.keeps(epoch) for epoch in range(1, training.epochs + 1)) * _versions(spec)
    for card, size in session.execute(query):
        if _network_of(CheckpointCard.model_validate(card)) == network:
            return kept * trials * len(spec.objectives) * len(spec.seeds) * int(size)
    return None


def _versions(spec: ExperimentSpec) -> int:
    """How many checkpoints each epoch makes that is kept."""
    return 1 if spec.training.averaging is None else len(spec.training.averaging.kept)


def _total(paces: Sequence[Mapping[str, float]], device: str, images: int = 1) -> float | None:
    if not all(device in each for each in paces):
        return None
    return images * sum(each[device] for each in paces)


def _sum(*seconds: float | None) -> float | None:
    return None if None in seconds else sum(each for each in seconds if each is not None)


def _without_seeds(spec: ExperimentSpec) -> list[RunSpec]:
    return [run for _, run in spec.runs()[:: len(spec.seeds)]]


def _runs(session: Session) -> list[tuple[str, RunSpec, float]]:
    """The newest runs: device, what was trained, and seconds per image of its share of the device."""
    # Of runs that are computed as one each epoch has the seconds of all.
    other = aliased(Run)
    slot = func.coalesce(Run.fused_with, Run.id)
    alike = other.experiment_id == Run.experiment_id, func.coalesce(other.fused_with, other.id) == slot
    together = select(func.count()).where(*alike).scalar_subquery()
    query = (
        select(Run.device, Run.spec, func.avg(1 / EpochMetrics.images_per_second) / together)
        .join(EpochMetrics, EpochMetrics.run_id == Run.id)
        .where(Run.id.in_(_newest(Run)), Run.device.is_not(None), EpochMetrics.images_per_second > 0)
        .group_by(Run.id)
        .order_by(Run.id.desc())
    )
    return [(device or "", RunSpec.model_validate(spec), pace) for device, spec, pace in session.execute(query)]


def _training_paces(runs: Sequence[tuple[str, RunSpec, float]], wanted: RunSpec) -> _Paces:
    """Of the newest runs that computed the same for each image."""
    paces: _Paces = {}
    for device, run, pace in runs:
        if _work_of(run) == _work_of(wanted):
            paces.setdefault(device, pace)
    return paces


def _evaluations(session: Session, spec: ExperimentSpec) -> list[tuple[Evaluation, Mapping[str, StageCount]]]:
    """The newest evaluations of the network on as large images, with their stages' counts; of unlike trials' none."""
    query = (
        select(Evaluation, Checkpoint.card)
        .options(defer(Evaluation.outcome, raiseload=True))
        .join(Checkpoint, Checkpoint.id == Evaluation.checkpoint_id)
        .where(Evaluation.id.in_(_newest(Evaluation)), Evaluation.device.is_not(None))
        .order_by(Evaluation.id.desc())
    )
    network = _network_trained(spec)
    alike = [row for row, card in session.execute(query) if _network_of(CheckpointCard.model_validate(card)) == network]
    counts = batches.stage_counts(session, [row.id for row in alike])
    return [(row, counts[row.id]) for row in alike]


def _attack_paces(
    evaluations: Sequence[tuple[Evaluation, Mapping[str, StageCount]]], attack: AnyAttack | None
) -> _Paces:
    """Of the newest evaluations with that attack, whatever its budget, or of their pass without any."""
    paces: _Paces = {}
    for evaluation, counts in evaluations:
        _note_pace(paces, evaluation, counts, _stages(evaluation, attack))
    return paces


def _stage_paces(evaluations: Sequence[tuple[Evaluation, Mapping[str, StageCount]]], stage: str) -> _Paces:
    paces: _Paces = {}
    for evaluation, counts in evaluations:
        _note_pace(paces, evaluation, counts, [stage])
    return paces


def _note_pace(paces: _Paces, evaluation: Evaluation, counts: Mapping[str, StageCount], stages: Sequence[str]) -> None:
    """Seconds per image of all the stages together, unless a newer evaluation on the same device has told them."""
    measured = [counts.get(stage) for stage in stages]
    # What was another's result, or was skipped, says nothing of how long it takes.
    if measured and evaluation.images and all(stage and stage.measured == stage.images for stage in measured):
        paces.setdefault(str(evaluation.device), sum(stage.seconds for stage in measured if stage) / evaluation.images)


def _corrupted(spec: ExperimentSpec) -> list[str]:
    """The stages of the corruptions that it asks for."""
    corruptions = spec.evaluation.corruptions
    if corruptions is None:
        return []
    strengths = corruptions.strengths_for(*spec.dataset.image_shape[1:])
    return [
        corruption_stage(strengths, kind, severity) for kind in corruptions.kinds for severity in corruptions.severities
    ]


def _certifying_paces(
    evaluations: Sequence[tuple[Evaluation, Mapping[str, StageCount]]], wanted: SmoothingSpec
) -> _Paces:
    """Of the newest evaluations with certificates, whatever their noise and their number of draws."""
    paces: _Paces = {}
    for evaluation, counts in evaluations:
        done = specified(evaluation).smoothing
        # The certificates are made at the first radius, and read off at the others.
        stage = None if done is None else counts.get(smoothing_stage(done, done.radii[0]))
        if done is not None and stage is not None and stage.measured == stage.images:
            passes = stage.images * (done.selection + done.draws)
            paces.setdefault(str(evaluation.device), stage.seconds / passes * (wanted.selection + wanted.draws))
    return paces


def _stages(evaluation: Evaluation, attack: AnyAttack | None) -> list[str]:
    if attack is None:
        return [NATURAL]
    for done in specified(evaluation).attacks:
        if _without_budget(done) == _without_budget(attack):
            label = attack_label(done)
            return [f"{label}:{part}" for part in parts_of(done)] or [label]
    return []


def _newest(model: type[Run] | type[Evaluation]) -> Any:
    return select(model.id).where(model.status == "succeeded").order_by(model.id.desc()).limit(_NEWEST)


def _network_of(card: CheckpointCard) -> tuple[Any, tuple[int, int, int]]:
    return card.architecture, card.image_shape


def _network_trained(spec: ExperimentSpec) -> tuple[Any, tuple[int, int, int]] | None:
    """None where a sweep's trials have several, or read images of several shapes."""
    first, *others = [(run.architecture, run.dataset.image_shape) for run in _without_seeds(spec)]
    return first if all(each == first for each in others) else None


def _work_of(run: RunSpec) -> tuple[Any, ...]:
    """What decides how long an image takes: the network, what it learns from, how that is attacked and computed."""
    attacked = run.adversary.model_dump(exclude={"eps"})
    training = run.training
    how = training.mix, training.precision, training.compile, training.grad_align is None, training.awp is None
    return run.architecture, run.dataset.image_shape, run.objective.kind, attacked, how


def _without_budget(attack: AnyAttack) -> str:
    return attack_label(attack).rpartition("@")[0]
