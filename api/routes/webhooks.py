"""`/v2/webhooks`: who is told of what, and what became of every delivery."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response
from sqlalchemy import Connection

from api import context, parsing, reaching, schemas
from api.endpoint import answer, endpoint
from api.routes.deliveries import find_webhook, named, told_delivery
from shared import audit, db, deliveries, environments, notices, urls, webhooks
from shared.clock import rfc3339
from shared.errors import Fault, Invalid
from shared.keys import Caller
from shared.webhooks import Webhook

blueprint = Blueprint("webhooks", __name__, url_prefix="/v2/webhooks")

_MAKE, _CHANGE, _ROTATE = schemas.MakeWebhook(), schemas.ChangeWebhook(), schemas.RotateSecret()


@blueprint.post("")
@endpoint(
    scope="manage",
    body=_MAKE,
    answers={201: schemas.NewWebhook(), 409: schemas.Problem(), 422: schemas.Problem()},
    example={"url": "https://hooks.example.com/strata", "events": ["execution.ended"]},
)
def make_webhook(caller: Caller) -> Response:
    """Make a webhook: from then on it is told of the events that it names.

    Its secret is told here and never again. 409 where the organization has a hundred webhooks, or this server has no
    `STRATA_SECRET_KEYS` to seal the secret with.
    """
    parsed = parsing.body(_MAKE)
    values = dict(parsed.values)
    faults = [*parsed.faults, *_faults(values, str(values.get("dialect", "")))]
    if faults:
        raise Invalid(faults)
    with db.transaction() as connection:
        _check_environment(connection, caller, values["environment"])
        found, secret = webhooks.create(connection, caller.organization_id, context.this().sealer, **values)
        # Not the whole URL, which is all that a receiver may go by.
        host = urls.read(found.url).host
        audit.note(connection, caller, "webhook.created", str(found.uuid), host=host, events=found.events)
    headers = {"Location": f"/v2/webhooks/{found.uuid}"}
    return answer({**_told(found), "secret": secret}, 201, headers)


@blueprint.get("")
@endpoint(scope="read", answers={200: schemas.Webhooks()})
def list_webhooks(caller: Caller) -> Response:
    """List the webhooks, oldest first."""
    with db.autocommit() as connection:
        found = webhooks.listed(connection, caller.organization_id)
    return answer({"webhooks": [_told(each) for each in found]})


@blueprint.get("/<webhook>")
@endpoint(scope="read", answers={200: schemas.Webhook()})
def show_webhook(webhook: str, caller: Caller) -> Response:
    """Show a webhook: whether it is enabled, and since when it fails."""
    with db.autocommit() as connection:
        return answer(_told(webhooks.find(connection, caller.organization_id, named(webhook))))


@blueprint.patch("/<webhook>")
@endpoint(
    scope="manage",
    body=_CHANGE,
    answers={200: schemas.Webhook(), 422: schemas.Problem()},
    example={"events": ["execution.ended", "document.ended"]},
)
def change_webhook(webhook: str, caller: Caller) -> Response:
    """Change a webhook. What is owed to it already goes to its new URL."""
    with db.autocommit() as connection:
        known = find_webhook(connection, caller, webhook)
    parsed = parsing.body(_CHANGE)
    changes = dict(parsed.values)
    faults = [*parsed.faults, *_faults(changes, known.dialect)]
    if faults:
        raise Invalid(faults)
    with db.transaction() as connection:
        if "environment" in changes:
            _check_environment(connection, caller, changes["environment"])
        found = webhooks.change(connection, caller.organization_id, known.uuid, **changes)
        audit.note(connection, caller, "webhook.changed", str(known.uuid), changed=sorted(changes))
    return answer(_told(found))


@blueprint.delete("/<webhook>")
@endpoint(scope="manage", answers={204: "It is gone, and is told nothing more."})
def remove_webhook(webhook: str, caller: Caller) -> Response:
    """Delete a webhook; what was owed to it is not sent."""
    with db.transaction() as connection:
        webhooks.remove(connection, caller.organization_id, named(webhook))
        audit.note(connection, caller, "webhook.deleted", webhook)
    return Response(status=204)


@blueprint.post("/<webhook>/rotate-secret")
@endpoint(scope="manage", body=_ROTATE, answers={200: schemas.NewWebhook()}, example={"overlap_seconds": 3600})
def rotate_secret(webhook: str, caller: Caller) -> Response:
    """Give a webhook a new secret, told here and never again; the former one signs beside it for a while."""
    with db.autocommit() as connection:
        uuid = find_webhook(connection, caller, webhook).uuid
    overlap = parsing.body(_ROTATE, optional=True).checked()["overlap_seconds"]
    with db.transaction() as connection:
        found, secret = webhooks.rotate(
            connection, caller.organization_id, uuid, context.this().sealer, overlap_seconds=overlap
        )
        audit.note(connection, caller, "webhook.secret_rotated", str(uuid), overlap_seconds=overlap)
    return answer({**_told(found), "secret": secret})


@blueprint.post("/<webhook>/enable")
@endpoint(scope="manage", answers={200: schemas.Webhook()})
def enable_webhook(webhook: str, caller: Caller) -> Response:
    """Turn a webhook on again; what still waits for it is sent as its turn comes."""
    uuid = named(webhook)
    with db.transaction() as connection:
        found = webhooks.change(connection, caller.organization_id, uuid, enabled=True)
        audit.note(connection, caller, "webhook.enabled", str(uuid))
    return answer(_told(found))


@blueprint.post("/<webhook>/test")
@endpoint(scope="manage", answers={202: schemas.Delivery(), 409: schemas.Problem()})
def test_webhook(webhook: str, caller: Caller) -> Response:
    """Tell a webhook of a `webhook.test`, which is about nothing. 409 where it is disabled."""
    with db.transaction() as connection:
        uuid = webhooks.test(connection, caller.organization_id, named(webhook))
        found = deliveries.find(connection, find_webhook(connection, caller, webhook).id, uuid)
    return answer(told_delivery(found), 202)


def _faults(values: Mapping[str, Any], dialect: str) -> list[Fault]:
    faults: list[Fault] = []
    if isinstance(url := values.get("url"), str):
        faults += reaching.faults("url", url, context.this().settings.allowed_networks)
    known = notices.dialects().get(dialect)
    events = values.get("events") or []
    if known is not None:
        faults += [
            Fault(f"events[{number}]", f"the dialect {dialect} has no words for it")
            for number, each in enumerate(events)
            if each not in known.EVENTS
        ]
    if len(set(events)) < len(events):
        faults.append(Fault("events", "names one twice", "duplicate"))
    return faults


def _check_environment(connection: Connection, caller: Caller, name: str) -> None:
    if environments.values(connection, caller.organization_id, name, [], context.this().sealer) is None:
        raise Invalid([Fault("environment", "does not exist", "unknown")])


def _told(found: Webhook) -> dict[str, Any]:
    return {
        "uuid": str(found.uuid),
        "url": found.url,
        "events": found.events,
        "dialect": found.dialect,
        "environment": found.environment,
        "tells_event": found.tells_event,
        "description": found.description,
        "enabled": found.disabled_at is None,
        "disabled_at": rfc3339(found.disabled_at),
        "disabled_reason": found.disabled_reason,
        "failing_since": rfc3339(found.failing_since),
        "former_secret_until": rfc3339(found.former_until),
        "created_at": rfc3339(found.created_at),
        "changed_at": rfc3339(found.changed_at),
    }
