"""A picture under attack at several budgets, within bounds of time and of what the answer may hold."""

import base64
import unicodedata
from collections.abc import Sequence

from fastapi.concurrency import run_in_threadpool

from gauntlet.checks.names import listed
from gauntlet.resources import ProblemError, UnderAttack, UnderBudget
from gauntlet.spec.checkpoint_card import CheckpointCard
from gauntlet.spec.eps import format_eps
from gauntlet.spec.evaluations.attack_titles import attack_title
from gauntlet.spec.evaluations.attacks import AnyAttack, FgsmAttack, Noise, PgdAttack
from gauntlet.spec.evaluations.picture_attacks import PictureAttack, QuickAttack
from service.errors import ServiceError, invalid_fields
from service.pictures.classification import Attacked, Classifier, Told, TooSlow, Weights
from service.pictures.images import Seen
from service.pictures.png import as_png

# Of one request, all pictures, checkpoints and budgets together: a step of PGD is a pass forth and one back. The
# paper's CNN does 1,000 steps in 3 s of a core on 32 × 32 pixels, ResNet-18 in 40.
_MOST_STEPS = 8_000
_MOST_PIXEL_BYTES = 16 << 20
_CLASSES_SHOWN = 20


class TimeLeft:
    """How long a request's attacks may still compute."""

    def __init__(self, seconds: float) -> None:
        self._granted = seconds
        self.left = seconds

    def require(self) -> None:
        """Do nothing while there is time.

        Raises:
            ServiceError: 422, it has run out.
        """
        if self.left <= 0:
            raise self.over()

    def over(self) -> ServiceError:
        """The refusal of what takes longer."""
        return _refused(
            f"This takes more than {self._granted:g} s of a processor; ask for fewer steps, budgets, images or "
            "checkpoints."
        )


def require_bounded(
    plan: PictureAttack, cards: Sequence[CheckpointCard], pictures: int, most_probabilities: int
) -> None:
    """Refuse what would take too long, or give too long an answer, before any picture is decoded.

    Raises:
        ServiceError: 422.
    """
    attacks = plan.attacks()
    if pictures * len(cards) * sum(map(_steps, attacks)) > _MOST_STEPS:
        raise _refused(
            f"These are more than {_MOST_STEPS:,} steps in all; ask for fewer steps, budgets, images or checkpoints."
        )
    probabilities = pictures * (len(attacks) + 1) * sum(len(card.classes) for card in cards)
    if probabilities > most_probabilities:
        raise _refused(f"The answer would hold more than {most_probabilities} probabilities; ask for fewer budgets.")
    pixels = sum(channels * height * width for channels, height, width in (card.image_shape for card in cards))
    if plan.pictures and pictures * (len(attacks) + 1) * pixels > _MOST_PIXEL_BYTES:
        raise _refused(
            f"The answer's pictures would have more than {_MOST_PIXEL_BYTES >> 20} MiB; ask for fewer budgets."
        )
    unknown = [card for card in cards if plan.label is not None and plan.label not in card.classes]
    if unknown:
        raise invalid_fields([ProblemError(pointer="/attack/label", message=_unknown(plan.label or "", unknown[0]))])


def _unknown(label: str, card: CheckpointCard) -> str:
    told = f"A checkpoint does not know this class; its classes are {listed(card.classes, _CLASSES_SHOWN)}."
    if any(unicodedata.normalize("NFC", label) == unicodedata.normalize("NFC", name) for name in card.classes):
        return f"{told} One of these reads the same, and is written with other Unicode characters (NFC and NFD)."
    return told


async def under_attack(
    classifier: Classifier, plan: PictureAttack, natural: Told, seen: Seen, weights: Weights, time: TimeLeft
) -> Told:
    """What the checkpoint makes of the picture, with what it makes of it under attack.

    Raises:
        CheckpointInvalid, NotClassified, ServiceError: as `Classifier.attack` does, or time has run out.
    """
    right = natural["label"] if plan.label is None else plan.label
    found = []
    for attack in plan.attacks():
        time.require()
        try:
            attacked = await classifier.attack(seen, weights, attack, right, seconds=time.left)
        except TooSlow as error:
            raise time.over() from error
        time.left -= attacked.seconds
        found.append((attack, attacked))
    shape = weights.card.image_shape
    shown = await run_in_threadpool(_budgets, found, shape, pictures=plan.pictures)
    told = UnderAttack(
        attack=attack_title(found[0][0]),
        weights_sha256=weights.sha256,
        right=right,
        smallest_eps=next((each.eps for each in shown if each.label != right), None),
        picture=_picture(seen.pixels, shape) if plan.pictures else None,
        budgets=shown,
    )
    return natural | {"attack": told}


def _budgets(
    found: Sequence[tuple[AnyAttack, Attacked]], shape: tuple[int, int, int], *, pictures: bool
) -> tuple[UnderBudget, ...]:
    return tuple(
        UnderBudget(
            eps=format_eps(attack.eps),
            label=attacked.probabilities[0].label,
            probabilities=attacked.probabilities,
            picture=_picture(attacked.pixels, shape) if pictures else None,
        )
        for attack, attacked in found
    )


def _picture(pixels: bytes, shape: tuple[int, int, int]) -> str:
    return base64.b64encode(as_png(pixels, shape)).decode()


def _steps(attack: QuickAttack) -> int:
    match attack:
        case FgsmAttack():
            return 1
        case PgdAttack(steps=steps, restarts=restarts):
            return steps * restarts
        case Noise(draws=draws):
            return draws


def _refused(message: str) -> ServiceError:
    return invalid_fields([ProblemError(pointer="/attack", message=message)])
