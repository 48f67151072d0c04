import signal
import subprocess
import sys
import urllib.request

import pytest

from deploy.local import orphans, platforms
from deploy.local.stack import CHECKOUT
from tests.deploy.local_helpers import alive, command
from tests.waiting import until

PROCFILE = f"""
release: echo $DATABASE_URL > $STRATA_DATA_DIR/released
web: {sys.executable} -m http.server --bind $HOST --directory $STRATA_DATA_DIR $PORT
worker: sh -c 'echo "$$ $STRATA_WORKER_PORT $REDIS_URL"; sleep 600 & wait'
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "Procfile").write_text(PROCFILE)
    return ["--data-dir", tmp_path / "data", "--procfile", tmp_path / "Procfile"]


def read_until(child, text):
    lines = []
    for line in child.stdout:
        lines.append(line)
        if text in line:
            return "".join(lines)
    raise AssertionError("".join(lines))


def test_run_serves_until_ctrl_c_and_can_be_repeated(files):
    for _ in range(2):
        with command("run", *files) as child:
            url = read_until(child, "reference: ").rpartition("Strata")[2].split()[0]
            assert urllib.request.urlopen(f"{url}/released").read().startswith(b"postgresql://strata:")

            child.send_signal(signal.SIGINT)
            rest = child.stdout.read()

        assert rest.endswith("stopped\n")
        assert child.returncode == 0


def test_run_tells_key_login_and_data(files):
    with command("run", *files) as child:
        read_until(child, "reference: ")
        told = read_until(child, "  Data ")
        child.terminate()
        child.wait()

    data = files[1]
    for text in (data / "bootstrap.key", data / "flower.login"):
        assert text.read_text().strip() in told
    assert str(data) in told


def test_run_says_that_it_uses_the_demo_model(files):
    with command("run", *files, OPENAI_API_KEY="") as child:
        read_until(child, "using the demo model")
        child.terminate()


def test_run_ends_when_its_release_fails(files, tmp_path):
    (tmp_path / "Procfile").write_text("release: exit 3\nweb: sleep 600\n")

    with command("run", *files) as child:
        said = child.stdout.read()

    assert "release failed (exit 3)" in said
    assert child.returncode == 1


def test_run_leaves_nothing_when_it_is_killed(files):
    with command("run", *files) as child:
        web = int(read_until(child, "started web").rpartition("pid ")[2].rstrip(")\n"))
        postgres = int((files[1] / "postgres/postmaster.pid").read_text().split()[0])
        redis = orphans.pids(platforms.redis(), files[1] / "redis")
        pids = [web, postgres, *redis]
        child.kill()
        child.wait()

    until(lambda: not any(alive(pid) for pid in pids))


def test_worker_joins_the_stack_and_ends_with_it(files):
    with command("run", *files) as stack:
        of_the_stack = worker_line(stack)
        with command("worker", *files) as worker:
            own = worker_line(worker)

            stack.terminate()
            stack.communicate()
            worker.communicate(timeout=20)

    assert own[2] == of_the_stack[2]
    assert worker.returncode == 0


def test_worker_without_a_stack_says_so(files):
    with command("worker", *files) as child:
        assert "no stack runs on" in child.stdout.read()

    assert child.returncode == 1


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)])
def test_servers_hands_on_the_exit_code(script, code):
    with command("servers", "--", "sh", "-c", script) as child:
        child.communicate()

    assert child.returncode == code


def test_servers_gives_urls_and_leaves_no_files(tmp_path):
    with command("servers", "--", "sh", "-c", 'echo "$DATABASE_URL $REDIS_URL"', TMPDIR=str(tmp_path)) as child:
        said = child.communicate()[0].split()

    assert [url.partition(":")[0] for url in said] == ["postgresql", "redis"]
    assert list(tmp_path.iterdir()) == []


def test_servers_asks_its_command_to_end():
    with command("servers", "--", "sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.1; done") as child:
        read_until(child, "up")
        child.terminate()
        child.communicate()

    assert child.returncode == 5


def test_help_names_every_command():
    said = subprocess.run(
        [sys.executable, "-m", "deploy.local", "--help"],
        cwd=CHECKOUT,
        text=True,
        capture_output=True,
        check=True,
    ).stdout

    assert all(name in said for name in ("run", "worker", "servers"))


def worker_line(child):
    line = read_until(child, "redis://").splitlines()[-1]
    return line.partition("| ")[2].split()
