"""`/v2/keys`: keys that admins make, see, revoke, and change for new ones."""

from datetime import UTC, datetime, timedelta

import pytest

from shared import db, key_ring, keys
from shared.errors import Forbidden
from shared.key_ring import New
from shared.keys import Caller
from tests import factories
from tests.api.definitions import REVIEW

PATH = "/v2/keys"
BOOTSTRAP = "a-bootstrap-key-of-this-test"


@pytest.fixture
def make(client):
    """Make a key over HTTP: `make(name="billing", scopes=["read"])`."""

    def make(**body):
        answer = client.post(PATH, json=body)
        assert answer.status_code == 201, answer.text
        return answer.json

    return make


@pytest.fixture
def works(anonymous):
    """Whether a key is taken."""

    def works(key):
        return anonymous.get("/v2/executions", headers={"x-api-key": key}).status_code == 200

    return works


def test_a_key_is_shown_once_and_works(client, make, works):
    made = make(name="billing", scopes=["execute", "read"])

    assert works(made["key"])
    assert made["key"].startswith(made["prefix"])
    for told in (client.get(f"{PATH}/{made['id']}"), client.get(PATH)):
        assert made["key"] not in told.text
    assert made["key"] not in str(factories.query("SELECT * FROM api_keys")) + str(factories.query("TABLE audit"))


def test_a_key_has_the_scopes_it_was_given_and_no_other(make, anonymous):
    headers = {"x-api-key": make(scopes=["read"])["key"]}

    assert anonymous.get("/v2/executions", headers=headers).status_code == 200
    assert anonymous.get(PATH, headers=headers).status_code == 403
    assert anonymous.put("/v2/pipelines/pipeline", json=REVIEW, headers=headers).status_code == 403


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["root"]}, "scopes[0]"),
        ({"expires_at": "2026-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "9999-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"name": "bootstrap"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"max_queued": -1}, "max_queued"),
        ({"per_minute": 1 << 31}, "per_minute"),
        ({"organization_id": 1}, "organization_id"),
    ],
)
def test_what_can_be_no_key_is_422(client, body, field):
    answer = client.post(PATH, json=body)

    assert (answer.status_code, [each["field"] for each in answer.json["errors"]]) == (422, [field])


def test_an_expired_key_is_refused(make, works):
    made = make(expires_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    before = works(made["key"])

    factories.change("UPDATE api_keys SET expires_at = now() WHERE id = :id", id=made["id"])

    assert (before, works(made["key"])) == (True, False)


def test_limits_of_a_key_hold(client, make, publish, anonymous):
    publish(REVIEW)
    headers = {"x-api-key": make(per_minute=1)["key"]}
    path = "/v2/pipelines/pipeline/versions/latest/executions"

    answers = [anonymous.post(path, json={"inputs": {"film": "Avatar"}}, headers=headers) for _ in range(2)]

    assert [each.status_code for each in answers] == [202, 429]


def test_keys_are_listed_newest_first_a_page_at_a_time(client, make):
    made = [make(name=name)["id"] for name in ("one", "two", "three")]

    first = client.get(f"{PATH}?limit=2").json
    second = client.get(f"{PATH}?limit=2&cursor={first['next_cursor']}").json

    assert [each["id"] for each in first["keys"]] == [made[2], made[1]]
    assert (second["keys"][0]["id"], second["next_cursor"]) == (made[0], None)


def test_a_revoked_key_is_refused_and_stays_in_the_list(client, make, works):
    made = make()

    revoked = client.delete(f"{PATH}/{made['id']}")

    assert (revoked.status_code, works(made["key"])) == (200, False)
    assert client.get(f"{PATH}/{made['id']}").json["revoked_at"] == revoked.json["revoked_at"]
    assert client.delete(f"{PATH}/{made['id']}").status_code == 409


def test_a_rotated_key_is_refused_at_once_and_the_new_one_is_like_it(client, make, works):
    made = make(name="billing", scopes=["read"], max_queued=7)

    new = client.post(f"{PATH}/{made['id']}/rotate").json

    assert (works(made["key"]), works(new["key"])) == (False, True)
    assert [new[name] for name in ("name", "scopes", "max_queued")] == ["billing", ["read"], 7]


def test_both_keys_are_good_while_a_rotation_overlaps(client, make, works):
    made = make()

    new = client.post(f"{PATH}/{made['id']}/rotate", json={"overlap_seconds": 60}).json
    during = works(made["key"]), works(new["key"])
    factories.change(
        "UPDATE api_keys SET expires_at = expires_at - interval '61 seconds' WHERE id = :id", id=made["id"]
    )

    assert (during, works(made["key"]), works(new["key"])) == ((True, True), False, True)


def test_an_overlap_does_not_lengthen_a_life(client, make):
    soon = datetime.now(UTC) + timedelta(seconds=90)
    made = make(expires_at=soon.isoformat())

    client.post(f"{PATH}/{made['id']}/rotate", json={"overlap_seconds": 3600})

    assert datetime.fromisoformat(client.get(f"{PATH}/{made['id']}").json["expires_at"]) == soon


def test_what_is_no_key_any_more_is_not_rotated(client, make, works):
    made = make()
    client.delete(f"{PATH}/{made['id']}")
    before = len(factories.query("SELECT id FROM api_keys"))

    assert client.post(f"{PATH}/{made['id']}/rotate").status_code == 409
    assert len(factories.query("SELECT id FROM api_keys")) == before


def test_the_bootstrap_key_is_left_to_its_setting(anonymous, database):
    with db.transaction() as connection:
        keys.bootstrap(connection, BOOTSTRAP)
    headers = {"x-api-key": BOOTSTRAP}
    (own,) = anonymous.get(PATH, headers=headers).json["keys"]

    assert anonymous.delete(f"{PATH}/{own['id']}", headers=headers).status_code == 409
    assert anonymous.post(f"{PATH}/{own['id']}/rotate", headers=headers).status_code == 409


@pytest.mark.parametrize("name", ["0", "99999999", "-1", "1.5", "nothing", "9" * 30])
def test_what_names_no_key_is_404(client, name):
    assert client.get(f"{PATH}/{name}").status_code == 404


def test_nobody_makes_a_key_that_may_do_more(organization):
    manager = Caller(organization, 1, frozenset({"manage", "read"}))

    with db.transaction() as connection:
        key_ring.make(connection, manager, New("theirs", ["read"]))
        with pytest.raises(Forbidden, match="execute"):
            key_ring.make(connection, manager, New("more", ["read", "execute"]))

    assert [row.name for row in factories.query("SELECT name FROM api_keys")] == ["theirs"]
