"""/v1/webhooks: who is told of events; made, listed, deleted, and how their deliveries went."""

from fastapi import APIRouter

from gauntlet.resources import Delivery, NewWebhook, Page, Webhook
from gauntlet.spec.asked.webhooks import WebhookRequest
from service.answering.pages import as_page
from service.dependencies import After, CallerDep, DatabaseDep, Limit, OwnerDep
from service.requests.routing import Route
from store import webhooks
from store.accounts.owners import require_may_change

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], route_class=Route)


@router.post("", status_code=201)
def create_webhook(request: WebhookRequest, database: DatabaseDep, owner: OwnerDep, caller: CallerDep) -> NewWebhook:
    """Have events sent to a URL from now on. The answer is the only one that holds the secret they are signed with."""
    with database.writing() as session:
        row = webhooks.create(session, request, owner)
        return NewWebhook(**webhooks.show(row, caller).model_dump(), secret=row.secret)


@router.get("")
def list_webhooks(database: DatabaseDep, caller: CallerDep, limit: Limit = 20, after: After = None) -> Page[Webhook]:
    """Webhooks, newest first."""
    with database.reading() as session:
        found = webhooks.page(session, after=after, limit=limit)
    return as_page(found, lambda row: webhooks.show(row, caller), lambda row: row.id)


@router.get("/{webhook_id}")
def get_webhook(webhook_id: str, database: DatabaseDep, caller: CallerDep) -> Webhook:
    """One webhook."""
    with database.reading() as session:
        return webhooks.show(webhooks.get(session, webhook_id), caller)


@router.delete("/{webhook_id}")
def delete_webhook(webhook_id: str, database: DatabaseDep, caller: CallerDep) -> Webhook:
    """Send nothing more there, and forget its deliveries."""
    with database.writing() as session:
        row = webhooks.get(session, webhook_id)
        require_may_change(caller, row)
        shown = webhooks.show(row, caller)
        webhooks.remove(session, row)
    return shown


@router.get("/{webhook_id}/deliveries")
def list_deliveries(webhook_id: str, database: DatabaseDep, limit: Limit = 20, after: After = None) -> Page[Delivery]:
    """What was sent to a webhook, waits to be, or was given up; newest first."""
    with database.reading() as session:
        webhooks.get(session, webhook_id)
        found = webhooks.deliveries_page(session, webhook_id, after=after, limit=limit)
    return as_page(found, webhooks.show_delivery, lambda row: row.id)
