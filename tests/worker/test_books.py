"""The books of a run: what is open, what is booked, and what may still be spent."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import pytest

from shared import db
from shared.errors import LayerFailed, Stopped
from shared.plan import Call, Usage
from shared.providers import Price, Provider, Target
from tests import factories
from tests.factories import result, source
from worker.books import Books

TARGET = Target(Provider("tests"), "model", Price(prompt=Decimal(1), completion=Decimal(1)))
ESTIMATE = Usage(100, 50, 150)
NAME = "tests/model"


@pytest.fixture
def claim(organization, publish):
    publish(source())
    return factories.running(organization)


@pytest.fixture
def books(claim):
    return Books(claim, check=lambda: None)


def bounded(claim, **bounds):
    return Books(replace(claim, **bounds), check=lambda: None)


def answered(number, tokens=15, **details):
    return Call(NAME, "answered", number=number, usage=Usage(10, tokens - 10, tokens), **details)


def settle(books, **how):
    with db.autocommit() as connection:
        books.settle(connection, **how)


def intents():
    return [tuple(row) for row in factories.query("SELECT number, path, model, cost FROM calls ORDER BY number")]


def booked():
    return [tuple(row) for row in factories.query("SELECT number, outcome, total_tokens FROM usage ORDER BY number")]


def test_an_intent_is_written_before_the_call_is_sent(books):
    numbers = [books.open("answer/0", TARGET, ESTIMATE) for _ in range(2)]

    assert numbers == [1, 2]
    assert intents() == [(number, "answer/0", NAME, Decimal("0.00015")) for number in numbers]


def test_a_call_is_sent_without_an_intent_while_postgres_is_away(books, claim, settings):
    db.connect("postgresql://nobody@127.0.0.1:9/none")
    number = books.open("answer/0", TARGET, ESTIMATE)
    db.connect(settings.database_url)
    books.note(answered(number))

    factories.record(claim, result(calls=(answered(number),)))

    assert (intents(), booked()) == ([], [(1, "answered", 15)])


def test_what_has_been_recorded_is_settled(books):
    number = books.open("answer/0", TARGET, ESTIMATE)
    assert books.unsettled
    books.note(answered(number))
    books.recorded([answered(number)])

    settle(books)

    assert (books.unsettled, booked()) == (False, [])


def test_what_no_record_has_booked_is_settled_as_it_was_or_as_uncertain(books):
    for _ in range(3):
        books.open("answer/0", TARGET, ESTIMATE)
    books.note(answered(1))
    books.note(answered(2))

    settle(books, but=[answered(2)])

    assert booked() == [(1, "answered", 15), (3, "uncertain", 150)]
    assert [row[0] for row in intents()] == [2]


def test_a_call_that_was_never_sent_leaves_nothing(books):
    books.drop(books.open("answer/0", TARGET, ESTIMATE))

    settle(books)

    assert (intents(), booked(), books.unsettled) == ([], [], False)


def test_an_answer_in_the_background_is_uncertain_only_once_the_execution_has_ended(books):
    books.attach(books.open("answer/0", TARGET, ESTIMATE), "resp_1")

    settle(books)
    assert booked() == []

    settle(books, ended=True)
    assert booked() == [(1, "uncertain", 150)]


def test_the_next_attempt_fetches_what_was_asked_for_in_the_background(books, claim):
    books.attach(books.open("answer/0", TARGET, ESTIMATE), "resp_1")
    factories.release(claim)
    again = Books(factories.claim(), check=lambda: None)

    (found,) = again.prior("answer/0")
    again.note(answered(found.number))
    settle(again)

    assert (found.response_id, again.prior("answer/0"), booked()) == ("resp_1", [], [(found.number, "answered", 15)])


def test_nobody_looks_for_answers_before_the_first_attempt(books):
    db.close()

    assert books.prior("answer/0") == []


def test_without_a_budget_a_call_is_sent_as_it_is_wanted(books):
    with books.allow(TARGET, 10**9, None, seconds=1) as bound:
        assert bound is None
    with books.allow(TARGET, 10**9, 7, seconds=1) as bound:
        assert bound == 7


@pytest.mark.parametrize(("wanted", "bound"), [(None, 90), (50, 50), (200, 90)])
def test_with_a_budget_a_call_is_bounded_by_what_is_left(claim, wanted, bound):
    with bounded(claim, max_tokens=100).allow(TARGET, 10, wanted, seconds=1) as found:
        assert found == bound


def test_where_nothing_is_left_no_call_is_allowed(claim):
    books = bounded(claim, max_cost_usd=Decimal("0.0001"))
    with books.allow(TARGET, 10, 90, seconds=1):
        books.note(answered(books.open("answer/0", TARGET, ESTIMATE), 91, cost=Decimal("0.000091")))

    with pytest.raises(LayerFailed, match=r"0\.000091 of 0\.0001 US dollars are spent") as caught:
        books.allow(TARGET, 10, 1, seconds=0).__enter__()

    assert caught.value.reason == "budget_exceeded"


def test_what_a_call_did_not_use_is_left_for_the_next(claim):
    books = bounded(claim, max_tokens=100)
    with books.allow(TARGET, 10, None, seconds=1):
        books.note(answered(books.open("answer/0", TARGET, ESTIMATE), 30))

    with books.allow(TARGET, 10, None, seconds=1) as bound:
        assert bound == 60


def test_what_may_have_been_spent_is_not_left(claim):
    books = bounded(claim, max_tokens=200)
    cut = Call(NAME, "provider_timeout", number=books.open("a/0", TARGET, ESTIMATE), usage=ESTIMATE, uncertain=True)
    books.note(cut)
    books.note(Call(NAME, "answered", number=books.open("a/0", TARGET, Usage(10, 20, 30))))

    with books.allow(TARGET, 10, None, seconds=1) as bound:
        assert bound == 200 - 150 - 30 - 10


def test_the_attempts_before_have_spent_of_the_same_budget(claim):
    factories.record(claim, result(passed=False, calls=(answered(1), answered(2))))
    factories.release(claim)

    with bounded(factories.claim(), max_tokens=100).allow(TARGET, 10, None, seconds=1) as bound:
        assert bound == 60


def test_a_call_waits_for_what_another_one_leaves(claim):
    books = bounded(claim, max_tokens=100)
    waiting = threading.Event()

    def second():
        waiting.set()
        with books.allow(TARGET, 10, None, seconds=20) as bound:
            return bound

    with ThreadPoolExecutor() as pool:
        with books.allow(TARGET, 10, None, seconds=1):
            found = pool.submit(second)
            waiting.wait(5)
            books.note(answered(books.open("answer/0", TARGET, ESTIMATE), 40))
        assert found.result(5) == 50


def test_a_call_that_has_waited_long_enough_takes_what_is_left(claim):
    books = bounded(claim, max_tokens=100)

    with books.allow(TARGET, 10, 60, seconds=1), books.allow(TARGET, 10, 60, seconds=0) as bound:
        assert bound == 20


def test_a_call_that_waits_stops_with_its_run(claim):
    def stop():
        raise Stopped("cancelled")

    books = Books(replace(claim, max_tokens=100), check=stop)

    with books.allow(TARGET, 10, None, seconds=1), pytest.raises(Stopped):
        books.allow(TARGET, 10, None, seconds=20).__enter__()


def test_calls_at_once_never_spend_more_than_the_budget(claim):
    books = bounded(claim, max_tokens=1000)
    spent = []

    def ask(number):
        try:
            with books.allow(TARGET, 10, 1 + number % 90, seconds=20) as bound:
                call = answered(books.open(f"p{number}/0", TARGET, Usage(10, bound, 10 + bound)), 10 + bound)
                books.note(call)
                spent.append(call.usage.total_tokens)
        except LayerFailed:
            pass

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(ask, range(60)))

    assert 1000 - 11 < sum(spent) <= 1000
