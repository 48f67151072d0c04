"""A worker's own small HTTP server: `/healthz`, `/readyz`, `/metrics`; readiness says what is wrong."""

import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared.settings import Settings

logger = logging.getLogger(__name__)
#: Ports tried from the first one on.
_TRIES = 100


class HealthServer:
    """Serves on the first free port from STRATA_WORKER_PORT on."""

    def __init__(self, settings: Settings, trouble: Callable[[], str | None]) -> None:
        self._server = _bound(settings.worker_host, settings.worker_port, _handler(trouble))
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()
        logger.info("health and metrics", extra={"port": self._server.server_port})

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


def _bound(host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    for tried in range(port, port + _TRIES):
        try:
            return ThreadingHTTPServer((host, tried), handler)
        except OSError:
            continue
    raise OSError(f"no free port from {port} on at {host}")


def _handler(trouble: Callable[[], str | None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            """Answer one of the three paths."""
            if self.path == "/metrics":
                self._answer(200, generate_latest(), CONTENT_TYPE_LATEST)
            elif self.path == "/healthz":
                self._answer(200, b"ok\n")
            elif self.path == "/readyz":
                found = trouble()
                self._answer(503 if found else 200, f"{found or 'ok'}\n".encode())
            else:
                self._answer(404, b"not found\n")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing: probes come every few seconds."""

        def _answer(self, status: int, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
