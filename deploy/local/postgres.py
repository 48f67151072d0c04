"""An embedded Postgres 18: the wheel's programs, our own start and stop."""

import contextlib
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from deploy.local import accounts, children, clusters, orphans, platforms, secret_files
from deploy.local.errors import LocalError
from deploy.local.locks import Lock

SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "500",
    "shared_buffers": "256MB",
    "fsync": "on",
}
# The kernel's limit for a socket's path is 107 bytes.
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_FOLDER = "strata-socket-"
LONGEST_PATH = 107
# A crashed server replays its log before it is ready, which depends on how much it had written.
START_SECONDS = 120.0
# Fast: open transactions are rolled back. Immediate: as a crash.
STOPPING = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0))


class Postgres:
    """A server on `<directory>/postgres` with a role and a database `strata`; a second start finds its data.

    It is reached through a Unix socket only, and ends when this process, or the thread that started it, does.
    """

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory).absolute()
        self.place = self.directory / "postgres"
        self.log = self.directory / "postgres.log"
        self.url = ""
        self.child: subprocess.Popen[bytes] | None = None
        self._lock = Lock(self.directory / "postgres.lock")
        self._sockets: Path | None = None

    def start(self) -> str:
        """Start the server and return its URL, the same one after a death.

        LocalError if it cannot start, or if another process runs one on this directory.
        """
        if self.child is not None and self.child.poll() is None:
            raise LocalError(f"Postgres runs on {self.place} already")
        self.directory.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        try:
            self._tidy()
            user = accounts.unprivileged(self.place)
            password = self._password()
            if not self.place.exists():
                clusters.make(self.place, password, user)
            self._sockets = self._sockets or self._socket_folder()
            accounts.give(self._sockets, user)
            self._run(user)
            self._wait()
        except BaseException:
            self.stop()
            raise
        self.url = f"postgresql://strata:{password}@/strata?host={quote(str(self._sockets), safe='/')}"
        return self.url

    def stop(self) -> None:
        """Stop the server, rolling back what is open; nothing happens if it does not run."""
        if self.child is not None:
            children.stop(self.child, *STOPPING)
            self.child = None
        if self._sockets is not None and self._sockets != self.place:
            shutil.rmtree(self._sockets, ignore_errors=True)
        self._sockets = None
        self._lock.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _tidy(self) -> None:
        # What a crash leaves: a server, its pid file, its socket and its lock.
        if not self.place.exists():
            return
        orphans.end(platforms.postgres() / "postgres", self.place, *STOPPING)
        with contextlib.suppress(FileNotFoundError, IndexError):
            sockets = Path(self._pid_file().read_text().splitlines()[4])
            if sockets not in (self.place, self._sockets) and sockets.name.startswith(SOCKET_FOLDER):
                shutil.rmtree(sockets, ignore_errors=True)
        # The pid in the files may be something else's by now, and Postgres would then not start.
        self._pid_file().unlink(missing_ok=True)
        for name in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):
            ((self._sockets or self.place) / name).unlink(missing_ok=True)

    def _password(self) -> str:
        path = self.directory / "postgres.password"
        if self.place.exists() and not path.exists():
            raise LocalError(f"{path} is gone: put it back, or remove {self.place} too and begin anew")
        return secret_files.kept(path, lambda: secrets.token_urlsafe(24))

    def _socket_folder(self) -> Path:
        if len(bytes(self.place / SOCKET_NAME)) <= LONGEST_PATH:
            return self.place
        parent = tempfile.gettempdir()
        if len(parent) > LONGEST_PATH // 2:
            parent = "/tmp"  # noqa: S108
        return Path(tempfile.mkdtemp(prefix=SOCKET_FOLDER, dir=parent))

    def _run(self, user: pwd.struct_passwd | None) -> None:
        settings = SETTINGS | {"unix_socket_directories": f'"{self._sockets}"'}
        command = [str(platforms.postgres() / "postgres"), "-D", str(self.place)]
        command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with self.log.open("wb") as log:
            self.child = children.start(
                command,
                # Fast, as a stop: it writes out what is committed and leaves nothing running.
                death_signal=signal.SIGINT,
                environment=children.bare_environment(),
                user=user,
                directory=self.place,
                output=log,
            )

    def _wait(self) -> None:
        assert self.child is not None
        deadline = time.monotonic() + START_SECONDS
        while self.child.poll() is None and time.monotonic() < deadline:
            # The eighth line says how far the server is.
            with contextlib.suppress(FileNotFoundError):
                lines = self._pid_file().read_text().splitlines()
                if len(lines) >= 8 and lines[0] == str(self.child.pid) and lines[7].strip() == "ready":
                    return
            time.sleep(0.01)
        said = self.log.read_text(errors="replace").strip()[-2000:]
        raise LocalError(f"Postgres did not start on {self.place}, and {self.log} says: {said}")

    def _pid_file(self) -> Path:
        return self.place / "postmaster.pid"
