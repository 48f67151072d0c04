"""`/v2/environments`: variables that are set, counted and forgotten, and whose values nobody ever sees again."""

import base64
from uuid import UUID

import pytest

from api.app import create_app
from shared import db, environments, variables
from shared.environments import MOST_VARIABLES
from shared.errors import Invalid
from shared.sealing import Sealer
from tests import factories
from tests.api.definitions import asks, pipeline

CANARY = "canary-4f7d1c9e2b8a"
STAGING = "/v2/environments/staging"
START = "/v2/pipelines/pipeline/versions/latest/executions"


@pytest.fixture
def staging(client):
    """Make an environment, and set variables of it: `staging(TOKEN="secret")`."""
    client.put(STAGING)

    def put(**values):
        for name, value in values.items():
            assert client.put(f"{STAGING}/variables/{name}", json={"value": value}).status_code == 200

    return put


def test_an_environment_is_made_once(client):
    assert [client.put(STAGING).status_code for _ in range(2)] == [201, 200]
    assert [each["name"] for each in client.get("/v2/environments").json["environments"]] == ["default", "staging"]


def test_the_default_environment_is_always_there(client):
    assert client.get("/v2/environments/default").json == {"name": "default", "variables": []}
    assert client.put("/v2/environments/default/variables/TOKEN", json={"value": CANARY}).status_code == 200
    assert client.delete("/v2/environments/default").status_code == 409


def test_environments_are_listed_a_page_at_a_time(client):
    for name in ("one", "two", "three"):
        client.put(f"/v2/environments/{name}")

    first = client.get("/v2/environments?limit=3").json
    second = client.get(f"/v2/environments?limit=3&cursor={first['next_cursor']}").json

    assert [each["name"] for each in first["environments"]] == ["default", "one", "three"]
    assert ([each["name"] for each in second["environments"]], second["next_cursor"]) == (["two"], None)


def test_a_variable_tells_its_name_and_no_more(client, staging):
    staging(TOKEN=CANARY)

    answer = client.get(STAGING)

    assert [(each["name"], each["warning"]) for each in answer.json["variables"]] == [("TOKEN", None)]
    assert CANARY not in answer.text
    assert CANARY not in str(factories.query("SELECT * FROM variables"))


@pytest.mark.parametrize(("value", "warns"), [("seven77", True), ("", True), ("eight888", False), ("äöüß", True)])
def test_a_value_too_short_to_be_redacted_is_warned_of(client, staging, value, warns):
    set_now = client.put(f"{STAGING}/variables/TOKEN", json={"value": value}).json
    staging(TOKEN=value)
    read = client.get(STAGING).json["variables"][0]

    assert [each["warning"] is not None for each in (set_now, read)] == [warns, warns]


@pytest.mark.parametrize("name", ["token", "Token", "1TOKEN", "TO-KEN", "_TOKEN", "TÖKEN", "T" * 101])
def test_what_can_be_no_name_is_422(client, staging, name):
    answer = client.put(f"{STAGING}/variables/{name}", json={"value": CANARY})

    assert (answer.status_code, [each["field"] for each in answer.json["errors"]]) == (422, ["name"])
    assert CANARY not in answer.text


@pytest.mark.parametrize("name", ["a b", "ä", "x" * 65, "a:b", "a@b"])
def test_what_can_be_no_environment_is_422(client, name):
    assert client.put(f"/v2/environments/{name}").status_code == 422


@pytest.mark.parametrize("body", [{}, {"value": None}, {"value": 12345678}, {"value": "a\0b"}, {"other": "x"}])
def test_what_is_no_value_is_422(client, staging, body):
    assert client.put(f"{STAGING}/variables/TOKEN", json=body).status_code == 422


def test_an_environment_holds_so_many_bytes(client, staging):
    staging(ONE="x" * (60 << 10), TWO="x" * (4 << 10))

    answer = client.put(f"{STAGING}/variables/THREE", json={"value": "x"})

    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "value")
    assert client.put(f"{STAGING}/variables/ONE", json={"value": "y" * (60 << 10)}).status_code == 200


def test_an_environment_holds_so_many_variables(organization):
    sealer = Sealer(["a key of the tests that seals secrets"])
    with db.transaction() as connection:
        for number in range(MOST_VARIABLES):
            environments.set_variable(connection, organization, "default", f"V{number}", "x", sealer)
        with pytest.raises(Invalid, match="at most 200"):
            environments.set_variable(connection, organization, "default", "ONE_MORE", "x", sealer)
        environments.set_variable(connection, organization, "default", "V0", "y", sealer)


def test_what_is_not_there_is_404(client):
    client.put(STAGING)

    for method, path in (
        ("GET", "/v2/environments/none"),
        ("DELETE", "/v2/environments/none"),
        ("PUT", "/v2/environments/none/variables/TOKEN"),
        ("DELETE", f"{STAGING}/variables/TOKEN"),
    ):
        assert client.open(path, method=method, json={"value": CANARY}).status_code == 404, (method, path)


def test_an_environment_goes_with_its_variables(client, staging):
    staging(TOKEN=CANARY)

    assert client.delete(STAGING).status_code == 204
    client.put(STAGING)

    assert client.get(STAGING).json["variables"] == []


def test_a_value_moved_to_another_environment_cannot_be_opened(client, staging):
    staging(TOKEN=CANARY)
    client.put("/v2/environments/other")
    factories.change("UPDATE variables SET environment = 'other'")

    assert "cannot be opened" in client.get("/v2/environments/other").json["variables"][0]["warning"]


def test_without_keys_to_seal_with_nothing_is_kept(settings, client, organization, make_key):
    unsealed = create_app(type(settings)(database_url=settings.database_url, redis_url=settings.redis_url))
    stranger = unsealed.test_client()
    headers = {"x-api-key": make_key(organization)}

    answer = stranger.put("/v2/environments/default/variables/TOKEN", json={"value": CANARY}, headers=headers)

    assert (answer.status_code, CANARY in answer.text) == (409, False)


def test_everything_is_sealed_anew(app, client, publish, staging, settings):
    staging(TOKEN=CANARY)
    publish(pipeline(asks("With ${TOKEN}.")))
    started = client.post(START, json={"environment": "staging"}).json
    newer = Sealer(["a newer key of the tests, and long enough", *settings.secret_keys])

    with db.transaction() as connection:
        counts = environments.reseal(connection, newer), variables.reseal(connection, newer, batch=1)
        again = environments.reseal(connection, newer), variables.reseal(connection, newer)
    (kept,) = factories.query("SELECT variables FROM contents")[0]

    assert (counts, again) == ((1, (1, started["id"])), (0, (0, None)))
    assert variables.opened(kept, UUID(started["uuid"]), Sealer(newer.keys[:1])).values == {"TOKEN": CANARY}


def test_the_command_seals_everything_anew(app, client, staging):
    staging(TOKEN=CANARY)

    result = app.test_cli_runner().invoke(args=["secrets", "reseal"])

    assert (result.exit_code, result.output) == (0, "0 sealed anew\n")
    assert base64.b64encode(CANARY.encode()).decode() not in result.output
