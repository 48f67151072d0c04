"""`/v2/webhooks/…/deliveries`: what a webhook is owed, and what became of it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Blueprint, Response
from sqlalchemy import Connection

from api import cursors, schemas
from api.endpoint import answer, endpoint
from shared import audit, db, deliveries, webhooks
from shared.clock import rfc3339
from shared.errors import NotFound
from shared.keys import Caller
from shared.webhooks import Webhook

blueprint = Blueprint("deliveries", __name__, url_prefix="/v2/webhooks/<webhook>/deliveries")


@blueprint.get("")
@endpoint(scope="read", query=schemas.ListDeliveries(), answers={200: schemas.Deliveries()})
def list_deliveries(webhook: str, caller: Caller, query: Mapping[str, Any]) -> Response:
    """List what is owed to a webhook and what has been delivered, newest first."""
    before = cursors.read_id("deliveries", query["cursor"]) if "cursor" in query else None
    limit = query["limit"]
    with db.autocommit() as connection:
        webhook_id = find_webhook(connection, caller, webhook).id
        found = deliveries.listed(connection, webhook_id, status=query.get("status"), before=before, limit=limit + 1)
    cursor = cursors.write("deliveries", str(found[limit - 1]["id"])) if len(found) > limit else None
    return answer({"deliveries": [told_delivery(each) for each in found[:limit]], "next_cursor": cursor})


@blueprint.get("/<delivery>")
@endpoint(scope="read", answers={200: schemas.DeliveryWithAttempts()})
def show_delivery(webhook: str, delivery: str, caller: Caller) -> Response:
    """Show a delivery with all of its attempts."""
    with db.autocommit() as connection:
        found = deliveries.find(connection, find_webhook(connection, caller, webhook).id, named(delivery, "delivery"))
        log = deliveries.attempts(connection, found["id"])
    attempts = [{**each, "started_at": rfc3339(each["started_at"])} for each in log]
    return answer({**told_delivery(found), "log": attempts})


@blueprint.post("/<delivery>/resend")
@endpoint(scope="manage", answers={202: schemas.Delivery(), 409: schemas.Problem()})
def resend(webhook: str, delivery: str, caller: Caller) -> Response:
    """Send a delivery again, or now if it waits, with the same `webhook-id`. 409 while it is on its way."""
    uuid = named(delivery, "delivery")
    with db.transaction() as connection:
        webhook_id = find_webhook(connection, caller, webhook).id
        deliveries.resend(connection, webhook_id, uuid)
        found = deliveries.find(connection, webhook_id, uuid)
        audit.note(connection, caller, "delivery.resent", str(uuid), webhook=webhook)
    return answer(told_delivery(found), 202)


def find_webhook(connection: Connection, caller: Caller, webhook: str) -> Webhook:
    """The webhook that a path names; NotFound."""
    return webhooks.find(connection, caller.organization_id, named(webhook))


def named(text: str, noun: str = "webhook") -> UUID:
    """The uuid in a path; NotFound where it is none."""
    try:
        return UUID(text)
    except ValueError as error:
        raise NotFound(noun) from error


def told_delivery(found: Mapping[str, Any]) -> dict[str, Any]:
    """A delivery as `/v2` tells it."""
    return {
        "uuid": str(found["uuid"]),
        "event": found["event"],
        "subject": str(found["subject"]),
        "status": found["status"],
        "attempts": found["attempts"],
        "next_attempt_at": rfc3339(found["due_at"]) if found["status"] == "pending" else None,
        "created_at": rfc3339(found["created_at"]),
        "ended_at": rfc3339(found["ended_at"]),
    }
