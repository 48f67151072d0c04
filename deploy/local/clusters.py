"""Postgres's data directory: making one, with the role and the database that the product uses."""

import pwd
import shutil
import signal
import subprocess
from pathlib import Path

from deploy.local import accounts, children, platforms
from deploy.local.errors import LocalError

# Role and database are made once, and a crash while they are made only costs making them again.
SINGLE_USER = ["-c", "fsync=off", "-c", "log_checkpoints=off", "-c", "io_method=sync"]


def make(place: Path, password: str, user: pwd.struct_passwd | None) -> None:
    """Make the data directory, whole or not at all.

    The role `strata` is no superuser; it owns the database `strata` and may make others.
    """
    fresh = place.with_name(f"{place.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    accounts.give(fresh, user)
    _initialize(fresh, user)
    # pgvector is not a trusted extension: only here, as the superuser, can it be put into every database.
    _execute(fresh, user, "template1", ["CREATE EXTENSION vector"])
    _execute(
        fresh,
        user,
        "postgres",
        [f"CREATE ROLE strata LOGIN CREATEDB PASSWORD '{password}'", "CREATE DATABASE strata OWNER strata"],
    )
    # The superuser cannot log in at all, and nothing listens beyond the socket.
    (fresh / "pg_hba.conf").write_text("local all strata scram-sha-256\n")
    fresh.rename(place)


def _initialize(place: Path, user: pwd.struct_passwd | None) -> None:
    command = [
        str(platforms.postgres() / "initdb"),
        f"--pgdata={place}",
        "--username=postgres",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-sync",
        "--no-instructions",
        # initdb would try several servers to find these two out.
        "--set=max_connections=500",
        "--set=shared_buffers=256MB",
    ]
    _run(command, place, user, "")


def _execute(place: Path, user: pwd.struct_passwd | None, database: str, statements: list[str]) -> None:
    # Without a server: nothing can connect before the password is set.
    command = [str(platforms.postgres() / "postgres"), "--single", "-D", str(place), *SINGLE_USER, database]
    said = _run(command, place, user, "".join(f"{statement};\n" for statement in statements))
    if "ERROR:" in said:
        raise LocalError(f"Postgres's data directory could not be prepared: {said}")


def _run(command: list[str], place: Path, user: pwd.struct_passwd | None, statements: str) -> str:
    child = children.start(
        command,
        death_signal=signal.SIGKILL,
        environment=children.bare_environment(),
        user=user,
        directory=place,
        source=subprocess.PIPE,
        output=subprocess.PIPE,
    )
    said = child.communicate(statements.encode())[0].decode(errors="replace").strip()
    if child.returncode != 0:
        raise LocalError(f"{Path(command[0]).name} failed ({child.returncode}): {said}")
    return said
