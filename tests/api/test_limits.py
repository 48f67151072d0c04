"""Limits on the way in: how much may wait, and how much may start in a minute."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from api.admission import Admission
from api.rates import Rates
from shared import db, keys, organizations
from shared.errors import TooMany
from shared.keys import Caller, Limits
from tests import factories
from tests.api.definitions import REVIEW

START = "/v2/pipelines/pipeline/versions/latest/executions"
BODY = {"inputs": {"film": "Avatar"}}


@pytest.fixture
def start(client, publish):
    publish(REVIEW)
    return lambda: client.post(START, json=BODY)


def limit_key(organization, key, **limits):
    with db.transaction() as connection:
        keys.limit(connection, organization, key[:12], **limits)


def rows():
    return factories.query("SELECT count(*) AS n FROM executions")[0].n


def test_no_more_is_accepted_than_may_wait(start):
    factories.limit(max_queued=3)

    statuses = [start().status_code for _ in range(5)]

    assert (statuses, rows()) == ([202, 202, 202, 429, 429], 3)


def test_a_refusal_says_when_to_come_again(start):
    factories.limit(max_queued=0)

    answer = start()

    assert (answer.status_code, answer.content_type) == (429, "application/problem+json")
    assert int(answer.headers["Retry-After"]) >= 1


def test_what_has_been_taken_up_makes_room(start, worker):
    factories.limit(max_queued=1)
    start()
    worker.work()

    # A count that said full is used for a moment.
    until = time.monotonic() + 10
    while (status := start().status_code) == 429:
        assert time.monotonic() < until
    assert status == 202


def test_what_waits_counts_as_what_is_queued(start, client):
    factories.limit(max_queued=1)
    client.post(START, json={**BODY, "not_before": "2100-01-01T00:00:00Z"})

    assert start().status_code == 429


def test_a_key_has_limits_of_its_own(app, start, organization, make_key):
    key = make_key(organization, "execute")
    limit_key(organization, key, max_queued=1)

    def post():
        return app.test_client().post(START, json=BODY, headers={"Authorization": f"Bearer {key}"})

    assert [post().status_code, post().status_code, start().status_code] == [202, 429, 202]


def test_starts_at_once_keep_to_what_may_wait(app, start, client):
    factories.limit(max_queued=5)
    authorization = client.environ_base["HTTP_AUTHORIZATION"]

    def post(_):
        headers = {"Authorization": authorization}
        return app.test_client().post(START, json=BODY, headers=headers).status_code

    with ThreadPoolExecutor(20) as pool:
        statuses = sorted(pool.map(post, range(20)))

    assert (statuses, rows()) == ([202] * 5 + [429] * 15, 5)


def test_no_more_starts_in_a_minute_than_may(start):
    factories.limit(per_minute=3)

    answers = [start() for _ in range(5)]

    assert [each.status_code for each in answers] == [202, 202, 202, 429, 429]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 20


def test_the_key_s_rate_and_the_organization_s_both_hold(app, start, organization, make_key):
    factories.limit(per_minute=3)
    key = make_key(organization, "execute")
    limit_key(organization, key, per_minute=1)

    def post():
        return app.test_client().post(START, json=BODY, headers={"Authorization": f"Bearer {key}"}).status_code

    assert [post(), post(), start().status_code, start().status_code, start().status_code] == [202, 429, 202, 202, 429]


def test_another_organization_is_not_held_back(app, start, make_key):
    factories.limit(per_minute=0, max_queued=0)
    with db.transaction() as connection:
        other = organizations.create(connection, "other")
    answer = app.test_client().post(START, json=BODY, headers={"Authorization": f"Bearer {make_key(other)}"})

    # It has no such pipeline, and was let through to be told so.
    assert (start().status_code, answer.status_code) == (429, 404)


def test_a_bucket_fills_again_evenly(settings):
    rates = Rates(settings.redis_url)

    taken = [rates.take({"evenly": 6000}) for _ in range(6100)]

    # A hundred a second come back, and a start a hundredth later is let in.
    assert taken.count(0) >= 6000
    assert max(taken) <= 1
    rates.close()


def test_everything_passes_while_redis_is_away():
    rates = Rates("redis://127.0.0.1:1/0")

    assert [rates.take({"away": 1}) for _ in range(3)] == [0, 0, 0]
    rates.close()


def test_the_settings_hold_where_an_organization_has_no_limit(app, settings, database, organization):
    admission = Admission(replace(settings, max_queued=0, per_minute=2))
    own = Caller(organization + 1, 2, frozenset(), Limits(per_minute=1))
    with app.app_context():
        for _ in range(2):
            admission.check(Caller(organization, 1, frozenset()))
        with pytest.raises(TooMany):
            admission.check(Caller(organization, 1, frozenset()))
        admission.check(own)
        with pytest.raises(TooMany):
            admission.check(own)
    admission.close()


def test_discuro_s_wire_says_it_in_its_own_shape(client, publish):
    version = publish(REVIEW)
    factories.limit(per_minute=0)

    answer = client.post(
        "/v1/orchestrators/execute",
        json={"orchestrator_uuid": str(version.pipeline_uuid), "inputs": [{"name": "film", "value": "Avatar"}]},
    )

    assert (answer.status_code, set(answer.json)) == (429, {"error", "meta_data"})
    assert answer.headers["Retry-After"] == "60"
