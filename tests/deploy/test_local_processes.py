import io
import os
import signal
import threading
from pathlib import Path

import pytest

from deploy.local import processes, procfile
from deploy.local.errors import LocalError
from deploy.local.interrupts import Interrupts
from deploy.local.output import Output
from deploy.local.processes import Supervisor
from tests.deploy.local_helpers import CHECKOUT, alive, python
from tests.waiting import until

SUPERVISE = """
import os, signal, sys
from pathlib import Path
from deploy.local.output import Output
from deploy.local.processes import Supervisor
supervisor = Supervisor(
    {"one": "sleep 60"}, environment=dict(os.environ), directory=Path("/"),
    output=Output(sys.stderr, ["one"]), grace_seconds=5,
)
supervisor.look()
print(supervisor.pids()["one"], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def screen():
    return io.StringIO()


@pytest.fixture
def supervise(screen):
    made = []

    def supervise(grace_seconds=10.0, **commands):
        made.append(
            Supervisor(
                commands,
                environment=dict(os.environ),
                directory=CHECKOUT,
                output=Output(screen, list(commands)),
                grace_seconds=grace_seconds,
            )
        )
        return made[0]

    yield supervise
    for supervisor in made:
        supervisor.stop()


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("web: gunicorn api.wsgi:app\n", {"web": "gunicorn api.wsgi:app"}),
        ("# all\n\nweb:  a: b \nworker: c\n", {"web": "a: b", "worker": "c"}),
        ("", {}),
    ],
)
def test_a_procfile_names_commands(tmp_path, text, commands):
    (tmp_path / "Procfile").write_text(text)

    assert procfile.read(tmp_path / "Procfile") == commands


@pytest.mark.parametrize("text", ["web gunicorn", "web:", ": gunicorn", "w b: gunicorn"])
def test_a_senseless_line_is_named(tmp_path, text):
    (tmp_path / "Procfile").write_text(f"\n{text}\n")

    with pytest.raises(LocalError, match="line 2"):
        procfile.read(tmp_path / "Procfile")


def test_lines_carry_the_name_of_their_process(supervise, screen):
    supervisor = supervise(web="echo hello", worker="echo there")

    supervisor.look()

    until(lambda: "web    | hello\n" in screen.getvalue() and "worker | there\n" in screen.getvalue())
    assert "\x1b" not in screen.getvalue()


@pytest.mark.parametrize(("variable", "coloured"), [("", True), ("1", False)])
def test_a_terminal_gets_colours_unless_it_wants_none(monkeypatch, variable, coloured):
    monkeypatch.setenv("NO_COLOR", variable)
    terminal = Terminal()

    Output(terminal, ["web"]).follow("web", io.BytesIO(b"hello\n")).join()

    assert ("\x1b[36mweb |\x1b[0m hello" in terminal.getvalue()) == coloured


def test_the_pid_is_the_commands_own(supervise, screen):
    supervisor = supervise(web="sleep 60")

    supervisor.look()

    pid = supervisor.pids()["web"]
    assert f"started web (pid {pid})\n" in screen.getvalue()
    until(lambda: Path(f"/proc/{pid}/cmdline").read_text() == "sleep\x0060\x00")


def test_a_process_that_dies_is_started_again(supervise, screen):
    supervisor = supervise(web="sleep 60")
    supervisor.look()
    first = supervisor.pids()["web"]

    os.kill(first, signal.SIGKILL)

    until(lambda: supervisor.look() or supervisor.pids().get("web", first) != first)
    assert "web died (exit -9), starting it again\n" in screen.getvalue()


def test_what_a_dead_process_has_started_goes_with_it(supervise, screen):
    supervisor = supervise(web="sh -c 'sleep 60 & echo $!; wait'")
    supervisor.look()
    until(lambda: "web | " in screen.getvalue())
    grandchild = int(screen.getvalue().partition("web | ")[2])

    os.kill(supervisor.pids()["web"], signal.SIGKILL)

    until(lambda: supervisor.look() or not alive(grandchild))


def test_a_process_that_keeps_dying_waits_longer_each_time_up_to_a_limit(supervise, monkeypatch):
    supervisor = supervise(web="true")
    monkeypatch.setattr(processes.time, "monotonic", lambda: clock)
    clock, waits = 1000.0, []

    for _ in range(7):
        supervisor.look()
        until_dead(supervisor, "web")
        waits.append(supervisor.processes["web"].due_at - clock)
        clock += waits[-1]

    assert waits == [0.5, 1, 2, 4, 8, 10, 10]


def test_a_process_that_lived_long_is_started_again_soon(supervise, monkeypatch):
    supervisor = supervise(web="true")
    monkeypatch.setattr(processes.time, "monotonic", lambda: clock)
    clock = 1000.0
    supervisor.processes["web"].delay = 8.0
    supervisor.look()

    clock += 30
    until_dead(supervisor, "web")

    assert supervisor.processes["web"].due_at == clock + 0.5


def test_a_stop_asks_first(supervise, screen):
    supervisor = supervise(web="sh -c 'trap \"echo bye; exit\" TERM; echo up; while :; do sleep 0.1; done'")
    supervisor.look()
    until(lambda: "web | up" in screen.getvalue())

    supervisor.stop()

    assert "web | bye" in screen.getvalue()


def test_a_stop_kills_what_does_not_end_in_its_grace(supervise, screen):
    supervisor = supervise(grace_seconds=0.1, web="sh -c 'trap \"\" TERM; echo up; sleep 60 & wait; sleep 60'")
    supervisor.look()
    until(lambda: "web | up" in screen.getvalue())
    pid = supervisor.pids()["web"]

    supervisor.stop()

    assert not alive(pid)
    assert supervisor.pids() == {}


def test_a_second_interrupt_kills_at_once(supervise, screen):
    supervisor = supervise(
        grace_seconds=600, web="sh -c 'trap \"echo asked\" TERM; echo up; while :; do sleep 0.1; done'"
    )
    supervisor.look()
    until(lambda: "web | up" in screen.getvalue())
    interrupts = Interrupts()

    stopping = threading.Thread(target=supervisor.stop, args=(interrupts,))
    stopping.start()
    until(lambda: "web | asked" in screen.getvalue())
    interrupts.count += 1

    stopping.join(timeout=10)
    assert not stopping.is_alive()


def test_processes_end_with_a_supervisor_that_is_killed():
    said = python(f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {SUPERVISE!r}], stderr=-3)")

    until(lambda: not alive(int(said)))


def test_a_release_runs_to_its_end_first(screen):
    release("echo first && echo second", screen)

    assert screen.getvalue() == "release | first\nrelease | second\n"


def test_a_release_that_fails_stops_everything(screen):
    with pytest.raises(LocalError, match="release failed \\(exit 3\\)"):
        release("exit 3", screen)


def release(command, screen):
    output = Output(screen, ["release"])
    processes.release(command, environment=dict(os.environ), directory=CHECKOUT, output=output, interrupts=Interrupts())


def until_dead(supervisor, name):
    # Not `until`, whose clock may be stopped here.
    while name in supervisor.pids():
        supervisor.look()
