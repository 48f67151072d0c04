import base64
import os
import signal
import socket
import stat

import pytest

from deploy.local import ports
from deploy.local import stack as stacks
from deploy.local.errors import LocalError
from deploy.local.stack import Stack

# Nothing needs starting for these.
GIVEN = {
    "DATABASE_URL": "postgresql://there/strata",
    "REDIS_URL": "redis://there:6379/0",
    "OPENAI_API_KEY": "a'key",
    "PATH": "/usr/bin",
}
MADE = ["STRATA_BOOTSTRAP_KEY", "STRATA_SECRET_KEYS", "FLOWER_BASIC_AUTH"]


def test_what_the_environment_names_is_not_started(tmp_path):
    with Stack(tmp_path, GIVEN) as stack:
        assert {name: stack.environment[name] for name in ("DATABASE_URL", "REDIS_URL")} == {
            name: GIVEN[name] for name in ("DATABASE_URL", "REDIS_URL")
        }

    assert not (tmp_path / "postgres").exists()
    assert not (tmp_path / "redis").exists()


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ({}, True),
        ({"OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""}, True),
        ({"OPENAI_API_KEY": "k"}, False),
        ({"OPENAI_BASE_URL": "http://there/v1"}, False),
    ],
)
def test_the_demo_model_is_for_who_names_no_other(tmp_path, given, used):
    assert Stack(tmp_path, given).uses_demo_model == used


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ({}, stacks.LOOPBACK),
        ({"HOST": "0.0.0.0"}, None),
        ({"STRATA_ALLOWED_NETWORKS": ""}, ""),
        ({"STRATA_ALLOWED_NETWORKS": "10.0.0.0/8"}, "10.0.0.0/8"),
    ],
)
def test_this_machine_may_be_reached_by_who_is_on_it(tmp_path, given, allowed):
    with Stack(tmp_path, GIVEN | given) as stack:
        assert stack.environment.get("STRATA_ALLOWED_NETWORKS") == allowed


def test_secrets_are_made_once(tmp_path):
    with Stack(tmp_path, GIVEN) as stack:
        first = {name: stack.environment[name] for name in MADE}

    with Stack(tmp_path, GIVEN) as stack:
        assert {name: stack.environment[name] for name in MADE} == first


def test_secrets_have_the_shape_that_the_processes_expect(tmp_path):
    with Stack(tmp_path, GIVEN) as stack:
        assert len(stack.environment["STRATA_BOOTSTRAP_KEY"]) >= 24
        assert len(base64.urlsafe_b64decode(stack.environment["STRATA_SECRET_KEYS"])) == 32
        assert stack.environment["FLOWER_BASIC_AUTH"].startswith("admin:")


def test_given_secrets_are_taken_and_not_kept(tmp_path):
    with Stack(tmp_path, GIVEN | {name: f"given {name}" for name in MADE}) as stack:
        assert {name: stack.environment[name] for name in MADE} == {name: f"given {name}" for name in MADE}

        assert {path.name for path in tmp_path.iterdir()} == {"stack.lock", "stack.env"}


def test_every_file_with_a_secret_is_readable_by_its_owner_alone(tmp_path):
    with Stack(tmp_path, GIVEN):
        assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_a_taken_port_is_passed_over(taken):
    assert ports.choose("PORT", None, host="127.0.0.1", first=taken) > taken


@pytest.mark.parametrize("name", ["PORT", "FLOWER_PORT", "STRATA_WORKER_PORT"])
def test_a_taken_port_that_was_asked_for_is_refused(tmp_path, taken, name):
    with pytest.raises(LocalError, match=f"port {taken} of 127.0.0.1 is taken: set {name}"):
        Stack(tmp_path, GIVEN | {name: str(taken)}).start()


def test_a_directory_has_one_stack_at_a_time(tmp_path):
    with Stack(tmp_path, GIVEN), pytest.raises(LocalError, match=f"in use by process {os.getpid()}"):
        Stack(tmp_path, GIVEN).start()


def test_one_more_process_finds_the_running_stack(tmp_path):
    with Stack(tmp_path, GIVEN | {"STRATA_LEASE_SECONDS": "5"}) as stack:
        found = stacks.running_environment(tmp_path, {"PATH": "/usr/bin", "EDITOR": "ed"})

        assert found == {**stack.environment, "EDITOR": "ed"}


def test_a_stopped_stack_is_not_found(tmp_path):
    with Stack(tmp_path, GIVEN):
        pass

    with pytest.raises(LocalError, match="no stack runs on"):
        stacks.running_environment(tmp_path, {})


def test_a_crashed_stack_is_not_found(tmp_path):
    (tmp_path / "stack.lock").touch()
    (tmp_path / "stack.env").write_text("PORT=8000\n")

    with pytest.raises(LocalError, match="no stack runs on"):
        stacks.running_environment(tmp_path, {})


def test_a_server_that_dies_is_started_again_where_it_was(tmp_path):
    said = []
    given = {name: value for name, value in GIVEN.items() if name != "REDIS_URL"}
    with Stack(tmp_path, given) as stack:
        redis = stack._servers["Redis"][0]
        first = redis.child
        os.kill(first.pid, signal.SIGKILL)
        first.wait()

        stack.revive(said.append)

        assert said == ["Redis died (exit -9), starting it again"]
        assert redis.child.poll() is None
        assert redis.url == stack.environment["REDIS_URL"]


@pytest.fixture
def taken():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]
