"""Evaluations that were asked for by themselves: refused by what rows tell, else queued."""

import hashlib
import json
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import NamedTuple

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from gauntlet.checks.description import DatasetDescription
from gauntlet.checks.faults import Fault
from gauntlet.checks.requests import Descriptions, evaluation_faults, transfer_faults
from gauntlet.spec.asked.priorities import PRIORITIES, Priority
from gauntlet.spec.evaluations.evaluation import EvaluationRequest, EvaluationSpec, other_models
from gauntlet.spec.evaluations.transfers import TransferRequest
from store import events
from store.database import db_now, take_turn
from store.errors import IdempotencyConflict, RequestUnfit
from store.models import Evaluation, new_id
from store.subjects import checkpoints, datasets, deletions


class Queued(NamedTuple):
    """The evaluations of a request, and the ids of those that must be woken: none where it is a repeated one."""

    evaluations: Sequence[Evaluation]
    waiting: Sequence[str]


def create(
    session: Session,
    request: EvaluationRequest,
    idempotency_key: str | None,
    found: DatasetDescription | None = None,
    *,
    owner: str | None = None,
) -> Queued:
    """Queue an evaluation of one checkpoint, whose test images `found` describes if they could be looked at.

    It is its asker's, whosever the checkpoint is; `owner` is None without a login.

    Raises:
        IdempotencyConflict: the key was used with another request.
        RequestUnfit: the checkpoint or the source of a transfer attack is not there, they are of unlike models, the
            checkpoint has too few classes for an attack, or its test images are not there.
    """
    spec = request.spec()

    def faults() -> Sequence[Fault]:
        cards = checkpoints.cards(session, [request.checkpoint, *other_models(spec)])
        card = cards[request.checkpoint]
        seen = found if card is None else datasets.seen(session, card.dataset, found, ("test",))
        return evaluation_faults(request.checkpoint, spec, seen, cards)

    origin = _Origin(owner, idempotency_key, _digest(request))
    return _queue_once(session, origin, [request.checkpoint], spec, faults, request.priority)


def create_transfers(
    session: Session,
    request: TransferRequest,
    idempotency_key: str | None,
    found: Descriptions = MappingProxyType({}),
    *,
    owner: str | None = None,
) -> Queued:
    """Queue one evaluation per checkpoint, under the attacks that transfer from each of them.

    `found` describes the test images of the checkpoints, as far as they could be looked at. The evaluations are their
    asker's, whosever the checkpoints are; `owner` is None without a login.

    Raises:
        IdempotencyConflict: the key was used with another request.
        RequestUnfit: one of the checkpoints or its test images are not there, or they are of unlike models.
    """

    def faults() -> Sequence[Fault]:
        cards = checkpoints.cards(session, request.checkpoints)
        looked_at = {
            identifier: datasets.seen(session, card.dataset, found.get(identifier), ("test",))
            for identifier, card in cards.items()
            if card is not None
        }
        return transfer_faults(request, {name: seen for name, seen in looked_at.items() if seen is not None}, cards)

    origin = _Origin(owner, idempotency_key, _digest(request))
    return _queue_once(session, origin, request.checkpoints, request.spec(), faults)


class _Origin(NamedTuple):
    """Which request an evaluation comes from."""

    owner: str | None
    idempotency_key: str | None
    request_sha256: str


def _digest(request: BaseModel) -> str:
    document = request.model_dump(mode="json")
    if document.get("priority") == "normal":
        # As before there were others.
        del document["priority"]
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _queue_once(
    session: Session,
    origin: _Origin,
    checkpoint_ids: Sequence[str],
    spec: EvaluationSpec,
    find_faults: Callable[[], Sequence[Fault]],
    priority: Priority = "normal",
) -> Queued:
    """Queue an evaluation of each checkpoint, unless a request with the same key did."""
    if origin.idempotency_key is not None:
        # Of requests that come at once with one key, each sees what those before it queued.
        take_turn(session, f"evaluations {origin.owner} {origin.idempotency_key}")
        earlier = _earlier(session, origin)
        if earlier:
            return Queued(earlier, [])
    deletions.take_turn_to_name(session)
    if faults := find_faults():
        raise RequestUnfit(faults)
    now = session.scalar(select(db_now()))
    made = [
        Evaluation(
            id=new_id("eval"),
            created_at=now,
            checkpoint_id=checkpoint,
            priority=PRIORITIES.index(priority),
            selection=[],
            spec=spec.model_dump(mode="json"),
            **origin._asdict(),
        )
        for checkpoint in checkpoint_ids
    ]
    session.add_all(made)
    session.flush()
    events.tell_queued(session, made)
    return Queued(made, [evaluation.id for evaluation in made])


def _earlier(session: Session, origin: _Origin) -> Sequence[Evaluation]:
    ours = (Evaluation.idempotency_key == origin.idempotency_key, Evaluation.owner == origin.owner)
    found = session.scalars(select(Evaluation).where(*ours).order_by(Evaluation.id)).all()
    if any(evaluation.request_sha256 != origin.request_sha256 for evaluation in found):
        raise IdempotencyConflict("This Idempotency-Key was used before with another request.")
    return found
