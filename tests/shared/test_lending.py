import threading

import pytest
from sqlalchemy import NullPool, create_engine, exc, text

from shared import db
from shared.lending import Lender
from tests import factories


@pytest.fixture
def lender(database, settings):
    engine = create_engine(db.driver_url(settings.database_url), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    lender = Lender(engine, connections=2, wait_seconds=0.2)
    yield lender
    lender.close()


def backend(connection):
    return connection.execute(text("SELECT pg_backend_pid()")).scalar_one()


def test_the_connection_that_came_back_last_goes_first(lender):
    first, second = lender.lend(), lender.lend()
    lender.take_back(second)
    lender.take_back(first)

    assert lender.lend() is first


def test_no_more_than_its_connections_are_lent(lender):
    lender.lend(), lender.lend()

    with pytest.raises(exc.TimeoutError):
        lender.lend()


def test_who_waits_gets_the_next_that_comes_back(lender):
    first, _ = lender.lend(), lender.lend()
    lender._wait_seconds = 10.0
    threading.Timer(0.05, lender.take_back, [first]).start()

    assert lender.lend() is first


def test_a_failure_to_connect_takes_no_place(database):
    engine = create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/none", poolclass=NullPool)
    lender = Lender(engine, connections=1, wait_seconds=0.2)

    for _ in range(3):
        with pytest.raises(exc.OperationalError):
            lender.lend()


def test_a_connection_that_the_server_closed_is_replaced(lender):
    connection = lender.lend()
    number = backend(connection)
    lender.take_back(connection)
    factories.query("SELECT pg_terminate_backend(:number, 5000)", number=number)

    assert backend(lender.lend()) != number


def test_one_that_broke_takes_the_idle_ones_with_it(lender):
    broken, idle = lender.lend(), lender.lend()
    number = backend(idle)
    lender.take_back(idle)
    broken.invalidate()

    lender.take_back(broken)

    assert backend(lender.lend()) != number


def test_what_sqlalchemy_takes_for_a_transaction_is_over_for_the_next(lender):
    connection = lender.lend()
    connection.execute(text("SELECT 1"))
    lender.take_back(connection)

    assert lender.lend().get_transaction() is None


def test_a_closed_lender_closes_what_is_idle_and_what_comes_back(lender):
    lent, idle = lender.lend(), lender.lend()
    lender.take_back(idle)

    lender.close()
    lender.take_back(lent)

    assert (lent.closed, idle.closed) == (True, True)
