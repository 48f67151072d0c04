"""Acceptance: an order becomes an execution that is committed, or is refused with all that is wrong with it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from shared import (
    broker,
    budgets,
    db,
    idempotency,
    inputs,
    metrics,
    pipelines,
    report,
    states,
    strict_json,
    threads,
    transitions,
    variables,
)
from shared.errors import Conflict, Fault, Invalid
from shared.idempotency import Once
from shared.order import DEFAULT_CHANNEL, Order, Origin
from shared.plan import Version
from shared.providers import Providers
from shared.report import Report
from shared.sealing import Sealer


def accept(
    connection: Connection,
    organization_id: int,
    order: Order,
    *,
    uuid: UUID,
    faults: Sequence[Fault] = (),
    key_id: int | None = None,
    once: Once | None = None,
    catalog_version: int | None = None,
    providers: Providers | None = None,
    sealer: Sealer | None = None,
) -> Report:
    """Write an execution down and return its report; a permit leaves after the commit.

    NotFound for pipeline or version. Invalid names every fault of the inputs, beside those that the wire has found
    in the rest of the body. The uuid is the caller's, so that it can look whether a commit went through whose answer
    was lost. With `once`, Repeated where another request has come first with the same idempotency key; it waits for
    that one's commit. A bound on the cost wants the `providers`, who know the prices; variables want a `sealer`,
    and Conflict is raised where one cannot be sealed or opened. An order with a thread wants a transaction, and waits
    for others that are accepted or end on it.
    """
    version = pipelines.resolve(
        connection, organization_id, order.pipeline, order.version, catalog_version=catalog_version
    )
    pins = pipelines.pins(connection, organization_id, version)
    plans = pipelines.plans(connection, version, pins)
    if providers is not None and order.max_cost_usd is not None:
        faults = [*faults, *budgets.faults(order, plans, providers)]
    sealer = sealer or Sealer(())
    scope, unset = variables.of(connection, organization_id, order, plans, sealer)
    bound = checked(version, order, [*faults, *unset])
    values = {
        **asked(version, order, bound, pins),
        "uuid": uuid,
        "variables": variables.sealed(scope, uuid, sealer),
        "organization": organization_id,
        "key_id": key_id,
        "origin": order.origin.id if order.origin else None,
        "thread_id": threads.enter(connection, organization_id, order.thread) if order.thread else None,
    }
    if once is None:
        row = transitions.ACCEPT(connection, values).one()
    else:
        row = idempotency.first(connection, transitions.ACCEPT_ONCE, once, values)
    if order.origin is not None:
        _keep(connection, row.id, order.origin)
    db.after_commit(metrics.accepted, order.queue)
    if row.status == "queued":
        db.after_commit(broker.permit, order.queue)
    return report.accepted(row, version, order, bound, states.untouched(version, row.status))


def checked(version: Version, order: Order, faults: Sequence[Fault] = ()) -> dict[str, Any]:
    """The inputs of an order as its version declares them; Invalid names every fault, beside those already found."""
    bound, found = inputs.bind(version.plan, order.inputs, text_inputs=order.text_inputs)
    if faults or found:
        raise Invalid([*faults, *found])
    return bound


def asked(version: Version, order: Order, bound: Mapping[str, Any], pins: Mapping[str, int]) -> dict[str, Any]:
    """What is written down of an order, as the statements that accept take it."""
    return {
        "version": version.id,
        "queue": order.queue,
        "not_before": order.not_before,
        "deadline": order.deadline_seconds or version.plan.deadline_seconds,
        "max_cost_usd": order.max_cost_usd,
        "max_tokens": order.max_tokens,
        "inputs": strict_json.dumps(bound),
        "tags": strict_json.dumps(order.tags),
        "metadata": strict_json.dumps(order.metadata),
        "end_user": order.end_user,
        "pins": strict_json.dumps(pins) if pins else None,
        "environment": order.environment,
        "variables": None,
        "thread_id": None,
        "channel": (order.channel or DEFAULT_CHANNEL) if order.thread else None,
    }


def accept_lines(
    connection: Connection, organization_id: int, batch_id: int, lines: str, *, key_id: int | None = None
) -> Counter[tuple[str, str]]:
    """Write lines of a batch down; returns how many went to which queue and status. Permits are the caller's to send.

    The lines are a JSON list of what `asked` gives, each with its `line` and `uuid`.
    """
    values = {"organization": organization_id, "batch": batch_id, "lines": lines, "key_id": key_id}
    rows = transitions.ACCEPT_LINES(connection, values).all()
    return Counter({(row.queue, row.status): row.count for row in rows})


def _keep(connection: Connection, execution_id: int, origin: Origin) -> None:
    if not origin.keep and not origin.keep_inside:
        return
    values = {"id": execution_id, "origin": origin.id, "paths": list(origin.keep), "inside": list(origin.keep_inside)}
    kept = {row.path for row in transitions.KEEP(connection, values)}
    if not kept >= set(origin.keep):
        raise Conflict("the results that were to be kept are gone")
