"""One client's connection: requests in, one at a time and in order; answers out; and the moment the client is gone.

No task per connection: it is a buffer and callbacks, so thousands of them cost little more than their sockets.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Protocol, cast

from deploy.demo_model import request as requests
from deploy.demo_model import response
from deploy.demo_model.errors import Malformed
from deploy.demo_model.request import Request

# A client may pipeline while its call waits; beyond one largest body and some more, it is dropped.
_MAX_BUFFER_BYTES = requests.MAX_BODY_BYTES + 1024 * 1024


class Receiver(Protocol):
    """Who answers: called once per request, and told when its client leaves before the answer is complete."""

    def receive(self, request: Request, connection: "Connection") -> None:
        """Answer the request, now or later, and then call `connection.complete()`."""


class Connection(asyncio.BufferedProtocol):
    """Reads requests and hands each to the receiver, the next one only after `complete()`.

    All connections of a loop read into one `block`, copied out at once: a fresh one per read costs more than the read.
    """

    def __init__(self, receiver: Receiver, connections: set["Connection"], block: memoryview) -> None:
        self.on_lost: Callable[[], None] | None = None
        self._receiver = receiver
        self._connections = connections
        self._block = block
        self._buffer = bytearray()
        self._busy = False
        self._reading = False
        self._keep_alive = True
        self._blocked = False
        self._on_drained: Callable[[], None] | None = None

    def write(self, piece: bytes) -> None:
        """Send bytes now; what the socket does not take is kept and sent on."""
        self._transport.write(piece)

    def when_drained(self, step: Callable[[], None]) -> None:
        """Call `step` once everything written is with the operating system, at once if it is already."""
        if self._blocked:
            self._on_drained = step
        elif not self._transport.is_closing():
            # A write that failed closes the transport, and the client's loss is told in a moment.
            step()

    def complete(self) -> None:
        """The request is answered: go on with the next one, or close if the client wants that."""
        self._busy = False
        self.on_lost = None
        if not self._keep_alive:
            self._transport.close()
        elif self._buffer and not self._reading:
            self._read()

    def close(self) -> None:
        """Hang up after what is written has left."""
        self.on_lost = None
        self._transport.close()

    def reset(self) -> None:
        """Hang up with a reset (RST): lingering for zero seconds throws away instead of finishing."""
        self.on_lost = None
        self._transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self._transport.abort()

    def abort(self) -> None:
        """Hang up at once, whatever is still to be sent."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        # With a high mark of zero, "not blocked" means that the operating system has every byte.
        self._transport.set_write_buffer_limits(high=0)
        self._connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Tell who is answering that nobody listens any more."""
        self._connections.discard(self)
        self._on_drained = None
        if self.on_lost is not None:
            on_lost, self.on_lost = self.on_lost, None
            on_lost()

    def get_buffer(self, size_hint: int) -> memoryview:
        """Read into the shared block."""
        return self._block

    def buffer_updated(self, size: int) -> None:
        """Copy what was read; start on it if no request is being answered."""
        self._buffer += self._block[:size]
        if not self._busy:
            self._read()
        elif len(self._buffer) > _MAX_BUFFER_BYTES:
            self.abort()

    def eof_received(self) -> None:
        """A client that stops sending while it is owed an answer is taken for gone."""
        if self._busy:
            self.abort()

    def pause_writing(self) -> None:
        """Something written is still here."""
        self._blocked = True

    def resume_writing(self) -> None:
        """Everything written is with the operating system."""
        self._blocked = False
        if self._on_drained is not None:
            step, self._on_drained = self._on_drained, None
            step()

    def _read(self) -> None:
        self._reading = True
        try:
            while self._buffer and not self._busy and not self._transport.is_closing():
                request = requests.take(self._buffer)
                if request is None:
                    break
                self._busy = True
                self._keep_alive = request.keep_alive
                self._receiver.receive(request, self)
        except Malformed as error:
            self.write(response.problem(error.status, str(error)))
            self.close()
        finally:
            self._reading = False
