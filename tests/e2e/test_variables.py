"""A secret in a variable goes where the definition sends it, and is found nowhere else, in no table, log or event.

Everything that is given a secret here gives it back in some form: models in answers, streams and errors, servers in
bodies and headers.
"""

import base64
import json
from urllib.parse import quote
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import text

from shared import db
from tests.e2e.conftest import plain
from tests.waiting import until
from tests.worker.providers.raw_server import answer, read_request, serving

pytestmark = pytest.mark.e2e
#: One is set in an environment, one comes with the order; each has what every form of it must escape.
SECRETS = {"TOKEN": 'canary/7f3a "9b+Qz of-env', "OTHER": "canary-ä/5d1e+of&order"}
START = "pipelines/pipeline/versions/latest/executions"


def written(secret):
    """A secret in every form that it may be given back in."""
    encoded = [base64.b64encode(b"x" * before + secret.encode()).decode() for before in range(3)]
    return [secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1], *encoded]


def found_in(told):
    """What of the secrets stands in a text; of base64 a part, for its ends depend on what stands beside it."""
    encoded = [each[4:-4] for secret in SECRETS.values() for each in written(secret)[4:]]
    return [form for form in ("canary", b"canary".hex(), *encoded) if form in told]


REPEATED = " ".join(form for secret in SECRETS.values() for form in written(secret))


DEFINITION = {
    "inputs": [{"name": "url"}, {"name": "status"}],
    "memory": "read_write",
    "properties": [
        {
            "name": "asked",
            "layers": [
                {"kind": "prompt", "prompt": "echo ${TOKEN} ${OTHER}", "stream": True, "cache": {"seconds": 60}},
                {"kind": "prompt", "system": "${OTHER}", "prompt": "echo {{previous}} ${TOKEN}", "output": "list"},
            ],
        },
        {
            "name": "sent",
            "layers": [
                {
                    "kind": "http",
                    "url": "{{url}}/${TOKEN}",
                    "method": "POST",
                    "headers": {"X-Token": "${TOKEN}"},
                    "query": {"status": "{{status}}", "other": "${OTHER}"},
                    "json": {"token": "${TOKEN}", "other": ["${OTHER}"]},
                    "output": "full",
                }
            ],
        },
        {"name": "made", "layers": [{"kind": "text", "value": "${TOKEN} and ${OTHER}"}]},
    ],
}
FAILING = {
    **DEFINITION,
    "properties": [
        *DEFINITION["properties"],
        {"name": "refused", "layers": [{"kind": "prompt", "prompt": "fail ${TOKEN}", "retry": {"attempts": 2}}]},
    ],
}


@pytest.fixture
def echoing():
    """A server that gives back what it is sent, in its headers and its body, with the status that is asked for."""

    def speak(connection):
        request = read_request(connection).decode()
        body = json.dumps({"heard": request, "forms": REPEATED}).encode()
        status = "500 Broken" if "status=500" in request else "200 OK"
        connection.sendall(
            answer(body, status=status, fields=f"X-Heard: {base64.b64encode(request.encode()).decode()}\r\n")
        )

    with serving(speak) as url:
        yield url


@pytest.fixture
def repeating(environment):
    """A model that repeats the secrets, whatever it is asked."""
    url = environment["OPENAI_BASE_URL"].removesuffix("/v1") + "/_behaviour"
    script = [
        {"match": "^fail", "status": 503, "body": json.dumps({"error": {"message": REPEATED}})},
        {"match": r"echo canary/.* canary-", "answer": REPEATED, "pace_ms": 1},
        {"match": "echo", "answer": json.dumps([REPEATED])},
    ]
    httpx2.put(url, json={"script": script}, trust_env=False).raise_for_status()
    yield
    httpx2.delete(url, trust_env=False).raise_for_status()


@pytest.fixture
def order(http, echoing):
    """Publish a definition, and order an execution of it with the secrets; every answer is kept in `order.told`."""

    def order(definition, status):
        asked = {"environment": "staging", "env_vars": {"OTHER": SECRETS["OTHER"]}, "thread": str(uuid4())}
        good = {**asked, "inputs": {"url": echoing, "status": status}}
        ask("PUT", "environments/staging")
        ask("PUT", "environments/staging/variables/TOKEN", {"value": SECRETS["TOKEN"]})
        ask("PUT", "pipelines/pipeline", definition)
        ask("POST", START, {**asked, "inputs": {"none": "x"}})
        ask("POST", f"{START}?dry_run=true", good)
        report = ask("POST", START, good, {"Prefer": "wait=30"}).json()
        for path in (f"executions/{report['uuid']}", f"executions/{report['uuid']}/events", "executions"):
            ask("GET", path)
        for path in (f"threads/{asked['thread']}/messages", "environments/staging", "audit"):
            ask("GET", path)
        return report

    def ask(method, path, body=None, headers=None):
        answered = http.request(method, f"/v2/{path}", json=body, headers=headers)
        order.told.append(answered.text)
        return answered

    order.told = []
    return order


def tables():
    """Every row of every table, as a dump of them would have it."""
    with db.transaction() as connection:
        names = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars().all()
        return "\n".join(
            row for name in names for row in connection.execute(text(f'SELECT t::text FROM "{name}" t')).scalars()
        )


@pytest.mark.parametrize(
    ("definition", "status", "end"), [(DEFINITION, "200", "succeeded"), (FAILING, "500", "failed")]
)
def test_a_secret_is_found_nowhere(start, order, repeating, commands, definition, status, end, api_output):
    worker = start("worker", STRATA_LOG_LEVEL="DEBUG", STRATA_ALLOWED_NETWORKS="127.0.0.0/8")

    report = order(definition, status)

    assert report["status"] == end, report
    told = {"succeeded": b"task-succeeded", "failed": b"task-failed"}[end]
    until(lambda: any(told in plain(each) for each in commands))
    assert found_in("\n".join(order.told)) == []
    assert found_in(tables()) == []
    sent = b"\n".join(plain(each) for each in commands).decode(errors="replace")
    assert found_in(sent) == []
    assert found_in(worker.output.read_text() + api_output.read_text()) == []
    # It was everywhere, and is told by its name.
    assert all(each.count("[TOKEN]") > 5 for each in ("\n".join(order.told), tables(), sent))
    assert "execution " + end in worker.output.read_text()
