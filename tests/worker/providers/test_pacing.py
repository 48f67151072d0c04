"""The buckets that all workers share, on a real Redis, by its clock."""

import itertools
import threading
import time
from contextlib import ExitStack, contextmanager
from uuid import uuid4

import pytest
import redis

from shared.errors import Parked, Stopped
from shared.providers import Limits
from tests.worker.providers import raw_server
from worker.providers import pacing as module
from worker.providers.pacing import Pacing
from worker.providers.pacing_script import LEAD_SECONDS, SHARE_OF_LIMIT
from worker.providers.places import Asker
from worker.providers.recalls import Recalls

NOWHERE = "redis://127.0.0.1:1/0"
PER_SECOND = Limits(requests_per_minute=60)


@pytest.fixture
def make_pacing(servers):
    with ExitStack() as made:

        def make(url=servers["REDIS_URL"], **details):
            found = Pacing(url, **details)
            made.callback(found.close)
            return found

        yield make


@pytest.fixture
def pacing(make_pacing):
    return make_pacing()


@pytest.fixture
def bucket():
    return uuid4().hex


def reserve(pacing, bucket, limits=PER_SECOND, tokens=100, *, asker=None, horizon=5.0, lasting=60.0):
    return pacing.reserve(bucket, limits, tokens, asker=asker or Asker(uuid4().hex), horizon=horizon, lasting=lasting)


def reserve_all(pacing, bucket, count, **details):
    return [reserve(pacing, bucket, **details) for _ in range(count)]


def answered(pacing, reservation, tokens, seconds=1.0):
    pacing.settle(reservation, tokens, seconds=seconds)


@contextmanager
def no_wait(seconds):
    yield


def test_calls_are_sent_at_the_even_pace_of_their_limit(pacing, bucket):
    waits = [each.wait for each in reserve_all(pacing, bucket, 4)]

    gaps = [after - before for before, after in itertools.pairwise(waits[1:])]
    assert waits[0] == 0
    assert gaps == pytest.approx([1 / SHARE_OF_LIMIT] * 2, abs=0.1)


def test_two_workers_share_one_pace(make_pacing, bucket):
    one, other = make_pacing(), make_pacing()

    waits = [reserve(each, bucket).wait for each in (one, other, one, other)]

    assert waits == sorted(waits)
    assert waits[3] == pytest.approx(3 / SHARE_OF_LIMIT, abs=0.3)


def test_tokens_are_paced_beside_requests_and_the_stricter_holds(pacing, bucket):
    limits = Limits(requests_per_minute=6000, tokens_per_minute=6000)

    waits = [each.wait for each in reserve_all(pacing, bucket, 3, limits=limits, tokens=200)]

    assert waits[2] == pytest.approx(2 * 2 / SHARE_OF_LIMIT, abs=0.3)


def test_what_was_not_used_is_given_to_the_next(pacing, bucket):
    limits = Limits(tokens_per_minute=6000)
    first = reserve(pacing, bucket, limits=limits, tokens=400)
    answered(pacing, first, 100)

    assert reserve(pacing, bucket, limits=limits, tokens=400).wait == pytest.approx(1.0, abs=0.3)


def test_what_calls_use_of_their_estimates_is_what_is_reserved_for_the_next(pacing, bucket):
    limits = Limits(tokens_per_minute=60_000)
    for _ in range(5):
        answered(pacing, reserve(pacing, bucket, limits=limits, tokens=1000), 100)

    assert reserve(pacing, bucket, limits=limits, tokens=2000).reserved == pytest.approx(200)


def test_a_long_wait_reserves_nothing_and_says_when_to_come(pacing, bucket):
    reserve_all(pacing, bucket, 10)

    parked = reserve_all(pacing, bucket, 3)

    assert [each.step for each in parked] == ["parked"] * 3
    assert parked[2].wait - parked[1].wait == pytest.approx(1 / SHARE_OF_LIMIT, abs=0.1)


def test_who_was_told_to_come_goes_before_those_who_come_new(pacing, bucket):
    reserve_all(pacing, bucket, 6)
    asker = Asker(uuid4().hex)
    parked = reserve(pacing, bucket, asker=asker)
    threading.Event().wait(parked.wait)

    stranger, returned = reserve(pacing, bucket), reserve(pacing, bucket, asker=asker)

    assert (stranger.step, returned.step) == ("parked", "granted")
    assert 0 < returned.wait < LEAD_SECONDS + 0.5


def test_an_execution_stands_in_line_once_however_many_of_its_calls_wait(pacing, bucket):
    reserve_all(pacing, bucket, 6)
    asker = Asker(uuid4().hex)
    first = reserve_all(pacing, bucket, 5, asker=asker)[-1]

    following = reserve(pacing, bucket)

    assert following.wait - first.wait == pytest.approx(1 / SHARE_OF_LIMIT, abs=0.2)


def test_a_tenant_that_floods_waits_behind_itself(pacing, bucket):
    flood = [reserve(pacing, bucket, asker=Asker(uuid4().hex, "one")) for _ in range(40)][-1]

    come_new = [reserve(pacing, bucket, asker=Asker(uuid4().hex, "other")) for _ in range(3)]

    assert flood.wait > 30
    assert [each.wait for each in come_new] == pytest.approx([4, 6, 8], abs=2.5)


def test_nobody_is_told_to_come_in_more_than_ten_minutes(pacing, bucket):
    limits = Limits(requests_per_minute=1)

    waits = [each.wait for each in reserve_all(pacing, bucket, 40, limits=limits)]

    assert max(waits) <= 600
    assert min(waits[15:]) >= 300


def test_those_in_line_are_called_when_the_bucket_would_run_dry(make_pacing, bucket):
    called, enough = [], threading.Event()

    def recall(uuids):
        called.extend(uuids)
        enough.set()
        return uuids

    pacing, limits = make_pacing(recall=recall), Limits(tokens_per_minute=6000)
    sent = reserve(pacing, bucket, limits=limits, tokens=400)
    askers = [Asker(uuid4().hex) for _ in range(3)]
    for asker in askers:
        assert reserve(pacing, bucket, limits=limits, tokens=400, asker=asker, horizon=1.0).step == "parked"
    answered(pacing, sent, 10)

    assert enough.wait(5)
    assert called == [askers[0].id]


def test_who_is_called_on_the_way_to_its_parking_is_called_again(eventually):
    parked, called = set(), []

    def recall(uuids):
        called.append(uuids)
        return parked & set(uuids)

    recalls = Recalls(recall)
    recalls.call(["one"])
    eventually(lambda: called == [["one"]])
    parked.add("one")
    eventually(lambda: called == [["one"]] * 2)
    recalls.call(["other"])
    eventually(lambda: called[2:3] == [["other"]])
    recalls.close()


def test_no_more_calls_are_in_flight_than_may_be(pacing, bucket):
    limits = Limits(in_flight=2)
    first, second, third = reserve_all(pacing, bucket, 3, limits=limits)
    answered(pacing, first, None)

    assert [each.step for each in (first, second, third)] == ["granted", "granted", "again"]
    # The place that is free again is the third one's.
    assert reserve(pacing, bucket, limits=limits).step == "again"


def test_a_place_that_is_free_is_taken_by_who_waits_for_it(pacing, bucket):
    limits, asker = Limits(in_flight=1), Asker(uuid4().hex)
    first = reserve(pacing, bucket, limits=limits)
    assert reserve(pacing, bucket, limits=limits, asker=asker).step == "again"
    answered(pacing, first, None)

    assert reserve(pacing, bucket, limits=limits, asker=asker).step == "granted"


def test_the_place_of_a_worker_that_died_comes_back(pacing, bucket, monkeypatch):
    monkeypatch.setattr(module, "_GRACE_SECONDS", 0.0)
    limits, asker = Limits(in_flight=1), Asker(uuid4().hex)
    reserve(pacing, bucket, limits=limits, lasting=0.2)
    threading.Event().wait(0.3)

    assert reserve(pacing, bucket, limits=limits, asker=asker).step == "granted"


def test_a_pause_holds_for_every_worker_that_asks(make_pacing, bucket):
    one, other = make_pacing(), make_pacing()
    one.pause(bucket, 3.0)

    assert reserve(other, bucket).wait == pytest.approx(3.0, abs=0.3)
    assert reserve(one, bucket, horizon=1.0).step == "parked"


def test_a_pause_holds_without_any_limit_too(pacing, bucket):
    pacing.pause(bucket, 3.0)

    assert reserve(pacing, bucket, limits=Limits()).wait == pytest.approx(3.0, abs=0.3)


def test_a_rate_that_is_cut_is_slower_once_for_refusals_that_come_together(pacing, bucket):
    for _ in range(3):
        pacing.slow(bucket)

    waits = [each.wait for each in reserve_all(pacing, bucket, 3, limits=Limits(requests_per_minute=60))]

    assert waits[2] - waits[1] == pytest.approx(1 / SHARE_OF_LIMIT / 0.7, abs=0.1)


def test_limits_are_learned_from_an_answer_where_none_are_known(pacing, bucket):
    pacing.learn(bucket, {"x-ratelimit-limit-requests": "30", "x-ratelimit-limit-tokens": "-1"})

    waits = [each.wait for each in reserve_all(pacing, bucket, 2, limits=Limits())]

    assert waits[1] == pytest.approx(2 / SHARE_OF_LIMIT, abs=0.2)


def test_what_is_configured_is_not_learned(pacing, bucket):
    pacing.learn(bucket, {"x-ratelimit-limit-requests": "1"})

    assert reserve_all(pacing, bucket, 2)[1].wait < 1.2


def test_without_a_limit_redis_is_not_asked(make_pacing, bucket):
    pacing = make_pacing(NOWHERE)

    with pacing.place(bucket, Limits(), 100, asker=Asker("one"), seconds=5, rest=no_wait):
        pass

    assert pacing._away_until == 0


def test_without_redis_each_worker_keeps_to_its_share(make_pacing, bucket):
    pacing = make_pacing(NOWHERE, share=lambda: 0.5)

    waits = [each.wait for each in reserve_all(pacing, bucket, 3)]

    assert waits == pytest.approx([0, 2 / SHARE_OF_LIMIT, 4 / SHARE_OF_LIMIT], abs=0.1)
    assert reserve(pacing, bucket).step == "parked"


def test_without_redis_a_share_of_a_place_is_one(make_pacing, bucket):
    pacing, limits = make_pacing(NOWHERE, share=lambda: 0.25), Limits(in_flight=2)
    first, second = reserve_all(pacing, bucket, 2, limits=limits)
    answered(pacing, first, None)

    assert (first.step, second.step) == ("granted", "again")
    assert reserve(pacing, bucket, limits=limits).step == "granted"


def test_a_redis_that_does_not_answer_costs_a_moment_once(make_pacing, bucket):
    with raw_server.serving(lambda connection: connection.recv(1) and threading.Event().wait(5)) as url:
        pacing = make_pacing(url.replace("http", "redis").removesuffix("/v1"))
        started = time.monotonic()

        reserve_all(pacing, bucket, 5)

        assert module.TIMEOUT_SECONDS <= time.monotonic() - started < module.TIMEOUT_SECONDS + 0.5


def test_after_redis_was_emptied_calls_go_on(pacing, bucket, servers):
    reserve_all(pacing, bucket, 10)
    for key in redis.Redis.from_url(servers["REDIS_URL"]).scan_iter(f"*{bucket}*"):
        redis.Redis.from_url(servers["REDIS_URL"]).delete(key)

    assert reserve(pacing, bucket).step == "granted"


def test_a_call_is_parked_where_its_wait_is_longer_than_its_time(pacing, bucket):
    reserve_all(pacing, bucket, 3)

    with pytest.raises(Parked), pacing.place(bucket, PER_SECOND, 1, asker=Asker("one"), seconds=1.0, rest=no_wait):
        pass


def test_a_run_that_stops_while_it_waits_gives_its_place_back(pacing, bucket):
    def stop(seconds):
        raise Stopped("cancelled")

    reserve_all(pacing, bucket, 3)
    before = reserve(pacing, bucket).wait

    with pytest.raises(Stopped), pacing.place(bucket, PER_SECOND, 1, asker=Asker("one"), seconds=30, rest=stop):
        pass

    assert reserve(pacing, bucket).wait == pytest.approx(before + 1 / SHARE_OF_LIMIT, abs=0.2)


def test_a_place_is_waited_for_and_settled_with_what_was_used(pacing, bucket):
    limits, slept = Limits(tokens_per_minute=6000), []
    reserve(pacing, bucket, limits=limits, tokens=200)

    with pacing.place(bucket, limits, 200, asker=Asker("one"), seconds=30, rest=slept.append) as place:
        place.used(100)

    assert slept == [pytest.approx(2 / SHARE_OF_LIMIT, abs=0.2)]
    assert reserve(pacing, bucket, limits=limits).wait == pytest.approx(3 / SHARE_OF_LIMIT, abs=0.3)
