"""Somebody who is told by webhooks: takes every POST, and answers as a test wants it to."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Heard(NamedTuple):
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


class Sink:
    """Answers 204 to everything, unless `answer(heard)` says otherwise: a status, with headers and a body if wanted."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.heard: list[Heard] = []
        self.answer: Callable[[Heard], int | tuple[int, dict[str, str], bytes]] = lambda _: 204
        #: Until it is set, nobody is answered who asks for a path that begins with `/slow`.
        self.released = threading.Event()
        self.lock = threading.Lock()

    def bodies(self, path: str = "/") -> list[bytes]:
        """What was told at a path."""
        return [each.body for each in self.heard if each.path == path]


@contextmanager
def serving() -> Iterator[Sink]:
    """A sink on a port of its own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.sink = sink = Sink(server.server_port)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="sink")
    thread.start()
    try:
        yield sink
    finally:
        sink.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        sink: Sink = self.server.sink  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        heard = Heard(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        with sink.lock:
            sink.heard.append(heard)
        if self.path.startswith("/slow"):
            sink.released.wait(30)
        found = sink.answer(heard)
        status, headers, text = found if isinstance(found, tuple) else (found, {}, b"")
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
