"""A server that says exactly the bytes that a test wants, however wrong; one thread a connection."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

COMPLETION = (
    b'{"id":"c1","choices":[{"message":{"content":"hello"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}'
)


def answer(body: bytes = COMPLETION, *, status: str = "200 OK", fields: str = "") -> bytes:
    """A well-formed answer."""
    described = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{fields}"
    return f"HTTP/1.1 {status}\r\n{described}\r\n".encode() + body


def read_request(connection: socket.socket) -> bytes:
    """One request with its body; empty where the client has left."""
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(65536)
        if not part:
            return b""
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def serving(speak: Callable[[socket.socket], None]) -> Iterator[str]:
    """Call `speak` with each connection while the block runs; the base URL to connect to."""
    listener = socket.create_server(("127.0.0.1", 0))

    def converse(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            speak(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=converse, args=(connection,), daemon=True).start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(5)


def saying(*answers: bytes) -> Callable[[socket.socket], None]:
    """Give each request on a connection the next answer, then close it."""

    def speak(connection: socket.socket) -> None:
        for each in answers:
            if not read_request(connection):
                return
            connection.sendall(each)

    return speak
