"""Postgres: connect once, open transactions at the edges, run calls after the commit. The only file that commits."""

import logging
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Connection, NullPool, create_engine, exc

from shared.errors import OutcomeUnknown, Unavailable
from shared.lending import Lender

logger = logging.getLogger(__name__)

_lender: Lender | None = None
_after: ContextVar[list[tuple[Callable[..., None], tuple[Any, ...]]] | None] = ContextVar("after", default=None)
#: How long a transaction waits for a free connection, in seconds.
POOL_WAIT_SECONDS = 10
#: Any statement that holds a request or a slot this long is a fault, not work; in milliseconds.
STATEMENT_TIMEOUT_MS = 30_000
# What a server says that has become a standby, in a failover; another connection leads to the new primary.
_READ_ONLY = "25006"


def connect(url: str, *, connections: int = 20, application: str = "strata") -> None:
    """Point this process at a database; call it after a fork, never before."""
    global _lender
    close()
    engine = create_engine(
        driver_url(url),
        poolclass=NullPool,
        # BEGIN and COMMIT are ours to send, where there is more than one statement to hold together.
        isolation_level="AUTOCOMMIT",
        pool_reset_on_return=None,
        # Parameters are users' text, and have no place in an exception.
        hide_parameters=True,
        connect_args={
            "application_name": application,
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c timezone=UTC"
            " -c idle_in_transaction_session_timeout=60000"
            # What is prepared is planned once: for the protocol's statements planning costs more than any value
            # could save by another plan.
            " -c plan_cache_mode=force_generic_plan",
        },
    )
    _lender = Lender(engine, connections=connections, wait_seconds=POOL_WAIT_SECONDS)


def driver_url(url: str) -> str:
    """A `postgres://` or `postgresql://` URL, as deployments write it, with the driver that we use."""
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg2://", url)


def close() -> None:
    """Let go of every connection."""
    global _lender
    if _lender is not None:
        _lender.close()
        _lender = None


def lender() -> Lender:
    """The connections of this process."""
    if _lender is None:
        raise RuntimeError("db.connect has not been called in this process")
    return _lender


class _Block:
    """A connection for a block, and the calls that run after it. A class: generators would cost three times as much."""

    def __init__(self, *, begins: bool) -> None:
        self._begins = begins
        self._calls: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    def __enter__(self) -> Connection:
        self._lender = lender()
        self._connection = _lent(self._lender)
        if self._begins:
            try:
                self._connection.exec_driver_sql("BEGIN")
            except BaseException as error:
                self._leave(error)
                raise
        self._token = _after.set(self._calls)
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        _after.reset(self._token)
        self._leave(error)
        if error is None:
            for function, arguments in self._calls:
                _call(function, arguments)

    def _leave(self, error: BaseException | None) -> None:
        connection = self._connection
        try:
            if self._begins and error is None:
                _commit(connection)
            elif self._begins:
                _roll_back(connection)
            if isinstance(error, exc.DBAPIError):
                _told(connection, error, unknown=not self._begins)
        finally:
            self._lender.take_back(connection)


def transaction() -> AbstractContextManager[Connection]:
    """Open a transaction; commit at the end of the block, roll back where it raises.

    Unavailable where Postgres is away; OutcomeUnknown where it went away during the COMMIT. Calls registered with
    `after_commit` run once the commit is through.
    """
    return _Block(begins=True)


def autocommit() -> AbstractContextManager[Connection]:
    """Have each statement be its own transaction: for reads, and for a write that is one statement.

    It saves the two round trips of BEGIN and COMMIT. Unavailable where Postgres is away; OutcomeUnknown where it went
    away during a statement, which may then have done its work or not.
    """
    return _Block(begins=False)


def after_commit(function: Callable[..., None], *arguments: Any) -> None:
    """Run a call once the open transaction is committed, and never if it is rolled back."""
    calls = _after.get()
    if calls is None:
        raise RuntimeError("there is no open transaction")
    calls.append((function, arguments))


def _told(connection: Connection, error: exc.DBAPIError, *, unknown: bool) -> None:
    """Raise what an error of the driver means to whoever opened the block, if it is not a fault of the statement."""
    if error.connection_invalidated and unknown:
        raise OutcomeUnknown("the connection broke during a statement") from error
    if getattr(error.orig, "pgcode", None) == _READ_ONLY:
        connection.invalidate()
        raise Unavailable("the database takes no writes") from error
    if error.connection_invalidated or isinstance(error, exc.InterfaceError | exc.OperationalError):
        raise Unavailable("the database cannot be reached") from error


def _lent(lender: Lender) -> Connection:
    try:
        return lender.lend()
    except (exc.DBAPIError, exc.TimeoutError) as error:
        raise Unavailable("the database cannot be reached") from error


def _commit(connection: Connection) -> None:
    try:
        connection.exec_driver_sql("COMMIT")
    except exc.DBAPIError as error:
        connection.invalidate()
        raise OutcomeUnknown("the connection broke during the commit") from error


def _roll_back(connection: Connection) -> None:
    try:
        connection.exec_driver_sql("ROLLBACK")
    except exc.SQLAlchemyError:
        # A connection that cannot be rolled back is of no use to the next.
        connection.invalidate()


def _call(function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    # What comes after a commit is a hint; the sweeps make up for one that is lost.
    try:
        function(*arguments)
    except Exception:
        logger.exception("a call after the commit failed")
