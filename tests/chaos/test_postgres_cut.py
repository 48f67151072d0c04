"""The connection is cut at the one statement that accepts, and what came of it is told rightly."""

import contextlib
import threading
from dataclasses import replace

import psycopg2
import pytest

from shared import transitions
from tests import factories
from tests.chaos import ledger
from tests.chaos.proxy import Cut, in_front_of
from tests.factories import source
from tests.waiting import until

COMMIT = b"COMMIT"
ACCEPT = transitions.ACCEPT._execute.partition(" (")[0].encode()


@pytest.fixture
def proxy(servers):
    with in_front_of(servers["DATABASE_URL"]) as (proxy, url):
        proxy.url = url
        yield proxy


@pytest.fixture
def settings(settings, proxy):
    """Settings with the proxy before Postgres."""
    return replace(settings, database_url=proxy.url)


@pytest.fixture
def post(client, publish):
    publish(source())
    path = "/v2/pipelines/pipeline/versions/latest/executions"
    return lambda **options: client.post(path, json={}, **options)


def executions():
    return [str(row.uuid) for row in factories.query("SELECT uuid FROM executions")]


@pytest.mark.parametrize("moment", ["before", "behind", "answer"])
def test_an_acceptance_whose_answer_was_lost_is_one_all_the_same(post, proxy, moment):
    cut = Cut(ACCEPT, moment=moment, times=1)
    proxy.cut_at(cut)

    answer = post()

    assert (answer.status_code, cut.hits) == (202, 1)
    assert executions() == [answer.json["uuid"]]


def test_an_acceptance_that_is_still_under_way_is_waited_for(post, proxy, locked_contents):
    answers = []
    proxy.cut_at(Cut(ACCEPT, moment="behind", times=1))
    with locked_contents() as waiting:
        thread = threading.Thread(target=lambda: answers.append(post()))
        thread.start()
        until(lambda: waiting() == 2, 10.0, what="a second acceptance that waits")
    thread.join(10.0)

    assert [answer.status_code for answer in answers] == [202]
    assert executions() == [answers[0].json["uuid"]]


@pytest.fixture
def locked_contents(post, servers):
    """Hold up whoever accepts, also when nobody listens to it any more; gives how many wait."""
    # A connection that has prepared the statement waits when it runs it, not before.
    post()
    factories.change("TRUNCATE executions, contents, layer_results CASCADE")

    @contextlib.contextmanager
    def locked_contents():
        url = servers["DATABASE_URL"]
        with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute("LOCK TABLE contents IN SHARE MODE")
            yield lambda: len(ledger.rows(url, "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))

    return locked_contents


class Since(Cut):
    """Cuts every statement after the one that accepts, at its answer; that one too where it is `included`."""

    def __init__(self, *, included):
        super().__init__(b"EXECUTE", b"PREPARE")
        self.included = included
        self.accepted = False

    def wants(self, sent):
        begun, self.accepted = self.accepted, self.accepted or ACCEPT in sent
        return (begun or (self.included and self.accepted)) and super().wants(sent)


def test_an_acceptance_that_nobody_can_look_for_is_told_to_be_unknown(post, proxy):
    proxy.cut_at(cut := Since(included=True))

    answer = post()

    proxy.heal()
    assert (answer.status_code, cut.hits > 1) == (503, True)
    assert "outcome is unknown" in answer.json["detail"]
    assert answer.headers["Retry-After"]


def test_who_waits_while_postgres_goes_away_is_told_that_the_execution_is_accepted(post, proxy):
    proxy.cut_at(cut := Since(included=False))

    answer = post(headers={"Prefer": "wait=1"})

    proxy.heal()
    assert (answer.status_code, cut.hits > 0) == (202, True)
    assert executions() == [answer.json["uuid"]]


@pytest.mark.parametrize("moment", ["before", "behind", "answer"])
def test_a_batch_whose_commit_had_no_answer_is_one_all_the_same(client, publish, proxy, moment):
    publish(source())
    proxy.cut_at(cut := Cut(COMMIT, moment=moment, times=1))

    answer = client.post("/v2/batches?pipeline=pipeline", json=[{}, {}], headers={"Idempotency-Key": "k"})

    assert (answer.status_code, cut.hits) == (202, 1)
    assert (answer.json["accepted"], len(executions())) == (2, 2)
    assert "Idempotent-Replayed" not in answer.headers
