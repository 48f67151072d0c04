import pytest

from shared import checkpoints, db
from shared.errors import Fenced
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


def test_what_has_passed_is_known_to_the_next_attempt(claim):
    record(claim, result("answer/0", output={"a": [1]}))
    record(claim, result("answer/1", passed=False))

    with db.transaction() as connection:
        assert checkpoints.passed(connection, claim.id) == {"answer/0": {"a": [1]}}


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

    with db.transaction() as connection:
        assert checkpoints.passed(connection, claim.id) == {"answer/0": None}


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
