import pytest
from sqlalchemy import exc, text

from shared import db
from shared.errors import OutcomeUnknown, Unavailable
from tests import factories
from tests.chaos.proxy import in_front_of

#: What Postgres says at the end of a login.
READY_FOR_QUERIES = b"Z\x00\x00\x00\x05I"


def fail_after(work):
    """Do something in a transaction that fails then."""
    with db.transaction() as connection:
        work(connection)
        raise ValueError("no")


def test_a_transaction_that_raises_is_rolled_back(organization):
    with pytest.raises(ValueError, match="no"):
        fail_after(lambda connection: connection.execute(text("DELETE FROM api_keys; DELETE FROM organizations")))

    assert factories.query("SELECT id FROM organizations")


def test_calls_run_once_the_commit_is_through(organization):
    seen = []

    with db.transaction() as connection:
        db.after_commit(lambda: seen.extend(factories.query("SELECT name FROM organizations")))
        connection.execute(text("UPDATE organizations SET name = 'renamed'"))
        assert seen == []

    assert [row.name for row in seen] == ["renamed"]


def test_calls_of_a_transaction_that_is_rolled_back_never_run(database):
    seen = []

    with pytest.raises(ValueError, match="no"):
        fail_after(lambda connection: db.after_commit(seen.append, 1))

    assert seen == []


def test_a_call_that_fails_harms_neither_the_caller_nor_the_next(database):
    seen = []

    with db.transaction():
        db.after_commit(lambda: 1 / 0)
        db.after_commit(seen.append, 1)

    assert seen == [1]


def test_a_call_without_a_transaction_is_a_fault_of_ours(database):
    with pytest.raises(RuntimeError):
        db.after_commit(print)


def test_a_database_that_is_away_is_unavailable(database):
    db.connect("postgresql://nobody:swordfish99@127.0.0.1:1/none")

    with pytest.raises(Unavailable) as caught, db.transaction():
        pass

    assert "swordfish99" not in str(caught.value)


def end_connection(connection):
    """End a connection as the server does when it goes away."""
    number = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with db.transaction() as other:
        other.execute(text("SELECT pg_terminate_backend(:number, 5000)"), {"number": number})


def ask_over_a_broken_connection():
    with db.transaction() as connection:
        end_connection(connection)
        connection.execute(text("SELECT 1"))


def test_a_connection_that_breaks_under_a_statement_is_unavailable(database):
    with pytest.raises(Unavailable):
        ask_over_a_broken_connection()


def test_a_connection_that_breaks_under_the_commit_leaves_the_outcome_unknown(database):
    with pytest.raises(OutcomeUnknown), db.transaction() as connection:
        end_connection(connection)


def test_a_connection_that_broke_while_it_was_idle_is_not_used_again(database):
    with db.autocommit() as first, db.autocommit() as second:
        numbers = [each.execute(text("SELECT pg_backend_pid()")).scalar_one() for each in (first, second)]
    # The one that was given back last is the first to be taken again, and ends the other.
    factories.change("SELECT pg_terminate_backend(:number, 5000)", number=numbers[1])

    with db.autocommit() as first, db.autocommit() as second:
        assert [each.execute(text("SELECT 1")).scalar_one() for each in (first, second)] == [1, 1]


def test_connections_that_die_as_soon_as_they_are_open_are_unavailable(database, settings):
    with in_front_of(settings.database_url) as (proxy, url):
        db.connect(url)
        factories.query("SELECT 1")
        proxy.hang_up_at(READY_FOR_QUERIES)
        proxy.drop_links()

        for _ in range(50):
            with pytest.raises(Unavailable), db.autocommit() as connection:
                connection.exec_driver_sql("SELECT 1")


def write_to_a_standby():
    with db.transaction() as connection:
        connection.execute(text("SET default_transaction_read_only = on; COMMIT; BEGIN"))
        connection.execute(text("DELETE FROM organizations"))


def test_a_server_that_takes_no_writes_is_unavailable_and_left(database):
    with pytest.raises(Unavailable):
        write_to_a_standby()

    factories.change("DELETE FROM organizations")


def test_a_constraint_that_is_broken_is_not_unavailable(organization):
    with pytest.raises(exc.IntegrityError):
        factories.change("INSERT INTO organizations (name) VALUES ('acme')")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_a_url_is_given_the_driver_that_we_use(scheme):
    assert db.driver_url(f"{scheme}://u@h/d") == "postgresql+psycopg2://u@h/d"


def test_nothing_can_be_opened_before_a_connect(database):
    db.close()

    with pytest.raises(RuntimeError), db.transaction():
        pass


def test_the_database_s_times_are_utc(database):
    assert factories.query("SHOW timezone")[0].TimeZone == "UTC"
