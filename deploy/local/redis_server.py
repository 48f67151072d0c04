"""An embedded Redis 6.2: the wheel's program, or the one on PATH; empty at each start, it carries hints."""

import contextlib
import secrets
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from deploy.local import children, orphans, platforms, ports, secret_files
from deploy.local.errors import LocalError
from deploy.local.locks import Lock

START_SECONDS = 20.0
STOPPING = ((signal.SIGTERM, 5.0),)
# Somebody else may take the free port before Redis does.
TRIES = 5


class Redis:
    """A server of its own on a free port of 127.0.0.1, under `<directory>/redis`.

    It ends when this process, or the thread that started it, does. A second start of it keeps the port.
    """

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory).absolute()
        self.place = self.directory / "redis"
        self.log = self.directory / "redis.log"
        self.url = ""
        self.child: subprocess.Popen[bytes] | None = None
        self._lock = Lock(self.directory / "redis.lock")
        self._port: int | None = None

    def start(self) -> str:
        """Start the server and return its URL, the same one after a death unless its port was taken.

        LocalError if it cannot start, or if another process runs one on this directory.
        """
        if self.child is not None and self.child.poll() is None:
            raise LocalError(f"Redis runs on {self.place} already")
        program = platforms.redis()
        self.place.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        try:
            orphans.end(program, self.place, *STOPPING)
            password = secret_files.kept(self.directory / "redis.password", lambda: secrets.token_urlsafe(24))
            self.url = self._serve(program, password)
        except BaseException:
            self.stop()
            raise
        return self.url

    def stop(self) -> None:
        """Stop the server and forget what is in it; nothing happens if it does not run."""
        if self.child is not None:
            children.stop(self.child, *STOPPING)
            self.child = None
        self._lock.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _serve(self, program: Path, password: str) -> str:
        for _ in range(TRIES):
            self._port = self._port or ports.free()
            url = f"redis://:{password}@127.0.0.1:{self._port}/0"
            self.child = self._run(program, password)
            if self._ready(self.child, url):
                return url
            children.stop(self.child, *STOPPING)
            self._port = None
        said = self.log.read_text(errors="replace").strip()[-2000:]
        raise LocalError(f"Redis did not start on {self.place}, and {self.log} says: {said}")

    def _run(self, program: Path, password: str) -> "subprocess.Popen[bytes]":
        # The password is in the file, because anybody may read a command line.
        settings = {
            "bind": "127.0.0.1",
            "port": str(self._port),
            "requirepass": password,
            "save": '""',
            "appendonly": "no",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        path = self.directory / "redis.conf"
        secret_files.write(path, "".join(f"{name} {value}\n" for name, value in settings.items()))
        with self.log.open("wb") as log:
            return children.start(
                [str(program), str(path)],
                # There is nothing to write out.
                death_signal=signal.SIGKILL,
                environment=children.bare_environment(),
                directory=self.place,
                output=log,
            )

    def _ready(self, child: "subprocess.Popen[bytes]", url: str) -> bool:
        deadline = time.monotonic() + START_SECONDS
        with redis.Redis.from_url(url, socket_timeout=1, retry=Retry(NoBackoff(), 0)) as client:
            while child.poll() is None and time.monotonic() < deadline:
                with contextlib.suppress(redis.RedisError):
                    # Another's Redis on our port would refuse the password or have another pid.
                    return int(client.info("server")["process_id"]) == child.pid
                time.sleep(0.01)
        return False
