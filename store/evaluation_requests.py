"""Evaluations that were asked for by themselves: refused by what rows tell, else queued."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from gauntlet.attack_specs import AnyAttack, attack_label, fewest_classes
from gauntlet.checkpoint_card import CheckpointCard
from gauntlet.evaluation_spec import EvaluationRequest, EvaluationSpec
from gauntlet.transfers import TransferRequest
from store import checkpoints
from store.database import db_now
from store.errors import CheckpointUnfit
from store.models import Evaluation, new_id


def create(session: Session, request: EvaluationRequest) -> Evaluation:
    """Queue an evaluation of one checkpoint.

    Raises:
        CheckpointUnfit: the checkpoint or the source of a transfer attack is not there, they are of unlike models, or
            the checkpoint has too few classes for an attack.
    """
    card = checkpoints.card_of(checkpoints.named(session, request.checkpoint, "/checkpoint"))
    spec = request.spec()
    for position, attack in enumerate(spec.attacks):
        _require_classes(attack, card, f"/attacks/{position}")
        if attack.kind == "transfer":
            pointer = f"/attacks/{position}/source"
            source = checkpoints.card_of(checkpoints.named(session, attack.source, pointer))
            _require_alike(source, card, pointer)
    return _queue(session, request.checkpoint, spec)


def create_transfers(session: Session, request: TransferRequest) -> Sequence[Evaluation]:
    """Queue one evaluation per checkpoint, under the attacks that transfer from each of them.

    Raises:
        CheckpointUnfit: one of the checkpoints is not there, or they are of unlike models.
    """
    pointers = [f"/checkpoints/{position}" for position in range(len(request.checkpoints))]
    cards = [
        checkpoints.card_of(checkpoints.named(session, identifier, pointer))
        for identifier, pointer in zip(request.checkpoints, pointers, strict=True)
    ]
    for card, pointer in zip(cards, pointers, strict=True):
        _require_alike(card, cards[0], pointer)
    return [_queue(session, checkpoint, request.spec()) for checkpoint in request.checkpoints]


def _require_classes(attack: AnyAttack, card: CheckpointCard, pointer: str) -> None:
    fewest, classes = fewest_classes(attack), len(card.classes)
    if classes < fewest:
        message = f"{attack_label(attack)} needs at least {fewest} classes; this checkpoint has {classes}."
        raise CheckpointUnfit(message, pointer)


def _require_alike(card: CheckpointCard, other: CheckpointCard, pointer: str) -> None:
    found, wanted = _described(card), _described(other)
    if found != wanted:
        raise CheckpointUnfit(f"This checkpoint is for {found}, but the one it is used on is for {wanted}.", pointer)


def _described(card: CheckpointCard) -> str:
    channels, height, width = card.image_shape
    return f"{channels} × {height} × {width} images of {len(card.classes)} classes"


def _queue(session: Session, checkpoint: str, spec: EvaluationSpec) -> Evaluation:
    evaluation = Evaluation(
        id=new_id("eval"),
        created_at=db_now(),
        checkpoint_id=checkpoint,
        selection=[],
        spec=spec.model_dump(mode="json"),
    )
    session.add(evaluation)
    session.flush()
    session.refresh(evaluation)
    return evaluation
