"""Webhooks as rows: made, told of events, and each delivery's tries until it is taken or given up."""

import base64
import secrets
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session

from gauntlet import resources
from gauntlet.resources import TERMINAL
from gauntlet.spec.asked.webhooks import WebhookRequest
from store import events
from store.accounts.tokens import Caller
from store.database import db_now, take_turn
from store.errors import QuotaExceeded
from store.lookup import find
from store.models import Delivery, Event, Webhook, new_id
from store.shown.pages import PageOf, newest_first
from store.texts import plain
from store.times import as_datetime

SECRET_PREFIX: Final = "whsec_"  # noqa: S105  # how one begins
_SECRET_BYTES: Final = 32
# Of webhooks.
MOST: Final = 100
_LOOKED_AT_ONCE: Final = 500
# After each try that failed; after the last the delivery has.
_PAUSES_S: Final = (5, 30, 120, 600, 3_600, 21_600)
MOST_ATTEMPTS: Final = len(_PAUSES_S) + 1
_LONGEST_FAULT: Final = 500
_ENDED = and_(Event.type == "status", Event.subject == Event.experiment_id, Event.kind.in_(TERMINAL))
_CONDITIONS = {"experiment.ended": _ENDED, "alarm": Event.type == "alarm"}


class Due(NamedTuple):
    """A delivery to be tried now, and where; `attempts` counts this one."""

    id: str
    webhook: str
    url: str
    secret: str
    body: dict[str, object]
    attempts: int


def create(session: Session, request: WebhookRequest, owner: str | None) -> Webhook:
    """A new webhook, told of what happens from now on.

    Raises:
        QuotaExceeded: there are enough.
    """
    take_turn(session, "webhooks")
    if (session.scalar(select(func.count()).select_from(Webhook)) or 0) >= MOST:
        raise QuotaExceeded(f"There are {MOST} webhooks, and no more are allowed. Delete one first.")
    row = Webhook(
        id=new_id("hook"),
        created_at=session.scalar(select(db_now())),
        owner=owner,
        url=request.url,
        events=list(request.events),
        secret=SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode(),
        position=events.newest(session),
    )
    session.add(row)
    session.flush()
    return row


def get(session: Session, identifier: str) -> Webhook:
    """The webhook with that id.

    Raises:
        NotFound: there is none.
    """
    return find(session, Webhook, "webhook", identifier)


def page(session: Session, *, after: str | None, limit: int) -> PageOf[Webhook]:
    """Webhooks, newest first."""
    return newest_first(session, select(Webhook), Webhook.id, after=after, limit=limit)


def deliveries_page(session: Session, webhook: str, *, after: str | None, limit: int) -> PageOf[Delivery]:
    """A webhook's deliveries, newest first."""
    query = select(Delivery).where(Delivery.webhook_id == webhook)
    return newest_first(session, query, Delivery.id, after=after, limit=limit)


def remove(session: Session, row: Webhook) -> None:
    """Forget it and its deliveries; one that is on its way arrives."""
    # Whoever makes deliveries for it has done so, or will not find it.
    take_turn(session, "webhooks")
    session.execute(delete(Delivery).where(Delivery.webhook_id == row.id))
    session.execute(delete(Webhook).where(Webhook.id == row.id))


def has_work(session: Session, *, apart_from: Sequence[str] = ()) -> bool:
    """Whether events were not looked at yet, or a delivery to another webhook than those is due."""
    behind = exists().where(Webhook.position < select(func.max(Event.id)).scalar_subquery())
    return bool(session.scalar(select(or_(behind, exists().where(*_is_due(apart_from))))))


def _is_due(apart_from: Sequence[str]) -> Sequence[ColumnElement[bool]]:
    return Delivery.status == "waiting", Delivery.next_at <= db_now(), Delivery.webhook_id.not_in(apart_from)


def gather(session: Session) -> int:
    """Make deliveries of the events since the last look; returns how many. Of workers that come at once one does."""
    take_turn(session, "webhooks")
    newest = events.newest(session)
    made = 0
    for webhook in session.scalars(select(Webhook).where(Webhook.position < newest)).all():
        wanted = or_(*(_CONDITIONS[name] for name in webhook.events))
        query = select(Event).where(Event.id > webhook.position, Event.id <= newest, wanted)
        found = session.scalars(query.order_by(Event.id).limit(_LOOKED_AT_ONCE)).all()
        session.add_all(_delivery(webhook, event) for event in found)
        webhook.position = found[-1].id if len(found) == _LOOKED_AT_ONCE else newest
        made += len(found)
    return made


def _delivery(webhook: Webhook, event: Event) -> Delivery:
    shown = events.show(event).model_dump(mode="json")
    kind = "alarm" if event.type == "alarm" else "experiment.ended"
    return Delivery(
        id=new_id("msg"),
        created_at=db_now(),
        webhook_id=webhook.id,
        event_id=event.id,
        body={"type": kind, "timestamp": shown["created_at"], "data": shown},
        status="waiting",
        attempts=0,
        next_at=db_now(),
    )


def take_due(
    session: Session, *, most: int, most_of_each: int, within_s: float, apart_from: Sequence[str] = ()
) -> Sequence[Due]:
    """Deliveries to be tried now, each by one worker alone; it is tried again if nothing is heard of it `within_s`.

    Of each webhook but those `apart_from` at most `most_of_each`, in their order, and the first of all before the
    second of any: so one that never answers does not hold up the others.
    """
    waits = _is_due(apart_from)
    order = Delivery.next_at, Delivery.event_id
    number = func.row_number().over(partition_by=Delivery.webhook_id, order_by=order)
    numbered = select(Delivery.id, number.label("number"), Delivery.next_at).where(*waits).subquery()
    few = select(numbered.c.id).where(numbered.c.number <= most_of_each)
    turns = session.scalars(few.order_by(numbered.c.number, numbered.c.next_at).limit(most)).all()
    # Those that another worker takes meanwhile wait no more.
    free = select(Delivery.id).where(Delivery.id.in_(turns), *waits).with_for_update(skip_locked=True)
    values = {"attempts": Delivery.attempts + 1, "next_at": db_now() + within_s}
    taken = session.scalars(update(Delivery).where(Delivery.id.in_(free)).values(values).returning(Delivery.id)).all()
    rows = select(Delivery, Webhook).join(Webhook, Webhook.id == Delivery.webhook_id).where(Delivery.id.in_(taken))
    found = session.execute(rows.execution_options(populate_existing=True)).all()
    due = [Due(row.id, webhook.id, webhook.url, webhook.secret, row.body, row.attempts) for row, webhook in found]
    return sorted(due, key=lambda each: turns.index(each.id))


def put_back(session: Session, due: Due) -> None:
    """Leave one that was taken and not tried to another, at once; it has all its tries."""
    # Before whatever came after it.
    values = {"attempts": Delivery.attempts - 1, "next_at": Delivery.created_at}
    ours = Delivery.id == due.id, Delivery.status == "waiting", Delivery.attempts == due.attempts
    session.execute(update(Delivery).where(*ours).values(values))


def note_delivered(session: Session, due: Due, answer: int) -> None:
    """Write down that it was taken."""
    values = {"status": "delivered", "answer": answer, "fault": None, "delivered_at": db_now()}
    session.execute(update(Delivery).where(Delivery.id == due.id).values(values))


def note_fault(session: Session, due: Due, answer: int | None, fault: str) -> bool:
    """Write down that it was not, for a later try; True if that was the last one."""
    given_up = due.attempts >= MOST_ATTEMPTS
    values: dict[str, object] = {"answer": answer, "fault": plain(fault, at_most=_LONGEST_FAULT)}
    if given_up:
        values["status"] = "failed"
    else:
        values["next_at"] = db_now() + _PAUSES_S[due.attempts - 1]
    session.execute(update(Delivery).where(Delivery.id == due.id, Delivery.status == "waiting").values(values))
    return given_up


def forget_old(session: Session, *, older_than_days: int) -> None:
    """Forget deliveries that are that old and wait no more."""
    old = Delivery.created_at < db_now() - older_than_days * 86_400.0
    session.execute(delete(Delivery).where(old, Delivery.status != "waiting"))


def show(row: Webhook, caller: Caller | None) -> resources.Webhook:
    """A webhook as the API shows it: its URL, which may itself be a secret, whole to those who may change it."""
    parts = urlsplit(row.url)
    whole = caller is None or row.owner in (None, caller.owner) or caller.may("admin")
    return resources.Webhook(
        id=row.id,
        created_at=as_datetime(row.created_at),
        owner=row.owner,
        url=row.url if whole else f"{parts.scheme}://{parts.netloc}/…",
        events=tuple(row.events),
    )


def show_delivery(row: Delivery) -> resources.Delivery:
    """A delivery as the API shows it."""
    return resources.Delivery(
        id=row.id,
        created_at=as_datetime(row.created_at),
        event=row.event_id,
        type=row.body["type"],
        status=row.status,
        attempts=row.attempts,
        next_at=as_datetime(row.next_at) if row.status == "waiting" else None,
        answer=row.answer,
        fault=row.fault,
        delivered_at=as_datetime(row.delivered_at),
    )
