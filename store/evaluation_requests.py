"""Evaluations that were asked for by themselves: refused by what rows tell, else queued."""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from gauntlet.spec.attacks import AnyAttack, attack_label, fewest_classes
from gauntlet.spec.checkpoint_card import CheckpointCard
from gauntlet.spec.evaluation import EvaluationRequest, EvaluationSpec
from gauntlet.spec.transfers import TransferRequest
from store import checkpoints
from store.database import db_now, take_turn
from store.errors import CheckpointUnfit, IdempotencyConflict
from store.models import Evaluation, new_id


class Queued(NamedTuple):
    """The evaluations of a request, and the ids of those that must be woken: none where it is a repeated one."""

    evaluations: Sequence[Evaluation]
    waiting: Sequence[str]


def create(session: Session, request: EvaluationRequest, idempotency_key: str | None) -> Queued:
    """Queue an evaluation of one checkpoint.

    Raises:
        IdempotencyConflict: the key was used with another request.
        CheckpointUnfit: the checkpoint or the source of a transfer attack is not there, they are of unlike models, or
            the checkpoint has too few classes for an attack.
    """
    spec = request.spec()
    origin = _Origin(idempotency_key, _digest(request))

    def require_fit() -> None:
        card = checkpoints.card_of(checkpoints.named(session, request.checkpoint, "/checkpoint"))
        for position, attack in enumerate(spec.attacks):
            _require_classes(attack, card, f"/attacks/{position}")
            if attack.kind == "transfer":
                pointer = f"/attacks/{position}/source"
                source = checkpoints.card_of(checkpoints.named(session, attack.source, pointer))
                _require_alike(source, card, pointer)
        for position, name in enumerate(spec.masking.sources if spec.masking else ()):
            pointer = f"/masking/sources/{position}"
            _require_alike(checkpoints.card_of(checkpoints.named(session, name, pointer)), card, pointer)

    return _queue_once(session, origin, [request.checkpoint], spec, require_fit)


def create_transfers(session: Session, request: TransferRequest, idempotency_key: str | None) -> Queued:
    """Queue one evaluation per checkpoint, under the attacks that transfer from each of them.

    Raises:
        IdempotencyConflict: the key was used with another request.
        CheckpointUnfit: one of the checkpoints is not there, or they are of unlike models.
    """
    origin = _Origin(idempotency_key, _digest(request))

    def require_fit() -> None:
        pointers = [f"/checkpoints/{position}" for position in range(len(request.checkpoints))]
        named = zip(request.checkpoints, pointers, strict=True)
        cards = [checkpoints.card_of(checkpoints.named(session, *each)) for each in named]
        for card, pointer in zip(cards, pointers, strict=True):
            _require_alike(card, cards[0], pointer)

    return _queue_once(session, origin, request.checkpoints, request.spec(), require_fit)


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


class _Origin(NamedTuple):
    """Which request an evaluation comes from."""

    idempotency_key: str | None
    request_sha256: str


def _digest(request: BaseModel) -> str:
    return hashlib.sha256(json.dumps(request.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def _queue_once(
    session: Session,
    origin: _Origin,
    checkpoint_ids: Sequence[str],
    spec: EvaluationSpec,
    require_fit: Callable[[], None],
) -> Queued:
    """Queue an evaluation of each checkpoint, unless a request with the same key did."""
    if origin.idempotency_key is not None:
        # Of requests that come at once with one key, each sees what those before it queued.
        take_turn(session, f"evaluations {origin.idempotency_key}")
        earlier = _earlier(session, origin.idempotency_key, origin.request_sha256)
        if earlier:
            return Queued(earlier, [])
    require_fit()
    now = session.scalar(select(db_now()))
    made = [
        Evaluation(
            id=new_id("eval"),
            created_at=now,
            checkpoint_id=checkpoint,
            selection=[],
            spec=spec.model_dump(mode="json"),
            **origin._asdict(),
        )
        for checkpoint in checkpoint_ids
    ]
    session.add_all(made)
    session.flush()
    return Queued(made, [evaluation.id for evaluation in made])


def _earlier(session: Session, key: str, digest: str) -> Sequence[Evaluation]:
    found = session.scalars(select(Evaluation).where(Evaluation.idempotency_key == key).order_by(Evaluation.id)).all()
    if any(evaluation.request_sha256 != digest for evaluation in found):
        raise IdempotencyConflict("This Idempotency-Key was used before with another request.")
    return found
