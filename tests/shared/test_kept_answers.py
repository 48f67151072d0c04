import pytest

from shared import db, kept_answers, organizations
from tests import factories

BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.5}
NAME = kept_answers.name("default/m", BODY)


def find(organization, name=NAME):
    with db.autocommit() as connection:
        return kept_answers.find(connection, organization, name)


@pytest.fixture
def keep(organization):
    """Keep an answer of the organization."""

    def keep(answer="hello", *, name=NAME, seconds=60.0):
        with db.autocommit() as connection:
            kept_answers.keep(connection, organization, name, model="default/m", answer=answer, seconds=seconds)

    return keep


@pytest.mark.parametrize(
    ("model", "body"),
    [
        ("other/m", BODY),
        ("default/m", {**BODY, "temperature": 0.6}),
        ("default/m", {**BODY, "messages": [{"role": "user", "content": "hi!"}]}),
        ("default/m", {**BODY, "response_format": {"type": "json_object"}}),
        ("default/m", {key: each for key, each in BODY.items() if key != "temperature"}),
    ],
)
def test_every_part_of_a_question_is_in_its_name(model, body):
    assert kept_answers.name(model, body) != NAME


def test_the_order_of_keys_is_not_in_the_name():
    assert kept_answers.name("default/m", dict(reversed(BODY.items()))) == NAME


def test_an_answer_is_kept_for_its_organization_alone(organization, keep):
    with db.transaction() as connection:
        other = organizations.create(connection, "other")

    keep()

    assert [find(organization), find(other), find(organization, bytes(32))] == ["hello", None, None]


def test_the_later_of_two_answers_is_kept(organization, keep):
    keep("one", seconds=1.0)
    keep("two", seconds=60.0)

    assert find(organization) == "two"


def test_an_answer_is_not_found_once_its_time_is_over_and_then_deleted(organization, keep):
    keep(name=b"1" * 32)
    keep(name=b"2" * 32)
    factories.change("UPDATE kept_answers SET expires_at = now() WHERE hash = :name", name=b"1" * 32)

    assert find(organization, b"1" * 32) is None
    with db.transaction() as connection:
        assert [kept_answers.erase(connection) for _ in range(2)] == [1, 0]
    assert find(organization, b"2" * 32) == "hello"
