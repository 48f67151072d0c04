from datetime import UTC, datetime, timedelta

import pytest

from shared import db, keys, organizations
from shared.errors import NotFound, Unauthorized
from tests import factories


def authenticate(key):
    with db.transaction() as connection:
        return keys.authenticate(connection, key)


def bootstrap(key):
    with db.transaction() as connection:
        keys.bootstrap(connection, key)


def test_a_made_key_is_well_formed(organization, make_key):
    assert keys.well_formed(make_key(organization))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda key: key[:-1],
        lambda key: key + "0",
        lambda key: key.replace("strata_", "stratb_"),
        lambda key: key[:10] + ("0" if key[10] != "0" else "1") + key[11:],
        lambda key: key[:-1] + ("0" if key[-1] != "0" else "1"),
        lambda key: key.swapcase(),
        lambda key: "",
        lambda key: "\ud800" * 45,
    ],
)
def test_a_garbled_key_is_not_well_formed(organization, make_key, spoil):
    assert not keys.well_formed(spoil(make_key(organization)))


def test_a_key_says_whose_it_is_and_what_it_may(organization, make_key):
    caller = authenticate(make_key(organization, "execute", "read"))

    assert (caller.organization_id, caller.scopes) == (organization, {"execute", "read"})


@pytest.mark.parametrize(
    ("scopes", "scope", "may"),
    [(("read",), "read", True), (("read",), "execute", False), (("admin",), "manage", True), ((), "read", False)],
)
def test_a_key_may_what_its_scopes_say(scopes, scope, may):
    assert keys.Caller(1, 1, frozenset(scopes)).may(scope) is may


def test_only_the_hash_of_a_key_is_stored(organization, make_key):
    key = make_key(organization)

    (row,) = factories.query("SELECT CAST(api_keys AS text) AS line, prefix FROM api_keys")

    assert key not in row.line
    assert key[len(row.prefix) :] not in row.line


def test_no_two_keys_are_the_same(organization, make_key):
    assert len({make_key(organization) for _ in range(20)}) == 20


@pytest.mark.parametrize("key", ["", "unknown", "strata_", "x" * 1_000_000, "\x00", "\ud800", "é"])
def test_what_is_no_key_is_refused(organization, key):
    with pytest.raises(Unauthorized):
        authenticate(key)


def test_an_expired_key_is_refused(organization, make_key):
    key = make_key(organization, expires_at=datetime.now(UTC) - timedelta(seconds=1))

    with pytest.raises(Unauthorized):
        authenticate(key)


def test_a_key_is_good_until_it_expires(organization, make_key):
    key = make_key(organization, expires_at=datetime.now(UTC) + timedelta(hours=1))

    assert authenticate(key).organization_id == organization


@pytest.mark.parametrize("shown", [lambda key: key, lambda key: key[:12]])
def test_a_revoked_key_is_refused(organization, make_key, shown):
    key = make_key(organization)
    with db.transaction() as connection:
        assert keys.revoke(connection, organization, shown(key)) == 1

    with pytest.raises(Unauthorized):
        authenticate(key)


def test_another_organization_s_key_cannot_be_revoked(organization, make_key):
    key = make_key(organization)
    with db.transaction() as connection:
        other = organizations.create(connection, "other")

    with pytest.raises(NotFound), db.transaction() as connection:
        keys.revoke(connection, other, key)

    assert authenticate(key)


def test_the_list_shows_nothing_that_could_be_used(organization, make_key):
    key = make_key(organization, name="ci")

    with db.transaction() as connection:
        (shown,) = keys.listed(connection, organization)

    assert (shown["name"], shown["prefix"]) == ("ci", key[:12])
    assert "hash" not in shown


def test_the_last_use_is_written_once_a_minute(organization, make_key):
    key = make_key(organization)
    authenticate(key)
    (first,) = factories.query("SELECT last_used_at FROM api_keys")

    authenticate(key)

    assert factories.query("SELECT last_used_at FROM api_keys") == [first]


def test_a_bootstrap_key_is_an_admin_of_the_default_organization(database):
    bootstrap("bootstrap-key-number-one")

    assert authenticate("bootstrap-key-number-one").scopes == {"admin"}


def test_bootstrapping_often_is_harmless(database):
    for _ in range(3):
        bootstrap("bootstrap-key-number-one")

    assert len(factories.query("SELECT id FROM api_keys WHERE revoked_at IS NULL")) == 1


def test_a_bootstrap_key_that_is_another_now_revokes_the_one_before(database):
    bootstrap("bootstrap-key-number-one")
    bootstrap("bootstrap-key-number-two")

    assert authenticate("bootstrap-key-number-two")
    with pytest.raises(Unauthorized):
        authenticate("bootstrap-key-number-one")


def test_a_bootstrap_key_that_comes_back_is_good_again(database):
    for key in ("bootstrap-key-number-one", "bootstrap-key-number-two", "bootstrap-key-number-one"):
        bootstrap(key)

    assert authenticate("bootstrap-key-number-one")


def test_a_bootstrap_key_leaves_other_keys_of_its_organization_alone(database, make_key):
    bootstrap("bootstrap-key-number-one")
    with db.transaction() as connection:
        other = make_key(organizations.find(connection, "default"))

    bootstrap("bootstrap-key-number-two")

    assert authenticate(other)


def test_most_of_a_bootstrap_key_is_not_shown(database):
    bootstrap("bootstrap-key-number-one")

    assert factories.query("SELECT prefix FROM api_keys")[0].prefix == "bootst"
