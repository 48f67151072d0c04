import socket
from uuid import uuid4

import pytest

from shared.errors import Stopped
from shared.executions import Claim
from worker.calls import DEADLINE, Call
from worker.running import Run, Running


def claim(number=1):
    times = {"seconds_left": 60.0, "seconds_queued": 0.0}
    return Claim(number, uuid4(), 1, 1, None, "normal", 1, deaths=0, inputs={}, pins={}, **times)


@pytest.fixture
def pair():
    """Two ends of a connection."""
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    with ours, theirs:
        yield ours, theirs


def test_a_run_goes_on_until_it_is_stopped():
    run = Run(claim())
    run.check()

    run.stop("cancelled")

    with pytest.raises(Stopped, match="cancelled"):
        run.check()


def test_the_first_cause_to_stop_stands():
    run = Run(claim())

    run.stop("deadline")
    run.stop("cancelled")

    with pytest.raises(Stopped, match="deadline"):
        run.check()


def test_a_stop_cuts_the_calls_in_flight(pair):
    run, (ours, _) = Run(claim()), pair

    with run.call() as call:
        call.attach(ours)
        run.stop("cancelled")

        assert (call.cut_by, ours.recv(1)) == ("cancelled", b"")


def test_no_call_begins_once_a_run_is_to_stop():
    run = Run(claim())
    run.stop("drain")

    with pytest.raises(Stopped), run.call():
        pass


def test_a_call_that_has_ended_is_not_cut(pair):
    run, (ours, theirs) = Run(claim()), pair
    with run.call() as call:
        call.attach(ours)

    run.stop("cancelled")
    theirs.sendall(b"x")

    assert (call.cut_by, ours.recv(1)) == (None, b"x")


def test_a_call_that_was_cut_before_it_had_a_connection_gets_none(pair):
    call = Call()
    call.cut(DEADLINE)

    call.attach(pair[0])

    assert pair[0].recv(1) == b""


def test_a_connection_that_belongs_to_somebody_else_now_is_not_cut(pair):
    call, (ours, theirs) = Call(), pair
    call.attach(ours)
    call.detach()

    call.cut(DEADLINE)
    theirs.sendall(b"x")

    assert (call.cut_by, ours.recv(1)) == (DEADLINE, b"x")


def test_the_first_cause_of_a_cut_stands():
    call = Call()

    call.cut(DEADLINE)
    call.cut("cancelled")

    assert call.cut_by == DEADLINE


def test_cutting_a_closed_connection_is_harmless(pair):
    call = Call()
    call.attach(pair[0])
    pair[0].close()

    call.cut("cancelled")


def test_a_run_is_known_while_it_is_entered():
    running, found = Running(), claim()

    with running.entered(found) as run:
        assert running.all() == {found.id: run}

    assert running.all() == {}


def test_a_run_is_forgotten_also_where_it_raises():
    running = Running()

    with pytest.raises(ValueError, match="no"), running.entered(claim()):
        raise ValueError("no")

    assert running.all() == {}


def test_a_later_attempt_of_the_same_execution_is_not_forgotten_with_the_earlier():
    running = Running()

    with running.entered(claim()) as first:
        later = running.entered(claim())
        second = later.__enter__()
        assert first is not second

    assert running.all() == {1: second}


def test_a_cancel_stops_the_execution_that_is_meant_and_no_other():
    running, meant, other = Running(), claim(1), claim(2)

    with running.entered(meant) as first, running.entered(other) as second:
        running.cancel(meant.uuid)
        running.cancel(uuid4())

    assert (first.stopping.is_set(), second.stopping.is_set()) == (True, False)


def test_all_runs_can_be_stopped():
    running = Running()

    with running.entered(claim(1)) as first, running.entered(claim(2)) as second:
        running.stop_all("drain")

    assert first.stopping.is_set()
    assert second.stopping.is_set()
