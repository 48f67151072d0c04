"""What a local Strata needs around its processes: servers, the demo model, the environment to find them."""

import base64
import contextlib
import secrets
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from deploy.local import ports, secret_files
from deploy.local.demo_server import DemoModel
from deploy.local.errors import LocalError
from deploy.local.locks import Lock
from deploy.local.postgres import Postgres
from deploy.local.redis_server import Redis

CHECKOUT = Path(__file__).resolve().parents[2]
# Who listens: host, port, and the first port to try. HOST is the API's alone: where it lets others in, only it does.
LISTENERS = (
    ("HOST", "PORT", 8000),
    ("FLOWER_HOST", "FLOWER_PORT", 5555),
    ("STRATA_WORKER_HOST", "STRATA_WORKER_PORT", 9100),
)
# What `http` layers may reach of this machine.
LOOPBACK = "127.0.0.0/8,::1/128"
# Celery tells root at each start that it should be somebody else; who tries Strata out in a container is root.
ROOT_WARNING = "ignore:You're running the worker with superuser privileges"


class Server(Protocol):
    """What the stack starts itself."""

    child: "subprocess.Popen[bytes] | None"

    def start(self) -> str:
        """Start it and return its URL."""

    def stop(self) -> None:
        """Stop it, if it runs."""


class Stack:
    """The servers on one data directory, one stack at a time; `environment` is what the processes get."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self.directory = directory.absolute()
        self.environment = with_programs(environment)
        self.uses_demo_model = not environment.get("OPENAI_API_KEY") and not environment.get("OPENAI_BASE_URL")
        self._lock = Lock(self.directory / "stack.lock")
        self._servers: dict[str, tuple[Server, str]] = {}

    def start(self) -> None:
        """Start what the environment does not name, and complete the environment. LocalError if it cannot."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        try:
            self._choose_ports()
            self._make_secrets()
            self._open_networks()
            if not self.environment.get("DATABASE_URL"):
                self._serve("Postgres", Postgres(self.directory), "DATABASE_URL")
            if not self.environment.get("REDIS_URL"):
                self._serve("Redis", Redis(self.directory), "REDIS_URL")
            if self.uses_demo_model:
                model = DemoModel(self.directory, checkout=CHECKOUT, environment=dict(self.environment))
                self._serve("the demo model", model, "OPENAI_BASE_URL")
                # Nobody checks it, but clients insist on one.
                self.environment["OPENAI_API_KEY"] = "demo"
            write_environment(self.directory, self.environment)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop what was started, the last first."""
        (self.directory / "stack.env").unlink(missing_ok=True)
        while self._servers:
            self._servers.popitem()[1][0].stop()
        self._lock.release()

    def revive(self, say: Callable[[str], None]) -> None:
        """Start a server again that has died, where it was; LocalError if that cannot be."""
        for name, (server, url) in self._servers.items():
            if server.child is not None and server.child.poll() is not None:
                say(f"{name} died (exit {server.child.returncode}), starting it again")
                if server.start() != url:
                    raise LocalError(f"{name} could not be started again where it was")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _serve(self, name: str, server: Server, variable: str) -> None:
        url = server.start()
        self._servers[name] = (server, url)
        self.environment[variable] = url

    def _choose_ports(self) -> None:
        for host_name, name, first in LISTENERS:
            host = self.environment[host_name] = self.environment.get(host_name) or "127.0.0.1"
            self.environment[name] = str(ports.choose(name, self.environment.get(name), host=host, first=first))

    def _make_secrets(self) -> None:
        made: dict[str, tuple[str, Callable[[], str]]] = {
            "STRATA_BOOTSTRAP_KEY": ("bootstrap.key", lambda: f"strata_{secrets.token_hex(24)}"),
            "STRATA_SECRET_KEYS": ("secret.keys", _sealing_key),
            "FLOWER_BASIC_AUTH": ("flower.login", lambda: f"admin:{secrets.token_urlsafe(12)}"),
        }
        for variable, (name, make) in made.items():
            if not self.environment.get(variable):
                self.environment[variable] = secret_files.kept(self.directory / name, make)
        self.environment["STRATA_DATA_DIR"] = str(self.directory)

    def _open_networks(self) -> None:
        # Who tries it out has servers on the same machine; but not where others on the network can use it too.
        if self.environment["HOST"] in ("127.0.0.1", "::1", "localhost"):
            self.environment.setdefault("STRATA_ALLOWED_NETWORKS", LOOPBACK)


def _sealing_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def data_directory(environment: Mapping[str, str]) -> Path:
    """Return where a stack with this environment keeps its data."""
    return Path(environment.get("STRATA_DATA_DIR") or CHECKOUT / ".data").absolute()


def with_programs(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with the programs beside this Python first on PATH, and readable output."""
    folder = Path(sys.executable).parent
    path = environment.get("PATH") or "/usr/local/bin:/usr/bin:/bin"
    warnings = ",".join(filter(None, [environment.get("PYTHONWARNINGS"), ROOT_WARNING]))
    return {**environment, "PATH": f"{folder}:{path}", "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": warnings}


def write_environment(directory: Path, environment: Mapping[str, str]) -> None:
    """Keep what one more process needs to join the stack, as lines that a shell can read too."""
    own = ("DATABASE_URL", "REDIS_URL", "HOST", "PORT")
    lines = (
        f"{name}={shlex.quote(value)}\n"
        for name, value in sorted(environment.items())
        if name in own or name.startswith(("STRATA_", "OPENAI_", "FLOWER_"))
    )
    secret_files.write(directory / "stack.env", "".join(lines))


def running_environment(directory: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the given environment with that of the stack running on the directory. LocalError if none is."""
    with contextlib.suppress(FileNotFoundError):
        text = (directory / "stack.env").read_text()
        if is_running(directory):
            pairs = (word.partition("=") for word in shlex.split(text))
            return {**with_programs(environment), **{name: value for name, _, value in pairs}}
    raise LocalError(f"no stack runs on {directory}: start it with make run, or set STRATA_DATA_DIR")


def is_running(directory: Path) -> bool:
    """Say whether a stack runs on the directory."""
    return Lock(directory / "stack.lock").held()
