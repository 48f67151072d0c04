"""The boundaries at which a process may die: between any two steps that leave something behind.

A point is passed at each call of its target, `before` it begins or `after` it is done; with `found`, only at a call
that was given or gave something. What is done in autocommit is committed `after`; the rest is so at `committed`.
"""

from dataclasses import dataclass

#: Most points can be passed again by a process that lives on.
TWICE = (1, 2)
ONCE = (1,)


@dataclass(frozen=True)
class Point:
    """A named boundary: which process passes it in which situation, and at which of its passings it dies."""

    name: str
    situation: str
    process: str
    target: str
    when: str
    passings: tuple[int, ...] = TWICE
    found: bool = False


_ALL = (
    # A client submits, and asks again until it is answered.
    Point("accept before", "submit", "api", "shared.transitions:ACCEPT", "before"),
    Point("accept after", "submit", "api", "shared.transitions:ACCEPT", "after"),
    Point("accept permit", "submit", "api", "shared.broker:permit", "before"),
    Point("accept answer", "submit", "api", "api.native:answer", "before"),
    Point("permit unsent", "submit", "api", "shared.hint_line:Line._write", "before"),
    Point("permit sent", "submit", "api", "shared.hint_line:Line._write", "after"),
    # A client with a key repeats the very same request until it is answered.
    Point("accept once before", "repeat", "api", "shared.transitions:ACCEPT_ONCE", "before"),
    Point("accept once after", "repeat", "api", "shared.transitions:ACCEPT_ONCE", "after"),
    Point("accept once answer", "repeat", "api", "api.native:answer", "before"),
    # A client waits for the end.
    Point("notified", "wait", "api", "shared.doorbell:Waiters.heard", "before"),
    # A worker starts and runs what is queued.
    Point("enter before", "run", "worker", "shared.workers:enter", "before", ONCE),
    Point("enter after", "run", "worker", "shared.workers:enter", "after", ONCE),
    Point("claim before", "run", "worker", "shared.executions:claim", "before"),
    Point("claim after", "run", "worker", "shared.executions:claim", "after", found=True),
    Point("prepare before", "run", "worker", "worker.attempt:_prepared", "before", ONCE),
    Point("prepare after", "run", "worker", "worker.attempt:_prepared", "after", ONCE),
    Point("engine before", "run", "worker", "worker.engine:run", "before"),
    Point("intent before", "run", "worker", "shared.ledger:open", "before"),
    Point("intent after", "run", "worker", "shared.ledger:open", "after"),
    Point("call before", "run", "worker", "worker.providers.sending:Sender._spoken", "before"),
    Point("call sent", "run", "worker", "worker.providers.response:Response.read", "before"),
    Point("call answered", "run", "worker", "worker.providers.transport:Transport.handle_request", "after"),
    Point("call noted", "run", "worker", "worker.books:Books.note", "after"),
    Point("record before", "run", "worker", "shared.transitions:RECORD", "before"),
    Point("record after", "run", "worker", "shared.transitions:RECORD", "after"),
    Point("finish before", "run", "worker", "shared.transitions:FINISH", "before"),
    Point("finish after", "run", "worker", "shared.transitions:FINISH", "after"),
    Point("notify before", "run", "worker", "shared.doorbell:ring", "before"),
    Point("notify sent", "run", "worker", "shared.hint_line:Line._write", "after"),
    Point("heartbeat before", "run", "worker", "shared.workers:renew", "before"),
    Point("heartbeat after", "run", "worker", "shared.workers:owned", "after"),
    Point("permits before", "run", "worker", "shared.liveness:permits", "before"),
    Point("permits counted", "run", "worker", "shared.workers:backlog", "after"),
    Point("duty taken", "run", "worker", "shared.duties:take", "after", found=True),
    # A worker is told to stop while calls outlast its drain.
    Point("release before", "drain", "worker", "shared.transitions:RELEASE", "before"),
    Point("release after", "drain", "worker", "shared.transitions:RELEASE", "after"),
    Point("book before", "drain", "worker", "shared.ledger:book", "before"),
    Point("book after", "drain", "worker", "shared.ledger:book", "after"),
    Point("leave before", "drain", "worker", "shared.workers:leave", "before", ONCE),
    Point("leave after", "drain", "worker", "shared.workers:leave", "after", ONCE),
    # A worker takes up what another has died with.
    Point("rescue before", "rescue", "worker", "shared.transitions:RESCUE", "before"),
    Point("rescue after", "rescue", "worker", "shared.executions:rescue", "after", ONCE, found=True),
    Point("rescue committed", "rescue", "worker", "shared.db:_call", "before"),
    Point("settle before", "rescue", "worker", "shared.ledger:settle", "before"),
    Point("settle after", "rescue", "worker", "shared.ledger:settle", "after", ONCE, found=True),
    # Executions follow each other on a thread.
    Point("said before", "talk", "worker", "shared.memory:write", "before"),
    Point("said after", "talk", "worker", "shared.memory:write", "after"),
    Point("let go before", "talk", "worker", "shared.lanes:LET_GO", "before"),
    Point("let go after", "talk", "worker", "shared.lanes:LET_GO", "after"),
    Point("said committed", "talk", "worker", "shared.executions:_told", "before"),
    Point("said checkpoint", "talk", "worker", "shared.transitions:RECORD", "after"),
    # Models call tools, and say more once they have what came of it.
    Point("round before", "tools", "worker", "shared.transitions:RECORD", "before", (1, 2, 5)),
    Point("round recorded", "tools", "worker", "shared.transitions:RECORD", "after", (1, 2, 5)),
    Point("tool called", "tools", "worker", "shared.layers._toolkit:Toolkit._made", "after"),
    Point("round answered", "tools", "worker", "worker.providers.transport:Transport.handle_request", "after", (2, 5)),
    # Sweeps: what is due, and what is overdue.
    Point("promote before", "schedule", "worker", "shared.executions:promote", "before"),
    Point("promote after", "schedule", "worker", "shared.executions:promote", "after", ONCE, found=True),
    # A provider's limit puts executions aside, and lets them come back.
    Point("park before", "pace", "worker", "shared.transitions:PARK", "before"),
    Point("park after", "pace", "worker", "shared.transitions:PARK", "after"),
    Point("unpark before", "pace", "worker", "shared.turns:UNPARK", "before"),
    Point("unpark after", "pace", "worker", "shared.executions:promote", "after", ONCE, found=True),
    Point("deadline before", "overdue", "worker", "shared.transitions:END_OVERDUE", "before"),
    Point("deadline after", "overdue", "worker", "shared.executions:end_overdue", "after", ONCE, found=True),
    # A worker tells a webhook what has ended.
    Point("tell claim before", "tell", "worker", "shared.deliveries:claim", "before"),
    Point("tell claim after", "tell", "worker", "shared.deliveries:claim", "after", found=True),
    Point("tell sent", "tell", "worker", "worker.fetching:Fetcher.tell", "after"),
    Point("tell record before", "tell", "worker", "shared.delivery_statements:RECORD", "before"),
    Point("tell record after", "tell", "worker", "shared.delivery_statements:RECORD", "after"),
    # A client cancels what is queued, then what runs.
    Point("cancel locked", "cancel queued", "api", "shared.transitions:LOCK", "after"),
    Point("cancel before", "cancel queued", "api", "shared.transitions:END_ONE", "before"),
    Point("cancel after", "cancel queued", "api", "shared.transitions:END_ONE", "after"),
    Point("cancel committed", "cancel queued", "api", "shared.executions:_told", "before"),
    Point("cancel asked before", "cancel running", "api", "shared.transitions:ASK_TO_STOP", "before"),
    Point("cancel asked after", "cancel running", "api", "shared.transitions:ASK_TO_STOP", "after"),
    Point("cancel heard", "cancel running", "worker", "worker.running:Run.stop", "before"),
    # Content expires, then its tombstones.
    Point("expire before", "expire", "worker", "shared.transitions:ERASE", "before"),
    Point("expire after", "expire", "worker", "shared.transitions:ERASE", "after"),
    Point("bury before", "expire", "worker", "shared.transitions:BURY", "before"),
    Point("bury after", "expire", "worker", "shared.transitions:BURY", "after"),
    # A suspect runs in a process of its own.
    Point("hand over before", "suspect", "worker", "shared.transitions:HAND_OVER", "before"),
    Point("hand over after", "suspect", "worker", "shared.transitions:HAND_OVER", "after"),
    Point("hand over started", "suspect", "worker", "worker.quarantine:Quarantine._wait", "before"),
    Point("hand over ended", "suspect", "worker", "worker.quarantine:Quarantine._end_lease", "before"),
    Point("alone before", "suspect", "alone", "shared.executions:handed_over", "before", ONCE),
    Point("alone after", "suspect", "alone", "shared.executions:handed_over", "after", ONCE),
    Point("alone call", "suspect", "alone", "worker.providers.sending:Sender._spoken", "before"),
    Point("alone record", "suspect", "alone", "shared.transitions:RECORD", "after", ONCE),
    Point("alone finish", "suspect", "alone", "shared.transitions:FINISH", "after", ONCE),
)
POINTS = {point.name: point for point in _ALL}
