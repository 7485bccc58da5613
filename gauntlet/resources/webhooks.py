"""Who is told."""

from datetime import datetime
from typing import Literal

from gauntlet.resources.base import Resource
from gauntlet.spec.asked.webhooks import WebhookEvent


class Webhook(Resource):
    """Where events are sent. `url` is whole to its owner and to admins; it may itself be a secret."""

    id: str
    object: Literal["webhook"] = "webhook"
    created_at: datetime
    owner: str | None
    url: str
    events: tuple[WebhookEvent, ...]


class NewWebhook(Webhook):
    """The answer to its making, the only one that holds the secret which every delivery is signed with."""

    secret: str


class Delivery(Resource):
    """An event on its way to a webhook; `answer` is the status of the last answer, `fault` why it did not count."""

    id: str
    object: Literal["delivery"] = "delivery"
    created_at: datetime
    event: int
    type: WebhookEvent
    status: Literal["waiting", "delivered", "failed"]
    attempts: int
    next_at: datetime | None
    answer: int | None
    fault: str | None
    delivered_at: datetime | None
