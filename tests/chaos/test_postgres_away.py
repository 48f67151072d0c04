"""Postgres cannot be reached, and no route of any wire takes that for a fault of its own."""

from dataclasses import replace

import pytest

from tests.chaos.proxy import in_front_of

IDS = {"execution": "123e4567-e89b-42d3-a456-426614174000", "version": "latest"}


@pytest.fixture
def proxy(servers):
    with in_front_of(servers["DATABASE_URL"]) as (proxy, url):
        proxy.url = url
        yield proxy


@pytest.fixture
def settings(settings, proxy):
    """Settings with the proxy before Postgres."""
    return replace(settings, database_url=proxy.url)


def requests(app):
    """Every method of every route, with something in each place."""
    for rule in app.url_map.iter_rules():
        values = {name: IDS.get(name, "1") for name in rule.arguments}
        with app.test_request_context():
            path = app.url_map.bind("").build(rule.endpoint, values)
        yield from ((method, path) for method in rule.methods - {"HEAD", "OPTIONS"})


def test_every_route_answers_without_postgres(app, client, proxy):
    proxy.reset()

    answers = {request: client.open(request[1], method=request[0], json={}) for request in requests(app)}

    proxy.heal()
    broken = {request: answer.status for request, answer in answers.items() if answer.status_code == 500}
    assert not broken
    refused = [answer for answer in answers.values() if answer.status_code == 503]
    assert len(refused) > len(answers) / 2
    assert all(answer.headers.get("Retry-After") for answer in refused)
