"""Makes what a test needs and does not name: definitions, orders, executions in a given state."""

import itertools
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, text

from shared import acceptance, checkpoints, db, executions, organizations, reports, workers
from shared.executions import Claim
from shared.order import Order
from shared.plan import Call, Layer, Plan, Property, Result, Usage
from shared.report import Report

QUEUES = ("onsite", "normal", "low")
KEEP_SECONDS = 3600.0
#: What layers of the tests may reach.
LOOPBACK = ("127.0.0.0/8",)
#: Of the calls that results are made of.
_numbers = itertools.count(1)

#: The uuid of nothing.
NOBODY = "5f0b3c6e-9f0a-4d2b-8f4e-2a9c1d7e6b10"


def prompt_layer(prompt: str = "Say something.", **settings: Any) -> dict[str, Any]:
    """A layer that asks the model, once."""
    return {"kind": "prompt", "prompt": prompt, "retry": {"attempts": 1}, **settings}


def source(*layers: dict[str, Any], name: str = "answer", **rest: Any) -> dict[str, Any]:
    """A definition of one property with these layers."""
    return {"properties": [{"name": name, "layers": list(layers) or [prompt_layer()]}], **rest}


def layer(property_name: str, number: int = 0, *, name: str | None = None, kind: str = "text") -> Layer:
    """A layer of a plan, for tests that run none for real."""
    return Layer(f"{property_name}/{name or number}", name, kind, {"kind": kind}, timeout_seconds=5.0)


def plan(needs: dict[str, set[str]], *, layers: int = 1, output: str | None = None) -> Plan:
    """A plan of properties by what each needs."""
    properties = tuple(
        Property(name, tuple(layer(name, number) for number in range(layers)), frozenset(others))
        for name, others in needs.items()
    )
    return Plan(inputs=(), properties=properties, output=output, deadline_seconds=60)


def accept(organization_id: int, pipeline: str = "pipeline", **details: Any) -> Report:
    """Accept an execution of a published pipeline."""
    with db.transaction() as connection:
        return acceptance.accept(connection, organization_id, Order(pipeline, **details), uuid=uuid4())


def enter_worker(*, lease_seconds: float = 60.0, slots: int = 4, queues: tuple[str, ...] = QUEUES) -> UUID:
    """Write a worker down and return its id."""
    worker = uuid4()
    with db.transaction() as connection:
        workers.enter(connection, worker, host="here", pid=1, queues=queues, slots=slots, lease_seconds=lease_seconds)
    return worker


def claim(worker: UUID | None = None, queues: tuple[str, ...] = QUEUES) -> Claim | None:
    """Claim what is next for a worker, a live one unless it is named."""
    worker = worker or enter_worker()
    with db.transaction() as connection:
        found = executions.claim(connection, worker, queues)
        while isinstance(found, int):
            taken = executions.claim_capped(connection, worker, found)
            found = taken or executions.claim(connection, worker, queues)
        return found


def running(organization_id: int, *, lease_seconds: float = 60.0, **details: Any) -> Claim:
    """An execution that a worker has claimed."""
    accept(organization_id, **details)
    found = claim(enter_worker(lease_seconds=lease_seconds))
    assert found is not None
    return found


def finish(found: Claim, status: str = "succeeded", *, keep_seconds: float = KEEP_SECONDS, **ending: Any) -> bool:
    """End an execution as its worker does."""
    with db.transaction() as connection:
        return executions.finish(connection, found, status, keep_seconds=keep_seconds, **ending)


def release(found: Claim) -> bool:
    """Give an execution back as its worker does."""
    with db.transaction() as connection:
        return executions.release(connection, found.id, found.attempt, keep_seconds=KEEP_SECONDS)


def park(found: Claim, seconds: float = 60.0) -> bool:
    """Put an execution aside as its worker does."""
    with db.transaction() as connection:
        return executions.park(connection, found, seconds, keep_seconds=KEEP_SECONDS)


def result(path: str = "answer/0", *, passed: bool = True, usage: Usage | None = None, **details: Any) -> Result:
    """What came of a layer, of one call where it has a usage."""
    if usage is not None:
        outcome = "answered" if passed else "provider_error"
        details["calls"] = (Call("tests/model", outcome, next(_numbers), usage=usage),)
    details = {"output": "done"} | details if passed else {"error": "broken", "reason": "provider_error"} | details
    return Result(path, passed=passed, seconds=0.1, **details)


def record(found: Claim, written: Result) -> None:
    """Write a layer's result down as the worker does."""
    with db.transaction() as connection:
        checkpoints.record(connection, found, written)


def rescue(*, lease_seconds: float = 0.0, max_deaths: int = 3) -> dict[str, int]:
    """Sweep for dead workers, as if Postgres had been up for long."""
    with db.transaction() as connection:
        return executions.rescue(
            connection, lease_seconds=lease_seconds, max_deaths=max_deaths, keep_seconds=KEEP_SECONDS
        )


def promote() -> int:
    """Queue what nothing holds back any more, as the sweep does."""
    with db.transaction() as connection:
        return executions.promote(connection)


def limit(name: str = "acme", **limits: int | None) -> None:
    """Set limits of an organization."""
    with db.transaction() as connection:
        organizations.limit(connection, name, **limits)


def cancel(organization_id: int, uuid: UUID) -> str:
    """Cancel an execution as a caller does."""
    with db.transaction() as connection:
        return executions.cancel(connection, organization_id, uuid, keep_seconds=KEEP_SECONDS)


def row(execution_id: int) -> Row[Any]:
    """The narrow row of an execution."""
    return query("SELECT * FROM executions WHERE id = :id", id=execution_id)[0]


def report(organization_id: int, execution: Report | Claim) -> Report:
    """What is known of an execution now."""
    with db.autocommit() as connection:
        return reports.find(connection, organization_id, execution.id)


def query(statement: str, **values: Any) -> list[Row[Any]]:
    """The rows of a query."""
    with db.transaction() as connection:
        return list(connection.execute(text(statement), values).all())


def change(statement: str, **values: Any) -> None:
    """Change rows behind the back of the code under test, as time or an operator would."""
    with db.transaction() as connection:
        connection.execute(text(statement), values)


def states() -> dict[str, int]:
    """How many executions there are of each status, with what holds them back."""
    return dict(
        Counter(" ".join(each).strip() for each in query("SELECT status, coalesce(blocked_by, '') FROM executions"))
    )


def recorded() -> list[str]:
    """The paths of the layers that have passed, in their order."""
    return [row.path for row in query("SELECT path FROM layer_results WHERE passed ORDER BY path")]
