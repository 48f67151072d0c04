"""Organizations' own keys of providers: sealed, apart, sealed anew."""

import pytest

from shared import db, organizations, provider_keys
from shared.errors import Invalid, NotFound, SealBroken
from shared.sealing import Sealer
from tests import factories

KEY = "sk-proj-abcdefghijkl-7Q2z"
SEALER = Sealer(["a key of thirty-two characters, or more"])
NEWER = Sealer(["a newer key of thirty-two characters", *SEALER.keys])


def put(organization, key=KEY, sealer=SEALER):
    with db.transaction() as connection:
        return provider_keys.put(connection, organization, "default", key, sealer)


def opened(organization, sealer=SEALER):
    with db.transaction() as connection:
        return provider_keys.opened(connection, organization, "default", sealer)


def test_a_key_is_kept_and_known_by_its_end(organization):
    assert put(organization).hint == "7Q2z"
    assert opened(organization) == KEY


def test_the_next_key_takes_the_place_of_the_first(organization):
    put(organization)
    put(organization, "sk-another-key-of-mine")

    assert opened(organization) == "sk-another-key-of-mine"


def test_a_short_key_has_no_hint(organization):
    assert put(organization, "12345678").hint == ""


@pytest.mark.parametrize("key", ["", "short", "with a blank", "línea-abc", "line\nbreak-abc", "x" * 501])
def test_what_can_be_no_key_is_refused_and_not_repeated(organization, key):
    with pytest.raises(Invalid) as caught:
        put(organization, key)

    assert not key or key not in str(caught.value)


def test_another_organization_has_none(organization):
    put(organization)
    with db.transaction() as connection:
        other = organizations.create(connection, "globex")

    assert opened(other) is None


def test_a_row_that_is_moved_to_another_organization_opens_nothing(organization):
    put(organization)
    with db.transaction() as connection:
        other = organizations.create(connection, "globex")
    factories.change("UPDATE provider_keys SET organization_id = :other", other=other)

    with pytest.raises(SealBroken):
        opened(other)


def test_a_removed_key_is_gone(organization):
    put(organization)
    with db.transaction() as connection:
        provider_keys.remove(connection, organization, "default")

    assert opened(organization) is None
    with pytest.raises(NotFound), db.transaction() as connection:
        provider_keys.remove(connection, organization, "default")


def test_keys_are_sealed_anew_once(organization):
    put(organization)

    with db.transaction() as connection:
        assert provider_keys.reseal(connection, NEWER) == 1
        assert provider_keys.reseal(connection, NEWER) == 0
    assert opened(organization, Sealer(NEWER.keys[:1])) == KEY


def test_nothing_is_sealed_anew_where_a_key_is_lost(organization):
    put(organization)

    with pytest.raises(SealBroken), db.transaction() as connection:
        provider_keys.reseal(connection, Sealer(["a key that has sealed nothing so far"]))
    assert opened(organization) == KEY
