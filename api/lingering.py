"""gunicorn's worker of threads, whose threads look a moment longer for the next request of a connection.

Between two requests of a connection it hands the connection to its main thread and back, which costs as much as a
statement. A client in a hurry, or a proxy under load, has sent the next one before that is done.
"""

import select
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

#: How long a thread waits for the next request on its connection, in milliseconds.
LINGER_MS = 2


class LingeringWorker(ThreadWorker):  # type: ignore[misc]
    """Answers the requests of a connection on one thread, as long as they follow each other at once."""

    def handle(self, conn: Any) -> Any:
        """Answer the requests that there are; what gunicorn's own gives for the last."""
        # Anything else than True: the connection is to be closed, or has nothing to say yet.
        while (kept := super().handle(conn)) is True and self.alive and _asks_again(conn):
            continue
        return kept


def _asks_again(conn: Any) -> bool:
    if conn.parser.unreader.buf.getvalue():
        # It came with the last one.
        return True
    poll = select.poll()
    poll.register(conn.sock, select.POLLIN)
    return bool(poll.poll(LINGER_MS))
