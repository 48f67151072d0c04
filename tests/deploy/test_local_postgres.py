import os
import shutil
import signal
import stat
import sys
import tempfile
from pathlib import Path

import psycopg2
import pytest

from deploy.local import accounts, children, orphans, platforms
from deploy.local.errors import LocalError
from deploy.local.postgres import Postgres
from tests.deploy.local_helpers import alive, needs_root, python
from tests.waiting import until

START = """
import os, signal, sys
from deploy.local.postgres import Postgres
postgres = Postgres(sys.argv[1])
print(postgres.start(), postgres.child.pid, flush=True)
"""
STOP = "postgres.stop()\n"
CRASH = "os.kill(os.getpid(), signal.SIGKILL)\n"


def ask(url: str, *statements: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        rows = cursor.fetchall() if cursor.description else []
    connection.close()
    return rows


def server_pids(directory: Path) -> list[int]:
    return orphans.pids(platforms.postgres() / "postgres", directory / "postgres")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("max_connections", "500"),
        ("fsync", "on"),
        ("listen_addresses", ""),
        ("server_encoding", "UTF8"),
        ("server_version_num", "18"),
    ],
)
def test_a_server_runs_with_our_settings(shared, setting, value):
    assert ask(shared, f"SELECT current_setting('{setting}')")[0][0].startswith(value)


def test_the_role_is_no_superuser_but_may_make_databases_with_vectors(shared):
    assert ask(shared, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == [(False,)]

    ask(shared, "CREATE DATABASE another")

    another = shared.replace("@/strata?", "@/another?")
    assert ask(another, "CREATE EXTENSION IF NOT EXISTS vector", "SELECT '[1,2]'::vector::text") == [("[1,2]",)]


@pytest.mark.parametrize("url", ["postgresql://strata:wrong@/strata", "postgresql://postgres@/postgres"])
def test_nobody_enters_without_the_password(shared, url):
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(f"{url}?{shared.partition('?')[2]}")


def test_a_second_start_finds_the_data_and_the_password(tmp_path):
    with Postgres(tmp_path) as postgres:
        ask(postgres.url, "CREATE TABLE kept (number int)", "INSERT INTO kept VALUES (7)")
        first = postgres.url

    with Postgres(tmp_path) as postgres:
        assert postgres.url == first
        assert ask(postgres.url, "SELECT number FROM kept") == [(7,)]


def test_the_password_is_readable_by_its_owner_alone(tmp_path):
    with Postgres(tmp_path):
        assert stat.S_IMODE((tmp_path / "postgres.password").stat().st_mode) == 0o600


def test_a_stop_leaves_no_process(tmp_path):
    with Postgres(tmp_path):
        pids = server_pids(tmp_path)

    assert pids
    assert not any(alive(pid) for pid in pids)


def test_a_directory_has_one_server_at_a_time(tmp_path):
    with Postgres(tmp_path), pytest.raises(LocalError, match=f"in use by process {os.getpid()}"):
        Postgres(tmp_path).start()


def test_a_start_after_the_death_of_everything_finds_what_was_committed(tmp_path):
    postgres = Postgres(tmp_path)
    url = postgres.start()
    ask(url, "CREATE TABLE kept (number int)", "INSERT INTO kept VALUES (7)")

    for pid in server_pids(tmp_path):
        os.kill(pid, signal.SIGKILL)
    postgres.child.wait()

    assert postgres.start() == url
    assert ask(url, "SELECT number FROM kept") == [(7,)]
    postgres.stop()


def test_a_server_ends_with_the_process_that_started_it(tmp_path):
    said = start_and_crash(tmp_path)

    until(lambda: not alive(int(said.split()[1])))


def test_a_start_follows_a_crash_of_the_process_at_once(tmp_path):
    start_and_crash(tmp_path)

    with Postgres(tmp_path) as postgres:
        assert ask(postgres.url, "SELECT 1") == [(1,)]


def test_a_start_ends_the_server_that_a_crash_has_left(tmp_path):
    left = Postgres(tmp_path)
    left.start()
    # As if its process were gone: the kernel lets go of a lock then.
    left._lock.release()

    with Postgres(tmp_path) as postgres:
        assert left.child.wait() == 0
        assert ask(postgres.url, "SELECT 1") == [(1,)]


def test_a_start_leaves_the_process_alone_that_has_got_the_pid_of_a_dead_server(tmp_path):
    with Postgres(tmp_path):
        lines = (tmp_path / "postgres/postmaster.pid").read_text().splitlines()
    other = children.start(["sleep", "60"], death_signal=signal.SIGKILL, environment=dict(os.environ))
    text = "\n".join([str(other.pid), *lines[1:]]) + "\n"
    (tmp_path / "postgres/postmaster.pid").write_text(text)
    (tmp_path / "postgres/.s.PGSQL.5432.lock").write_text(text)

    with Postgres(tmp_path):
        assert other.poll() is None
    children.stop(other)


def test_a_long_path_gets_a_short_socket_that_is_gone_after_the_stop(tmp_path):
    directory = tmp_path / ("long" * 20)

    with Postgres(directory) as postgres:
        sockets = Path(postgres.url.partition("host=")[2])
        assert ask(postgres.url, "SELECT 1") == [(1,)]
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700

    assert not sockets.is_relative_to(directory)
    assert not sockets.exists()


def test_a_start_removes_the_socket_of_a_crash(tmp_path):
    directory = tmp_path / ("long" * 20)
    postgres = Postgres(directory)
    sockets = Path(postgres.start().partition("host=")[2])
    for pid in server_pids(directory):
        os.kill(pid, signal.SIGKILL)
    postgres.child.wait()
    postgres._lock.release()

    with Postgres(directory):
        assert not sockets.exists()


def test_half_made_data_is_made_anew(tmp_path):
    (tmp_path / "postgres.new").mkdir()
    (tmp_path / "postgres.new/PG_VERSION").write_text("18")

    with Postgres(tmp_path) as postgres:
        assert ask(postgres.url, "SELECT 1") == [(1,)]


def test_data_without_its_password_is_refused(tmp_path):
    with Postgres(tmp_path):
        (tmp_path / "postgres.password").unlink()

    with pytest.raises(LocalError, match=r"postgres\.password is gone"):
        Postgres(tmp_path).start()


@needs_root
@pytest.mark.parametrize("closed", [False, True], ids=["programs for all", "programs for root alone"])
def test_root_may_keep_programs_and_data_in_a_closed_folder(tmp_path, closed):
    place = Path(tempfile.mkdtemp(dir=tmp_path))
    package = platforms.postgres().parents[1]
    for name in (package.name, f"{package.name}.libs"):
        shutil.copytree(package.parent / name, place / "packages" / name)
    if closed:
        for path in (place / "packages").rglob("*"):
            path.chmod(path.stat().st_mode & 0o700)
    before = modes(place)
    path = f"{place / 'packages'}:{Path(__file__).parents[2]}"

    for _ in range(2):
        assert python(f"{START}{STOP}", place / "data", PYTHONPATH=path).startswith("postgresql://strata:")

    assert modes(place) == before


@needs_root
def test_a_user_other_than_root_runs_its_own_server(tmp_path):
    user = accounts.unprivileged(Path("/nowhere"))
    directory = Path(tempfile.mkdtemp(dir=tmp_path))
    accounts.give(directory, user)

    for _ in range(2):
        assert python(f"{START}{STOP}", directory, user=user).startswith("postgresql://strata:")

    assert (directory / "postgres.password").stat().st_uid == user.pw_uid


@needs_root
def test_root_takes_over_the_data_of_another_user(tmp_path):
    user = accounts.unprivileged(Path("/nowhere"))
    directory = Path(tempfile.mkdtemp(dir=tmp_path))
    accounts.give(directory, user)
    python(f"{START}{STOP}", directory, user=user)

    with Postgres(directory) as postgres:
        assert ask(postgres.url, "SELECT 1") == [(1,)]


@needs_root
@pytest.mark.parametrize("capability", ["setpcap", "dac_override"])
def test_root_without_a_capability_hears_what_to_do(tmp_path, capability):
    said = start_without(capability, Path(tempfile.mkdtemp(dir=tmp_path)))

    assert f"lacks CAP_{capability.upper()}" in said
    assert "set DATABASE_URL" in said


@needs_root
def test_root_of_a_container_may_use_closed_folders(tmp_path):
    said = start_without("dac_read_search", Path(tempfile.mkdtemp(dir=tmp_path)))

    assert said.startswith("postgresql://strata:")


@needs_root
def test_root_needs_no_capability_for_open_folders():
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)

        said = start_without("setpcap", Path(place))

    if "closed folders" in said:
        pytest.skip("the environment itself lies under a closed folder")
    assert said.startswith("postgresql://strata:")


def start_and_crash(directory: Path) -> str:
    crash = [sys.executable, "-c", f"{START}{CRASH}", str(directory)]
    return python(f"import subprocess\nsubprocess.run({crash})")


def start_without(capability: str, directory: Path) -> str:
    reduce = [
        "setpriv",
        "--bounding-set",
        f"-{capability}",
        sys.executable,
        "-c",
        f"{START}{STOP}",
        str(directory),
    ]
    return python(f"import subprocess\nsubprocess.run({reduce})")


def modes(place: Path) -> dict[Path, int]:
    kept = [path for path in place.rglob("*") if not path.is_relative_to(place / "data")]
    return {path: path.lstat().st_mode for path in [*place.parents, place, *kept]}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with Postgres(tmp_path_factory.mktemp("postgres")) as postgres:
        yield postgres.url
