"""How far each attack of an evaluation is, and how long the rest of it will take, from what is stored. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gauntlet.resources import AttackProgress
from gauntlet.results.stage_results import NATURAL
from gauntlet.spec.evaluations.attacks import AnyAttack, attack_label
from gauntlet.spec.evaluations.ensembles import parts_of
from gauntlet.spec.evaluations.evaluation import EvaluationSpec


@dataclass(frozen=True)
class StageCount:
    """What is stored of one stage: `images` attacked, of which `correct` stayed right, in `seconds`.

    `measured` of the images were computed; the others' results came from other evaluations and took no time.
    """

    images: int
    correct: int
    measured: int
    seconds: float


_NOTHING = StageCount(0, 0, 0, 0.0)


def attack_progress(
    spec: EvaluationSpec, counts: Mapping[str, StageCount], total: int, hands: int = 1
) -> tuple[AttackProgress, ...]:
    """The progress of every attack of `spec` on `total` images; `counts` are by stage, and `hands` work on it."""
    return tuple(_of_one(attack, counts, total, hands) for attack in spec.attacks)


def _of_one(attack: AnyAttack, counts: Mapping[str, StageCount], total: int, hands: int) -> AttackProgress:
    label, parts = attack_label(attack), parts_of(attack)
    stages = [counts.get(f"{label}:{part}", _NOTHING) for part in parts] or [counts.get(label, _NOTHING)]
    # What an ensemble is not given any more: first what is wrong without it, then what one part after another breaks.
    broken = _broken(counts.get(NATURAL, _NOTHING)) if parts else 0
    waiting = []
    for stage in stages:
        waiting.append(max(0, total - broken - stage.images))
        broken += _broken(stage)
    started = any(stage.images for stage in stages)
    # All that reach the last part are completed by it, whether it breaks them or not.
    completed = min(total, broken + stages[-1].correct)
    done = completed == total
    return AttackProgress(
        label=label,
        status="done" if done else "running" if started else "queued",
        completed=completed if started or done else 0,
        total=total,
        seconds=sum(stage.seconds for stage in stages),
        eta_s=0.0 if done else _eta_s(stages, waiting, hands),
    )


def _broken(stage: StageCount) -> int:
    return stage.images - stage.correct


def _eta_s(stages: Sequence[StageCount], waiting: Sequence[int], hands: int) -> float | None:
    """Each part at its own pace, and one that has not begun at that of the others; all hands share the rest."""
    measured = sum(stage.measured for stage in stages)
    if not measured:
        return None
    usual = sum(stage.seconds for stage in stages) / measured
    paces = [stage.seconds / stage.measured if stage.measured else usual for stage in stages]
    return sum(pace * images for pace, images in zip(paces, waiting, strict=True)) / hands
