"""Who is told of events."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from gauntlet.client.addresses import place
from gauntlet.client.asynchronous.connection import Connection
from gauntlet.client.documents import body
from gauntlet.resources import Delivery, NewWebhook, Webhook
from gauntlet.spec.asked.webhooks import WebhookRequest


class Webhooks:
    _http: Connection

    async def create_webhook(self, request: WebhookRequest | Mapping[str, Any]) -> NewWebhook:
        """Have events sent to a URL. Not sent again if the answer is lost: the secret would be lost with it."""
        return await self._http.read(NewWebhook, "POST", "/v1/webhooks", pauses_s=(), **body(request))

    def webhooks(self) -> AsyncIterator[Webhook]:
        """All webhooks, newest first."""
        return self._http.all(Webhook, "/v1/webhooks")

    async def webhook(self, identifier: str) -> Webhook:
        """One webhook."""
        return await self._http.read(Webhook, "GET", place("webhooks", identifier))

    async def delete_webhook(self, identifier: str) -> Webhook:
        """Send nothing more there."""
        return await self._http.read(Webhook, "DELETE", place("webhooks", identifier))

    def deliveries(self, webhook: str) -> AsyncIterator[Delivery]:
        """What was sent to a webhook, waits to be, or was given up; newest first."""
        return self._http.all(Delivery, place("webhooks", webhook, "deliveries"))
