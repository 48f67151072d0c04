import pytest

from shared import checkpoints, db
from shared.errors import Fenced
from shared.plan import Call
from tests import factories
from tests.factories import record, result, source


@pytest.fixture
def claim(organization, publish):
    publish(source())
    return factories.running(organization)


def again(claim):
    """The same execution, claimed by the next attempt."""
    factories.release(claim)
    return factories.claim()


def written():
    return factories.query("SELECT * FROM layer_results")[0]


def past(claim):
    with db.autocommit() as connection:
        return checkpoints.past(connection, claim.id)


def test_what_has_ended_is_known_to_the_next_attempt(claim):
    record(claim, result("answer/0", output={"a": [1]}))
    record(claim, result("answer/1", passed=False))
    record(claim, result("answer/2", output=None, skipped=True))

    done = past(claim).done

    assert {path: (each.passed, each.output, each.skipped) for path, each in done.items()} == {
        "answer/0": (True, {"a": [1]}, False),
        "answer/1": (False, None, False),
        "answer/2": (True, None, True),
    }


def test_what_is_inside_of_a_layer_that_has_ended_is_not_asked_for(claim):
    for path in ("a/each", "a/each[0]/x", "a/each[1]/x/b/0", "a/eachother[0]/x", "b/0/sub/0"):
        record(claim, result(path))

    assert set(past(claim).done) == {"a/each", "a/eachother[0]/x", "b/0/sub/0"}


def test_a_layer_that_was_put_aside_has_not_ended_and_its_calls_are_counted(claim):
    calls = (Call("tests/model", "provider_rate_limited"),) * 2
    record(claim, result("answer/0", passed=False, reason="parked", calls=calls))
    record(claim, result("answer/1"))

    found = past(claim)

    assert (set(found.done), found.sent) == ({"answer/1"}, {"answer/0": 2})


def test_an_old_attempt_cannot_record(claim):
    again(claim)

    with pytest.raises(Fenced):
        record(claim, result())


def test_nothing_is_recorded_once_the_execution_has_ended(claim):
    factories.finish(claim, output="done")

    with pytest.raises(Fenced):
        record(claim, result())


def test_a_passed_layer_is_never_written_over_by_another_attempt(claim):
    record(claim, result(output="first"))
    second = again(claim)

    with pytest.raises(Fenced):
        record(second, result(output="second"))

    assert (written().output, written().attempt) == ("first", 1)


def test_a_failed_layer_is_written_over_by_the_next_attempt(claim):
    record(claim, result(passed=False))

    record(again(claim), result(output="second"))

    assert (written().passed, written().output, written().error, written().attempt) == (True, "second", None, 2)


def test_the_same_attempt_may_repeat_its_record(claim):
    record(claim, result(output="first"))

    record(claim, result(output="first"))

    assert written().output == "first"


def test_a_null_output_has_passed_all_the_same(claim):
    record(claim, result(output=None))

    assert [(each.passed, each.output) for each in past(claim).done.values()] == [(True, None)]


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b"])
def test_what_postgres_cannot_store_is_replaced_in_outputs(claim, text):
    record(claim, result(output={text: [text]}))

    assert written().output == {"a\ufffdb": ["a\ufffdb"]}


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b"])
def test_what_postgres_cannot_store_is_replaced_in_errors(claim, text):
    record(claim, result(passed=False, error=text))

    assert written().error == "a\ufffdb"


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b"])
def test_what_postgres_cannot_store_is_replaced_in_a_provider_s_id(claim, text):
    record(claim, result(provider_response_id=text))

    assert written().provider_response_id == "a\ufffdb"


def test_a_backslash_before_u0000_in_an_output_stays_what_it_is(claim):
    record(claim, result(output="\\u0000"))

    assert written().output == "\\u0000"
