"""The bad network is as bad as it says, and no worse."""

import time

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.chaos.proxy import in_front_of


@pytest.fixture
def proxied(servers):
    """The proxy before Redis, and its URL."""
    with in_front_of(servers["REDIS_URL"]) as found:
        yield found


def connect(url):
    return redis.Redis.from_url(url, socket_timeout=0.5, retry=Retry(NoBackoff(), 0))


def test_what_is_sent_arrives(proxied):
    proxy, url = proxied

    with connect(url) as client:
        assert client.echo("x" * 1_000_000) == b"x" * 1_000_000
        assert proxy.links == 1


def test_a_delay_holds_up_both_ways(proxied):
    proxy, url = proxied
    with connect(url) as client:
        client.ping()
        proxy.delay(0.1)
        started = time.monotonic()

        client.ping()

    assert time.monotonic() - started >= 0.2


def test_a_silent_connection_stays_open_and_silent_after_the_heal(proxied):
    proxy, url = proxied
    with connect(url) as old, connect(url) as new:
        old.ping()
        proxy.silence()
        proxy.heal()

        with pytest.raises(redis.TimeoutError):
            old.ping()
        assert new.ping()


@pytest.mark.parametrize("spoil", [lambda proxy: proxy.reset(), lambda proxy: proxy.cut_after(3)])
def test_a_broken_network_is_whole_again_after_the_heal(proxied, spoil):
    proxy, url = proxied
    with connect(url) as client:
        client.ping()
        spoil(proxy)
        with pytest.raises(redis.ConnectionError):
            client.ping()

        proxy.heal()

        assert client.ping()


def test_a_server_that_is_away_is_away_behind_the_proxy_too():
    with in_front_of("redis://127.0.0.1:1") as (_, url), connect(url) as client, pytest.raises(redis.ConnectionError):
        client.ping()
