"""The variables of an execution: which ones it needs, where their values come from, and how they are kept for it.

Kept are the values that its definition names and no others, sealed for this one execution: what its environment has
later is another's. Those that were given with the order are told apart, because a replay takes them over.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Connection

from shared import environments
from shared.environments import MOST_BYTES
from shared.errors import Fault, SealBroken
from shared.order import DEFAULT_ENVIRONMENT, Order
from shared.plan import Plan
from shared.sealing import Sealer
from shared.statements import Statement

#: Of those that an order brings along.
MOST_GIVEN = 50

#: Looks names up in an environment; None where there is no such environment.
Find = Callable[[str, Collection[str]], Mapping[str, str] | None]


@dataclass(frozen=True, slots=True)
class Variables:
    """The values of an execution's variables by name: those given with its order, and those of its environment."""

    given: Mapping[str, str] = field(default_factory=dict, repr=False)
    found: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def values(self) -> dict[str, str]:
        """All of them."""
        return {**self.found, **self.given}


def needed(plans: Iterable[Plan]) -> tuple[str, ...]:
    """The variables that plans name, each once."""
    return tuple(sorted({name for plan in plans for name in plan.variables}))


def of(
    connection: Connection, organization_id: int, order: Order, plans: Iterable[Plan], sealer: Sealer
) -> tuple[Variables, list[Fault]]:
    """The variables of an order and what is wrong with them; Conflict where one cannot be opened here."""
    names = needed(plans)
    kept = _kept(connection, organization_id, order.origin.id, sealer) if names and order.origin else {}
    return gather(
        order, names, lambda name, asked: environments.values(connection, organization_id, name, asked, sealer), kept
    )


def gather(
    order: Order, names: Collection[str], find: Find, kept: Mapping[str, str] | None = None
) -> tuple[Variables, list[Fault]]:
    """As `of`, of names and of an environment that are looked up already; `kept` were given with an earlier order."""
    faults = _faults(order.env_vars)
    given = {name: value for name, value in {**(kept or {}), **order.env_vars}.items() if name in names}
    wanted = [name for name in names if name not in given]
    environment = order.environment or DEFAULT_ENVIRONMENT
    found = find(environment, wanted) if wanted or environment != DEFAULT_ENVIRONMENT else {}
    if found is None:
        return Variables(given), [*faults, Fault("environment", "does not exist", "unknown")]
    if not order.late_variables:
        faults += [Fault(f"env_vars.{name}", "has no value", "missing") for name in wanted if name not in found]
    return Variables(given, found), faults


def sealed(found: Variables, uuid: UUID, sealer: Sealer) -> bytes | None:
    """What is kept of them for an execution, None for none; Conflict where there is nothing to seal them with."""
    if not found.given and not found.found:
        return None
    return sealer.seal(json.dumps({"given": dict(found.given), "found": dict(found.found)}), _context(uuid))


def opened(kept: bytes | None, uuid: UUID, sealer: Sealer) -> Variables:
    """What was kept for an execution; SealBroken where it cannot be opened here."""
    return Variables(**json.loads(sealer.open(bytes(kept), _context(uuid)))) if kept else Variables()


def reseal(connection: Connection, sealer: Sealer, *, after: int = 0, batch: int = 500) -> tuple[int, int | None]:
    """Seal what is kept for executions with the newest of the sealer's keys, a batch of them above an id.

    Returns how many were not, and the id to go on after, None at the end. SealBroken where one cannot be opened.
    """
    rows = _SEALED(connection, {"after": after, "batch": batch}).all()
    changed = 0
    for row in rows:
        if not sealer.is_current(bytes(row.variables)):
            context = _context(row.uuid)
            again = sealer.seal(sealer.open(bytes(row.variables), context), context)
            _RESEAL(connection, {"id": row.execution_id, "variables": again})
            changed += 1
    return changed, rows[-1].execution_id if len(rows) == batch else None


def _faults(given: Mapping[str, str]) -> list[Fault]:
    faults = [
        Fault(f"env_vars.{name}", "must be UPPER_CASE: A to Z, digits and _, a letter first, at most 100 characters")
        for name in given
        if not environments.VARIABLE.fullmatch(name)
    ]
    if len(given) > MOST_GIVEN:
        faults.append(Fault("env_vars", f"has more than {MOST_GIVEN} entries"))
    size = sum(len(text.encode(errors="replace")) for pair in given.items() for text in pair)
    if size > MOST_BYTES:
        faults.append(Fault("env_vars", f"is larger than {MOST_BYTES} bytes"))
    return faults


def _kept(connection: Connection, organization_id: int, execution_id: int, sealer: Sealer) -> Mapping[str, str]:
    """What was given with the order of an earlier execution, as far as it is still there and can be opened."""
    row = _KEPT(connection, {"id": execution_id, "organization": organization_id}).first()
    try:
        return opened(row.variables, row.uuid, sealer).given if row else {}
    except SealBroken:
        return {}


def _context(uuid: UUID) -> str:
    return f"execution:{uuid}"


_KEPT = Statement("""
    SELECT e.uuid, c.variables FROM executions e JOIN contents c ON c.execution_id = e.id
     WHERE e.id = :id AND e.organization_id = :organization
""")
_SEALED = Statement("""
    SELECT c.execution_id, e.uuid, c.variables FROM contents c JOIN executions e ON e.id = c.execution_id
     WHERE c.variables IS NOT NULL AND c.execution_id > :after ORDER BY c.execution_id LIMIT :batch FOR UPDATE OF c
""")
_RESEAL = Statement("UPDATE contents SET variables = :variables WHERE execution_id = :id")
