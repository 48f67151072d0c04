"""Every execution as the database has it, and what may become of a row from one moment to the next."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared import db
from shared.statements import Statement
from tests.shared.protocol.model import ENDED, Expected

#: Which status may follow which in one change; the drawing of `shared.executions` as a table. Several steps of it
#: happen in one where a sweep does them, and an end makes room for the next.
_FOLLOWS = {
    "waiting": {"waiting", "queued", "failed", "cancelled"},
    "queued": {"queued", "waiting", "running", "failed", "cancelled"},
    "running": {"running", "queued", "waiting", "succeeded", "failed", "cancelled"},
} | {status: {status} for status in ENDED}

_ROWS = Statement("""
    SELECT to_jsonb(e) AS row, c.execution_id IS NOT NULL AS kept, c.output,
           (SELECT jsonb_object_agg(path, to_jsonb(l)) FROM layer_results l WHERE execution_id = e.id) AS layers,
           (SELECT count(*) FROM messages m WHERE m.thread_id = e.thread_id AND m.id <= e.history_until) AS heard,
           (SELECT jsonb_build_object('prompt_tokens', sum(prompt_tokens), 'completion_tokens', sum(completion_tokens),
                                      'total_tokens', sum(total_tokens))
              FROM usage WHERE execution_id = e.id HAVING count(*) > 0) AS booked
      FROM executions e LEFT JOIN contents c ON c.execution_id = e.id
     ORDER BY e.id
""")
_KEYS = Statement("""
    SELECT k.organization_id, k.key, k.fingerprint, e.id
      FROM idempotency k JOIN executions e ON e.uuid = k.execution_uuid
""")

_MESSAGES = Statement("""
    SELECT t.organization_id, count(*) AS count FROM messages m JOIN threads t ON t.id = m.thread_id
     GROUP BY t.organization_id
""")


@dataclass(frozen=True)
class Found:
    """One execution: its row, output, layers by path, the sum of its books, whether there is content of it.

    `heard` is how many messages of its thread were there when it was first claimed.
    """

    row: dict[str, Any]
    kept: bool
    output: Any
    layers: dict[str, dict[str, Any]]
    booked: dict[str, int]
    heard: int

    @property
    def ranked(self) -> bool:
        return self.row["rank"] != "infinity"

    @property
    def rank(self) -> datetime:
        return datetime.fromisoformat(self.row["rank"])

    @property
    def final(self) -> dict[str, Any]:
        """What never changes once it has ended."""
        return {name: value for name, value in self.row.items() if name not in ("expires_at", "erased_at")}


def executions() -> dict[int, Found]:
    """Every execution by its id."""
    with db.autocommit() as connection:
        rows = _ROWS(connection).all()
    return {
        each.row["id"]: Found(each.row, each.kept, each.output, each.layers or {}, each.booked or {}, each.heard)
        for each in rows
    }


def keys() -> dict[tuple[int, str], tuple[bytes, int]]:
    """Fingerprint and execution of every idempotency key."""
    with db.autocommit() as connection:
        rows = _KEYS(connection).all()
    return {(each.organization_id, each.key): (bytes(each.fingerprint), each.id) for each in rows}


def messages() -> dict[int, int]:
    """How many messages the thread of each organization has, where it has any."""
    with db.autocommit() as connection:
        return {each.organization_id: each.count for each in _MESSAGES(connection)}


def agrees(found: Found, expected: Expected) -> None:
    """Assert that an execution is what the model says."""
    row = found.row
    assert (row["status"], row["blocked_by"]) == (expected.status, expected.blocked_by)
    assert (row["attempt"], row["deaths"]) == (expected.attempt, expected.deaths)
    assert row["worker"] == (str(expected.worker) if expected.worker else None)
    assert (row["cancel_requested_at"] is not None) == expected.cancelling
    assert (row["channel"], found.heard) == (expected.channel, expected.heard)
    assert (row["organization_id"], row["uuid"]) == (expected.organization, str(expected.uuid))
    assert (row["reason"], row["usage"]) == (expected.reason, expected.usage)
    assert found.kept == (not expected.erased)
    assert found.output == (None if expected.erased else expected.output)
    written = {path: (each["attempt"], each["passed"], each["output"]) for path, each in found.layers.items()}
    layers = {} if expected.erased else expected.layers
    assert written == {path: (attempt, each.passed, each.output) for path, (attempt, each) in layers.items()}


def is_sound(found: Found) -> None:
    """Assert what holds for every execution at every moment."""
    row = found.row
    assert (row["status"] == "waiting") == (row["blocked_by"] is not None)
    assert (row["status"] == "running") == (row["worker"] is not None)
    assert (row["status"] in ENDED) == (row["ended_at"] is not None) == (row["expires_at"] is not None)
    assert found.ranked or row["status"] not in ("queued", "running")
    if row["status"] in ENDED and found.kept:
        assert row["usage"] == {name: found.booked.get(name, 0) for name in row["usage"]}


def may_follow(before: Found, after: Found) -> None:
    """Assert that an execution may have become this in one change."""
    old, new = before.row, after.row
    assert new["status"] in _FOLLOWS[old["status"]]
    assert new["attempt"] >= old["attempt"]
    assert new["attempt"] == old["attempt"] or (old["status"], new["status"]) == ("queued", "running")
    assert new["deaths"] in (old["deaths"], old["deaths"] + 1)
    assert old["status"] not in ENDED or after.final == before.final
    assert not before.ranked or new["rank"] == old["rank"]
    assert old["cancel_requested_at"] in (None, new["cancel_requested_at"])
    for path, layer in before.layers.items():
        assert not layer["passed"] or not after.kept or _said(after.layers[path]) == _said(layer)


def _said(layer: dict[str, Any]) -> dict[str, Any]:
    # The attempt that wrote it may write the same once more.
    return {name: value for name, value in layer.items() if name != "ended_at"}
