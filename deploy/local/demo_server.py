"""The demo model as a server of the stack, for who has no key of a model provider yet."""

import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from deploy.local import children
from deploy.local.errors import LocalError

START_SECONDS = 20.0


class DemoModel:
    """An OpenAI-compatible server on a free port of 127.0.0.1; a second start of an object keeps the port."""

    def __init__(self, directory: Path, *, checkout: Path, environment: Mapping[str, str]) -> None:
        self.directory = directory
        self.checkout = checkout
        self.environment = environment
        self.child: subprocess.Popen[bytes] | None = None
        self._port = 0

    def start(self) -> str:
        """Start the server and return its base URL, which ends in /v1. LocalError if it cannot."""
        announcement = self.directory / "demo_model.url"
        announcement.unlink(missing_ok=True)
        command = [sys.executable, "-m", "deploy.demo_model", "--port", str(self._port)]
        command += ["--announce", str(announcement), "--log", str(self.directory / "demo_model.log")]
        output = self.directory / "demo_model.output"
        with output.open("wb") as file:
            self.child = children.start(
                command,
                death_signal=signal.SIGKILL,
                environment=self.environment,
                directory=self.checkout,
                output=file,
            )
        deadline = time.monotonic() + START_SECONDS
        while self.child.poll() is None and time.monotonic() < deadline:
            url = announcement.read_text().strip() if announcement.exists() else ""
            if url:
                self._port = urlsplit(url).port or 0
                return url
            time.sleep(0.02)
        self.stop()
        said = output.read_text(errors="replace").strip()[-2000:]
        raise LocalError(f"the demo model did not start, and {output} says: {said}")

    def stop(self) -> None:
        """Stop the server; nothing happens if it does not run."""
        if self.child is not None:
            children.stop(self.child, (signal.SIGTERM, 5.0))
            self.child = None
