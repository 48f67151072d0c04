import pytest

from shared import db, organizations
from shared.errors import Conflict, NotFound


def test_an_organization_is_found_by_its_name(organization):
    with db.transaction() as connection:
        assert organizations.find(connection, "acme") == organization


def test_a_name_is_taken_once(organization):
    with pytest.raises(Conflict), db.transaction() as connection:
        organizations.create(connection, "acme")


def test_an_unknown_organization_is_not_found(database):
    with pytest.raises(NotFound), db.transaction() as connection:
        organizations.find(connection, "nobody")


def test_names_are_listed_in_their_order(database):
    with db.transaction() as connection:
        for name in ("b", "a"):
            organizations.create(connection, name)

        assert organizations.names(connection) == ["a", "b"]
