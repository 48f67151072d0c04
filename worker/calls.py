"""One call to a provider, that another thread may cut: at its deadline, or because its execution must stop."""

import socket
import threading
from contextlib import suppress

DEADLINE = "deadline"


class Call:
    """Owns the socket of a call in flight; cutting it wakes whoever reads from it."""

    def __init__(self) -> None:
        self.cut_by: str | None = None
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    def attach(self, connected: socket.socket) -> None:
        """Name the socket that the call uses from now on; it is shut at once where the call was cut before."""
        with self._lock:
            self._socket = connected
            if self.cut_by is not None:
                _shut(connected)

    def detach(self) -> None:
        """The socket belongs to somebody else from now on."""
        with self._lock:
            self._socket = None

    def cut(self, cause: str) -> None:
        """Close the connection under the call; the first cause stands."""
        with self._lock:
            if self.cut_by is None:
                self.cut_by = cause
            if self._socket is not None:
                _shut(self._socket)


def _shut(connected: socket.socket) -> None:
    with suppress(OSError):
        # The plain socket's own shutdown: that of a TLS socket would take its state from under the reader.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
