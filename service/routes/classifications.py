"""/v1/classifications: pictures in, predictions out."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Response, UploadFile
from fastapi.concurrency import run_in_threadpool
from pydantic import AfterValidator
from pydantic_core import to_json

from gauntlet.data.decoded.picture_files import FORMATS_IN_WORDS
from gauntlet.errors import CheckpointInvalid
from gauntlet.resources import Classification, Page, ProblemError
from gauntlet.spec.checkpoint_card import CheckpointCard
from gauntlet.spec.evaluations.picture_attacks import PictureAttack
from gauntlet.spec.reading.lists import refuse_duplicates
from service.dependencies import (
    ClassifierDep,
    DatabaseDep,
    DecoderDep,
    KnownWeightsDep,
    SettingsDep,
    StorageReadsDep,
)
from service.errors import ServiceError
from service.pictures.classification import NotClassified, Told, Weights
from service.pictures.images import ModelInput, name_of
from service.pictures.picture_attacks import TimeLeft, require_bounded, under_attack
from service.pictures.weights import require_weights, weights_of
from service.requests.answers import NAMES_CHECKPOINTS, NEEDS_WEIGHTS
from service.requests.bodies import understand
from service.requests.routing import Route
from service.settings import ServiceSettings
from service.transport.admission import Gate
from store import models
from store.database import Database
from store.storage import Storage
from store.subjects import checkpoints

router = APIRouter(prefix="/v1/classifications", tags=["classifications"], route_class=Route)

_MOST_CHECKPOINTS = 8
# Measured: an answer of so many takes 70 MB to put together and write.
_MOST_PROBABILITIES = 100_000
# To write so many takes less than to have a thread do it.
_FEW_PROBABILITIES = 1_000
# What is decoded is kept until the answer is written: 16 pictures for eight models of the largest size.
_MOST_VALUES = 32 << 20

# One request is worked on at a time in the whole process, so that many uploads at once cannot fill the memory; a few
# wait for their turn.
CLASSIFICATIONS = Gate(
    4, "Other pictures are being classified; try again in a few seconds.", retry_after_s=2, at_once=1
)


def _no_checkpoint_twice(identifiers: list[str]) -> list[str]:
    refuse_duplicates("checkpoint", identifiers)
    return identifiers


@router.post(
    "",
    dependencies=[Depends(CLASSIFICATIONS)],
    response_model=Page[Classification],
    responses={**NAMES_CHECKPOINTS, **NEEDS_WEIGHTS},
)
async def classify(
    image: Annotated[list[UploadFile], File(min_length=1, max_length=64, description=f"{FORMATS_IN_WORDS}.")],
    checkpoint: Annotated[
        list[str],
        AfterValidator(_no_checkpoint_twice),
        Form(min_length=1, max_length=_MOST_CHECKPOINTS, description="Ids of checkpoints, each once."),
    ],
    database: DatabaseDep,
    settings: SettingsDep,
    decoder: DecoderDep,
    classifier: ClassifierDep,
    known: KnownWeightsDep,
    reads: StorageReadsDep,
    attack: Annotated[
        str | None,
        Form(min_length=1, description="JSON: kind, eps, norm, steps, restarts, loss, draws, label, pictures."),
    ] = None,
) -> Response:
    """Each image seen by each checkpoint, in the order given, fitted to its model's size as the training images were.

    With an attack, each is attacked on the weights of each checkpoint too, at every budget.
    """
    plan = None if attack is None else understand(attack, PictureAttack, within="/attack")
    changes = known.changes()
    chosen = None if plan is not None else known.find(checkpoint, changes)
    if chosen is None:
        named = await run_in_threadpool(_named, database, settings, checkpoint, len(image), plan)
        chosen = await reads.bring_weights(partial(_with_weights, named, settings.storage))
        known.keep(checkpoint, chosen, changes)
    else:
        _require_bounded(len(image), [each.card for each in chosen])
    seen = await decoder.decode(image, list(dict.fromkeys(ModelInput.of(each.card) for each in chosen)))
    time = TimeLeft(settings.max_attack_s)
    # One model after the other, so that each is read once, however few of them fit into memory. Some pictures, or each
    # under attack, are a step of their own, after which the work ends if nobody waits for it.
    by_checkpoint: list[list[Told]] = []
    names = [name_of(upload) for upload in image]
    # Attacks compute as evaluations do, and what they start from is to be the same.
    precision = settings.classify_precision if plan is None else "fp32"
    for weights in chosen:
        pictures = [forms[ModelInput.of(weights.card)] for forms in seen]
        found: list[Told] = []
        while (start := len(found)) < len(pictures):
            some = slice(start, start + weights.at_once)
            with _told(weights.checkpoint, names[some], start):
                found += await classifier.classify(pictures[some], names[some], weights, precision)
        if plan is not None:
            for position, picture in enumerate(pictures):
                with _told(weights.checkpoint, names[position : position + 1], position):
                    found[position] = await under_attack(classifier, plan, found[position], picture, weights, time)
        by_checkpoint.append(found)
    by_image = [one for of_image in zip(*by_checkpoint, strict=True) for one in of_image]
    if sum(len(one["probabilities"]) for one in by_image) <= _FEW_PROBABILITIES and plan is None:
        return _written(by_image)
    return await run_in_threadpool(_written, by_image)


def _named(
    database: Database,
    settings: ServiceSettings,
    identifiers: Sequence[str],
    pictures: int,
    plan: PictureAttack | None,
) -> list[tuple[models.Checkpoint, CheckpointCard]]:
    with database.reading() as session:
        rows = [checkpoints.get(session, identifier) for identifier in identifiers]
        cards = [checkpoints.card_of(row) for row in rows]
        _require_bounded(pictures, cards)
        if plan is not None:
            require_bounded(plan, cards, pictures, _MOST_PROBABILITIES)
    require_weights(database, settings.storage, [(identifier, "/checkpoint") for identifier in identifiers])
    return list(zip(rows, cards, strict=True))


def _with_weights(named: Sequence[tuple[models.Checkpoint, CheckpointCard]], storage: Storage) -> list[Weights]:
    return [
        Weights(row.id, card, row.sha256, row.bytes, weights_of(row, storage, "/checkpoint")) for row, card in named
    ]


def _require_bounded(pictures: int, cards: Sequence[CheckpointCard]) -> None:
    forms = {ModelInput.of(card) for card in cards}
    values = pictures * sum(form.channels * form.height * form.width for form in forms)
    if values > _MOST_VALUES:
        detail = f"The pictures would have more than {_MOST_VALUES} values for these checkpoints; send fewer images."
        raise ServiceError(422, "invalid-request", detail, [ProblemError(pointer="/image", message=detail)])
    probabilities = pictures * sum(len(card.classes) for card in cards)
    if probabilities > _MOST_PROBABILITIES:
        detail = (
            f"The answer would hold more than {_MOST_PROBABILITIES} probabilities; send fewer images or checkpoints."
        )
        raise ServiceError(422, "invalid-request", detail, [ProblemError(pointer="/image", message=detail)])


@contextmanager
def _told(checkpoint: str, names: Sequence[str], start: int) -> Iterator[None]:
    """Tell what keeps one of these pictures from being classified, the first of which is at `start` in the request."""
    try:
        yield
    except CheckpointInvalid as error:
        fault = ProblemError(pointer="/checkpoint", message=str(error))
        raise ServiceError(409, "weights-missing", str(error), [fault]) from error
    except NotClassified as error:
        position = error.position or 0
        told = f"What the checkpoint {checkpoint} makes of this picture {error}."
        fault = ProblemError(pointer=f"/image/{start + position}", message=told)
        raise ServiceError(422, "output-not-finite", f"{names[position]}: {told}", [fault]) from error


def _written(told: Sequence[Told]) -> Response:
    """The answer, as a `Page[Classification]` would write it. The framework would where every other request waits."""
    page = {"object": "list", "data": told, "has_more": False, "next": None}
    return Response(to_json(page), media_type="application/json")
