"""Who is told of events."""

from collections.abc import Iterator, Mapping
from typing import Any

from gauntlet.client.addresses import place
from gauntlet.client.documents import body
from gauntlet.client.synchronous.connection import Connection
from gauntlet.resources import Delivery, NewWebhook, Webhook
from gauntlet.spec.asked.webhooks import WebhookRequest


class Webhooks:
    _http: Connection

    def create_webhook(self, request: WebhookRequest | Mapping[str, Any]) -> NewWebhook:
        """Have events sent to a URL. Not sent again if the answer is lost: the secret would be lost with it."""
        return self._http.read(NewWebhook, "POST", "/v1/webhooks", pauses_s=(), **body(request))

    def webhooks(self) -> Iterator[Webhook]:
        """All webhooks, newest first."""
        return self._http.all(Webhook, "/v1/webhooks")

    def webhook(self, identifier: str) -> Webhook:
        """One webhook."""
        return self._http.read(Webhook, "GET", place("webhooks", identifier))

    def delete_webhook(self, identifier: str) -> Webhook:
        """Send nothing more there."""
        return self._http.read(Webhook, "DELETE", place("webhooks", identifier))

    def deliveries(self, webhook: str) -> Iterator[Delivery]:
        """What was sent to a webhook, waits to be, or was given up; newest first."""
        return self._http.all(Delivery, place("webhooks", webhook, "deliveries"))
