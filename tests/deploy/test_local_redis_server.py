import os
import shutil
import signal
import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from deploy.local import platforms
from deploy.local.errors import LocalError
from deploy.local.redis_server import Redis
from tests.deploy.local_helpers import alive, python
from tests.waiting import until

CRASH = """
import os, signal, sys
from deploy.local.redis_server import Redis
server = Redis(sys.argv[1])
server.start()
print(server.child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_server_keeps_nothing_on_disk_and_evicts_nothing(tmp_path):
    with Redis(tmp_path) as server, redis.Redis.from_url(server.url, decode_responses=True) as client:
        settings = client.config_get("*")

    expected = {"maxmemory-policy": "noeviction", "save": "", "appendonly": "no", "bind": "127.0.0.1"}
    assert expected.items() <= settings.items()


def test_the_password_is_asked_for_and_never_on_the_command_line(tmp_path):
    with Redis(tmp_path) as server:
        retry = Retry(NoBackoff(), 0)
        with (
            redis.Redis(port=urlsplit(server.url).port, retry=retry) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()

        password = (tmp_path / "redis.password").read_text().strip()
        assert password not in Path(f"/proc/{server.child.pid}/cmdline").read_text()


@pytest.mark.parametrize("name", ["redis.password", "redis.conf"])
def test_files_with_the_password_are_readable_by_their_owner_alone(tmp_path, name):
    with Redis(tmp_path):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_a_second_start_is_empty_and_has_the_same_url(tmp_path):
    server = Redis(tmp_path)
    url = server.start()
    with redis.Redis.from_url(url) as client:
        client.set("hint", "1")
    os.kill(server.child.pid, signal.SIGKILL)
    server.child.wait()

    assert server.start() == url
    with redis.Redis.from_url(url) as client:
        assert client.dbsize() == 0
    server.stop()


def test_a_directory_has_one_server_at_a_time(tmp_path):
    with Redis(tmp_path), pytest.raises(LocalError, match=f"in use by process {os.getpid()}"):
        Redis(tmp_path).start()


def test_a_server_ends_with_the_process_that_started_it(tmp_path):
    said = python(f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {CRASH!r}, {str(tmp_path)!r}])")

    until(lambda: not alive(int(said)))


def test_a_start_ends_the_server_that_a_crash_has_left(tmp_path):
    left = Redis(tmp_path)
    left.start()
    # As if its process were gone: the kernel lets go of a lock then.
    left._lock.release()

    with Redis(tmp_path) as server:
        assert left.child.wait() == 0
        assert alive(server.child.pid)


def test_without_the_wheel_the_server_on_path_serves(tmp_path, monkeypatch):
    shutil.copy(platforms.redis(), tmp_path / "redis-server")
    monkeypatch.setattr(platforms, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))

    with Redis(tmp_path) as server:
        assert Path(f"/proc/{server.child.pid}/exe").readlink() == tmp_path / "redis-server"


@pytest.mark.parametrize(("find", "variable"), [(platforms.redis, "REDIS_URL"), (platforms.postgres, "DATABASE_URL")])
def test_a_machine_without_programs_hears_what_to_set(monkeypatch, find, variable):
    monkeypatch.setattr(platforms, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(LocalError, match=rf"promised is Linux x86-64 with Python 3.11 or 3.12.*set {variable}"):
        find()
