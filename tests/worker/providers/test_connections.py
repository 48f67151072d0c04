"""Connections that are kept: so many of them, and none once their keeper is closed."""

import socket

import pytest

from worker.calls import Call
from worker.providers import connections
from worker.providers.connections import Connections


@pytest.fixture
def origin():
    with socket.create_server(("127.0.0.1", 0), backlog=10) as server:
        yield ("http", *server.getsockname())


@pytest.fixture
def kept(origin):
    """A keeper of connections, and two that are open."""
    keeper = Connections()
    opened = [keeper.connect(origin, Call(), seconds=5.0) for _ in range(2)]
    yield keeper, *opened
    for each in opened:
        each.close()


def test_a_kept_connection_is_the_next_ones(origin, kept):
    keeper, one, other = kept
    keeper.keep(origin, one)

    assert keeper.connect(origin, Call(), seconds=5.0) is one
    assert other.sock is not None


def test_more_than_are_kept_are_closed(origin, kept, monkeypatch):
    monkeypatch.setattr(connections, "KEPT", 1)
    keeper, one, other = kept

    keeper.keep(origin, one)
    keeper.keep(origin, other)

    assert one.sock is not None
    assert other.sock is None


def test_nothing_is_kept_once_the_keeper_is_closed(origin, kept):
    keeper, one, other = kept
    keeper.keep(origin, one)

    keeper.close()
    keeper.keep(origin, other)

    assert one.sock is None
    assert other.sock is None
