"""Batches: there with all of their executions or not at all, and gone with them."""

import json
from uuid import uuid4

import pytest

from shared import acceptance, batches, db, executions
from shared.batches import New
from shared.errors import NotFound, Repeated
from shared.idempotency import Once
from shared.order import Order
from tests import factories


@pytest.fixture
def version(publish):
    return publish(factories.source())


def chunk(version, *numbers):
    asked = acceptance.asked(version, Order("pipeline"), {}, {})
    return json.dumps([{**asked, "line": number, "uuid": str(uuid4())} for number in numbers])


def create(organization, chunks, *, once=None, faults=(), total=4):
    new = New(uuid4(), organization, None, total, faults)
    with db.transaction() as connection:
        batches.create(connection, new, chunks, once=once)
    return new.uuid


def find(organization, uuid):
    with db.transaction() as connection:
        return batches.find(connection, organization, uuid)


def rows(table):
    return factories.query(f"SELECT count(*) FROM {table}")[0][0]


def test_a_crash_in_the_middle_leaves_nothing_and_the_key_free(organization, version):
    once = Once("k", b"f")

    def chunks():
        yield chunk(version, 1, 2)
        assert rows("executions") == 0
        raise InterruptedError

    with pytest.raises(InterruptedError):
        create(organization, chunks(), once=once)

    assert (rows("batches"), rows("executions"), rows("idempotency")) == (0, 0, 0)
    assert find(organization, create(organization, [chunk(version, 1, 2)], once=once))["accepted"] == 2


def test_a_key_makes_one_batch(organization, version):
    create(organization, [chunk(version, 1)], once=Once("k", b"f"))

    with pytest.raises(Repeated):
        create(organization, [chunk(version, 1)], once=Once("k", b"f"))

    assert (rows("batches"), rows("executions")) == (1, 1)


def test_a_batch_is_seen_by_its_organization_alone(organization, version):
    uuid = create(organization, [chunk(version, 1)])

    with pytest.raises(NotFound):
        find(organization + 1, uuid)


def test_faults_are_forgotten_with_the_content_of_the_last_execution(organization, version):
    uuid = create(organization, [chunk(version, 1, 2)], faults=[{"line": 3, "errors": []}])
    for _ in range(2):
        factories.finish(factories.claim(), keep_seconds=0.0)
    hidden = find(organization, uuid)["faults"]

    with db.transaction() as connection:
        before = batches.erase(connection)
        executions.erase(connection)
        after = batches.erase(connection)

    assert (hidden, before, after) == ([], 0, 1)
    assert find(organization, uuid)["expired"] is True


def test_a_batch_and_its_key_are_buried_with_the_last_tombstone(organization, version):
    uuid = create(organization, [chunk(version, 1, 2)], once=Once("k", b"f"))
    factories.finish(factories.claim(), keep_seconds=0.0)
    with db.transaction() as connection:
        executions.erase(connection)
        executions.bury(connection, tombstone_days=0.0)
        assert batches.bury(connection) == 0
    factories.finish(factories.claim(), keep_seconds=0.0)

    with db.transaction() as connection:
        executions.erase(connection)
        executions.bury(connection, tombstone_days=0.0)
        assert batches.bury(connection) == 1

    assert rows("idempotency") == 0
    with pytest.raises(NotFound):
        find(organization, uuid)
