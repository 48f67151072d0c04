"""Every route with every kind of bad key, every scope, and another organization's key."""

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from shared import db, keys
from tests.api.definitions import REVIEW

#: Routes that anybody may ask, and what the others want.
OPEN = {"/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/stream/<thread>"}
SCOPES = {
    "GET /v2/executions/<execution>/layers": "read",
    "GET /v2/usage": "read",
    "GET /v2/threads": "read",
    "GET /v2/threads/<thread>": "read",
    "GET /v2/threads/<thread>/messages": "read",
    "POST /v2/threads/<thread>/fork": "execute",
    "DELETE /v2/threads/<thread>": "execute",
    "PUT /v2/pipelines/<handle>": "manage",
    "GET /v2/pipelines": "read",
    "GET /v2/pipelines/<handle>": "read",
    "GET /v2/pipelines/<handle>/versions/<version>": "read",
    "GET /v2/pipelines/<handle>/diff": "read",
    "PUT /v2/pipelines/<handle>/tags/<tag>": "manage",
    "DELETE /v2/pipelines/<handle>/tags/<tag>": "manage",
    "POST /v2/pipelines/<handle>/versions/<version>/executions": "execute",
    "GET /v2/executions": "read",
    "GET /v2/executions/<execution>": "read",
    "GET /v2/executions/<execution>/events": "read",
    "GET /v2/executions/<execution>/explain": "read",
    "POST /v2/executions/<execution>/cancel": "execute",
    "POST /v2/executions/<execution>/replay": "execute",
    "POST /v2/executions/<execution>/repair": "execute",
    "POST /v2/batches": "execute",
    "GET /v2/batches/<batch>": "read",
    "GET /v2/batches/<batch>/executions": "read",
    "POST /v2/batches/<batch>/cancel": "execute",
    "GET /v2/providers": "read",
    "PUT /v2/providers/<provider>/key": "admin",
    "DELETE /v2/providers/<provider>/key": "admin",
    "GET /v2/environments": "read",
    "GET /v2/environments/<environment>": "read",
    "PUT /v2/environments/<environment>": "manage",
    "DELETE /v2/environments/<environment>": "manage",
    "PUT /v2/environments/<environment>/variables/<variable>": "manage",
    "DELETE /v2/environments/<environment>/variables/<variable>": "manage",
    "POST /v2/keys": "admin",
    "GET /v2/keys": "admin",
    "GET /v2/keys/<key>": "admin",
    "DELETE /v2/keys/<key>": "admin",
    "POST /v2/keys/<key>/rotate": "admin",
    "GET /v2/audit": "admin",
    "GET /v2/queues": "admin",
    "POST /v1/prompt-templates/execute": "execute",
    "POST /v1/orchestrators/execute": "execute",
    "POST /v2/threads/<thread>/stream-token": "read",
    "GET /api/v1/prompts/<handle>/<version>": "read",
    "POST /api/v1/prompts/<handle>/<version>/runs": "execute",
    "GET /api/v1/promptruns/<run>": "read",
    "POST /api/v1/workflows/<handle>/<version>/runs": "execute",
    "GET /api/v1/workflowruns/<run>": "read",
    "POST /api/v1/threads/<thread>/stream-token": "read",
    "GET /api/v1/knowledge-bases/<folder>": "read",
    "POST /api/v1/knowledge-bases/<folder>/documents": "manage",
    "GET /api/v1/knowledge-documents/<document>": "read",
    "DELETE /api/v1/knowledge-documents/<document>": "manage",
    "GET /v2/knowledge/folders": "read",
    "PUT /v2/knowledge/folders/<folder>": "manage",
    "GET /v2/knowledge/folders/<folder>": "read",
    "DELETE /v2/knowledge/folders/<folder>": "manage",
    "POST /v2/knowledge/documents": "manage",
    "GET /v2/knowledge/documents": "read",
    "GET /v2/knowledge/documents/<document>": "read",
    "GET /v2/knowledge/documents/<document>/text": "read",
    "PATCH /v2/knowledge/documents/<document>": "manage",
    "DELETE /v2/knowledge/documents/<document>": "manage",
    "POST /v2/knowledge/search": "read",
    "POST /v2/webhooks": "manage",
    "GET /v2/webhooks": "read",
    "GET /v2/webhooks/<webhook>": "read",
    "PATCH /v2/webhooks/<webhook>": "manage",
    "DELETE /v2/webhooks/<webhook>": "manage",
    "POST /v2/webhooks/<webhook>/rotate-secret": "manage",
    "POST /v2/webhooks/<webhook>/enable": "manage",
    "POST /v2/webhooks/<webhook>/test": "manage",
    "GET /v2/webhooks/<webhook>/deliveries": "read",
    "GET /v2/webhooks/<webhook>/deliveries/<delivery>": "read",
    "POST /v2/webhooks/<webhook>/deliveries/<delivery>/resend": "manage",
    "GET /v1/executions/retrieve": "read",
    "POST /v1/executions/retrieve": "read",
}
#: Schemes, and keys that are none.
GARBLED = [
    {},
    {"Authorization": ""},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer "},
    {"Authorization": "Basic c3RyYXRhOnN0cmF0YQ=="},
    {"Authorization": "Bearer nonsense"},
    {"Authorization": f"Bearer strata_{'0' * 38}"},
    {"Authorization": f"Bearer {'x' * 10_000}"},
    {"Authorization": "Bearer ä\x80"},
    {"X-Api-Key": ""},
    {"X-Api-Key": "nonsense"},
    {"X-Api-Key": "null"},
]


def routes(app):
    """Every method and rule of the application, but what is there for all."""
    return [
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"})
        if rule.rule not in OPEN
    ]


def ask(client, route, headers, **names):
    """Ask a route for what is named, else for what nobody has."""
    method, rule = route.split()
    path = re.sub(r"<(\w+)>", lambda match: str(names.get(match[1], "nothing")), rule)
    bodies = {
        "executions": {"inputs": {}},
        "<variable>": {"value": "x"},
        "rotate": {},
        "fork": {"until": 1},
        "<document>": {},
    }
    body = bodies.get(rule.rpartition("/")[2], {"version": 1})
    query = {"from": 1} if rule.endswith("diff") else {}
    return client.open(path, method=method, headers=headers, json=body, query_string=query)


def seen(answer):
    """All that a caller can tell answers apart by."""
    headers = {name: value for name, value in answer.headers.items() if name != "X-Request-Id"}
    return answer.status_code, headers, answer.data


@pytest.fixture
def bad_keys(organization, make_key):
    """Headers of every kind of key that is not good any more, or never was."""
    expired = make_key(organization, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    revoked, good = make_key(organization), make_key(organization)
    with db.transaction() as connection:
        keys.revoke(connection, organization, revoked)
    spoiled = [expired, revoked, good[:-1], good + "0", good.swapcase(), good[1:], f"{good} {good}", good[::-1]]
    return GARBLED + [{"Authorization": f"Bearer {each}"} for each in spoiled] + [{"X-Api-Key": revoked}]


def test_every_route_has_its_scope_here(app):
    assert set(routes(app)) == set(SCOPES)


def test_every_bad_key_gets_the_same_401_everywhere(app, anonymous, bad_keys, rows):
    before = rows()

    for route in routes(app):
        told = [seen(ask(anonymous, route, headers)) for headers in bad_keys]
        assert {status for status, _, _ in told} == {401}, route
        assert all(each == told[0] for each in told), route
        assert told[0][1]["WWW-Authenticate"] == "Bearer"

    assert rows() == before


def test_a_key_in_the_url_is_no_key(anonymous, organization, make_key):
    key = make_key(organization)

    assert anonymous.get(f"/v2/executions?key={key}&api_key={key}&access_token={key}").status_code == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
def test_the_scheme_may_be_written_as_one_likes(anonymous, organization, make_key, scheme):
    answer = anonymous.get("/v2/executions", headers={"Authorization": f"{scheme} {make_key(organization)}"})

    assert answer.status_code == 200


@pytest.mark.parametrize("scope", keys.SCOPES)
def test_a_key_may_what_its_scope_says_and_nothing_else(app, anonymous, organization, make_key, scope):
    headers = {"x-api-key": make_key(organization, scope)}

    refused = {route for route in routes(app) if ask(anonymous, route, headers).status_code == 403}

    assert refused == {route for route, wanted in SCOPES.items() if scope not in (wanted, "admin")}


def test_a_revoked_key_is_refused_at_once(app, client, organization, make_key, anonymous):
    headers = {"x-api-key": make_key(organization)}
    before = anonymous.get("/v2/executions", headers=headers)

    with db.transaction() as connection:
        keys.revoke(connection, organization, headers["x-api-key"])

    assert (before.status_code, anonymous.get("/v2/executions", headers=headers).status_code) == (200, 401)


@pytest.fixture
def theirs(client, publish, worker):
    """Names of what the first organization has: a pipeline, a tag, an execution."""
    version = publish(REVIEW)
    client.put("/v2/pipelines/pipeline/tags/live", json={"version": 1})
    path = "/v2/pipelines/pipeline/versions/live/executions"
    execution = client.post(path, json={"inputs": {"film": "Avatar"}}).json
    batch = client.post("/v2/batches?pipeline=pipeline", json=[{"inputs": {"film": "Avatar"}}]).json
    run = client.post("/api/v1/workflows/pipeline/live/runs", json={"inputs": {"film": "Avatar"}}).json
    client.put("/v2/knowledge/folders/manuals", json={"name": "Manuals"})
    text = {"folder": "manuals", "name": "a.txt", "text": "Some text."}
    document = client.post("/v2/knowledge/documents", json=text).json["documents"][0]
    webhook = client.post("/v2/webhooks", json={"url": "https://1.1.1.1/", "events": ["execution.ended"]}).json["uuid"]
    client.put("/v2/environments/staging")
    client.put("/v2/environments/staging/variables/TOKEN", json={"value": "theirs"})
    return {
        "handle": [version.handle, version.pipeline_uuid, version.pipeline_id],
        "version": ["live", "1", version.uuid],
        "tag": ["live"],
        "provider": ["default"],
        "batch": [batch["uuid"]],
        "execution": [execution["uuid"], execution["id"]],
        "run": [run["id"]],
        "thread": [run["thread"]],
        "folder": ["manuals"],
        "document": [document["uuid"]],
        "webhook": [webhook],
        "delivery": [client.post(f"/v2/webhooks/{webhook}/test").json["uuid"]],
        "environment": ["staging"],
        "variable": ["TOKEN"],
        "key": [client.post("/v2/keys", json={}).json["id"]],
    }


UNKNOWN = {"handle": ["nothing", uuid4(), 10**8], "version": ["none", "9", uuid4()], "tag": ["none"],
           "provider": ["none"], "batch": [uuid4()], "webhook": [uuid4()], "delivery": [uuid4()],
           "execution": [uuid4(), 10**12],
           "environment": ["none"], "variable": ["NONE"],
           "run": [uuid4()], "thread": [uuid4()], "folder": ["none"], "document": [uuid4()],
           "key": [10**8]}  # fmt: skip


#: They make something of one's own, whatever others have.
_OWN = (
    "PUT /v2/pipelines/<handle>",
    "PUT /v2/providers/<provider>/key",
    "PUT /v2/environments/<environment>",
    "PUT /v2/knowledge/folders/<folder>",
    "POST /v2/threads/<thread>/stream-token",
    "POST /api/v1/threads/<thread>/stream-token",
)


@pytest.mark.parametrize("route", [route for route in SCOPES if "<" in route and route not in _OWN])
def test_what_is_anothers_is_what_is_nobodys(stranger, theirs, rows, route):
    before = rows()

    for name in re.findall(r"<(\w+)>", route):
        for known, unknown in zip(theirs[name], UNKNOWN[name], strict=True):
            rest = {other: values[0] for other, values in theirs.items()}
            answers = [seen(ask(stranger, route, {}, **{**rest, name: each})) for each in (known, unknown)]
            assert answers[0] == answers[1]
            assert answers[0][0] == 404

    assert rows() == before


def test_discuros_wire_tells_nothing_of_another_organization(stranger, theirs):
    for noun, path in (("prompt_template", "prompt-templates"), ("orchestrator", "orchestrators")):
        asked = [
            seen(stranger.post(f"/v1/{path}/execute", json={f"{noun}_uuid": str(uuid)}))
            for uuid in (theirs["handle"][1], uuid4())
        ]
        assert asked[0] == asked[1]
    retrieved = [seen(stranger.post(f"/v1/executions/retrieve?id={each}")) for each in (theirs["execution"][1], 10**12)]
    assert retrieved[0] == retrieved[1]


def test_lists_hold_only_what_is_ones_own(stranger, theirs):
    assert stranger.get("/v2/executions").json["executions"] == []
    assert stranger.get("/v2/pipelines").json["pipelines"] == []
    assert stranger.get("/v2/executions?pipeline=pipeline").status_code == 404


def test_two_organizations_may_use_the_same_handle(client, stranger, theirs):
    answer = stranger.put("/v2/pipelines/pipeline", json=REVIEW)

    assert (answer.status_code, answer.json["version"], answer.json["tags"]) == (201, 1, [])
    assert client.get("/v2/pipelines/pipeline").json["uuid"] != answer.json["uuid"]
