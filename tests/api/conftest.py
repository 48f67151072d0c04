"""One application and one worker for all tests of the API, and an empty database for each.

Starting and ending them costs a second, which is more than most of these tests take. Every answer that a test gets is
held against the OpenAPI document.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import pytest
import redis
from flask import Flask, Response, request
from flask.testing import FlaskClient
from openapi_schema_validator import OAS31Validator
from psycopg2.errors import DeadlockDetected
from sqlalchemy import text
from werkzeug.test import TestResponse

from api import openapi
from api.app import create_app, serve
from shared import broker, db, organizations, workers
from shared.errors import Unavailable
from shared.settings import Settings
from worker.process import Process

#: In the order in which most statements of ours lock them, so that a heartbeat and a clean-up seldom wait in a ring.
_TABLES = (
    "executions",
    "contents",
    "layer_results",
    "deliveries",
    "delivery_attempts",
    "calls",
    "usage",
    "usage_days",
    "batches",
    "provider_keys",
    "tags",
    "versions",
    "pipelines",
    "api_keys",
    "organizations",
)


def _emptied() -> bool:
    """Empty every table; False where that and a duty of the worker waited for each other."""
    try:
        with db.transaction() as connection:
            connection.execute(text(f"TRUNCATE {', '.join(_TABLES)} CASCADE"))
    except Unavailable as error:
        if isinstance(getattr(error.__cause__, "orig", None), DeadlockDetected):
            return False
        raise
    return True


class Answer(NamedTuple):
    """An answer to a request that met a route."""

    path: str
    method: str
    status: int
    content_type: str
    body: bytes


def undocumented(document: dict[str, Any], answer: Answer) -> Iterator[str]:
    """What of an answer is not as the OpenAPI document has it."""
    found = document["paths"][answer.path].get(answer.method.lower(), {}).get("responses", {})
    if answer.method in ("HEAD", "OPTIONS"):
        return
    place = f"{answer.method} {answer.path} {answer.status}"
    if str(answer.status) not in found:
        yield f"{place} is not documented"
        return
    content = found[str(answer.status)].get("content", {})
    # Of a 304 the server sends no body, whatever the application had.
    if answer.status != 304 and answer.body and answer.content_type.endswith("json"):
        if answer.content_type not in content:
            yield f"{place} {answer.content_type} is not documented"
            return
        schema = {**content[answer.content_type]["schema"], "components": document["components"]}
        for error in OAS31Validator(schema).iter_errors(json.loads(answer.body)):
            yield f"{place} {error.json_path}: {error.message}"


@pytest.fixture(scope="package")
def package_settings(servers: dict[str, str], model: Any) -> Settings:
    return Settings(
        database_url=servers["DATABASE_URL"],
        redis_url=servers["REDIS_URL"],
        openai_base_url=model.base_url,
        openai_api_key="demo",
        providers=f'{{"paid": {{"base_url": "{model.base_url}", "api_key": "paid", "models": ["small", "large"]}}}}',
        prices='{"paid/small": {"prompt": 1, "completion": 2}, "paid/large": {"prompt": 10, "completion": 20}}',
        secret_keys=("a key of the tests that seals secrets",),
        worker_concurrency=8,
        lease_seconds=2.0,
        worker_port=19100,
    )


@pytest.fixture(scope="package")
def package_worker(package_settings: Settings) -> Iterator[Process]:
    process = Process(package_settings, broker.celery_app(package_settings), "tests@here")
    process.start()
    yield process
    process.close()


@pytest.fixture(scope="package")
def answers() -> list[Answer]:
    """What the application has answered in this test."""
    return []


class WholeAnswers(FlaskClient):
    """Reads an answer to its end and closes it, as a client over a socket does."""

    def open(self, *args: Any, buffered: bool = True, **options: Any) -> TestResponse:
        return super().open(*args, buffered=buffered, **options)


@pytest.fixture(scope="package")
def package_app(package_settings: Settings, package_worker: Process, answers: list[Answer]) -> Iterator[Flask]:
    app = create_app(package_settings)
    app.test_client_class = WholeAnswers

    @app.after_request
    def keep(response: Response) -> Response:
        if request.url_rule is not None:
            path = openapi.path(request.url_rule)
            # A stream is for its reader alone.
            body = b"" if response.is_streamed else response.get_data()
            answers.append(Answer(path, request.method, response.status_code, response.mimetype, body))
        return response

    stop = serve(app)
    yield app
    stop()
    # The worker ends after this, and gives its lease back.
    db.connect(package_settings.database_url)
    broker.connect(package_settings)


@pytest.fixture
def settings(package_settings: Settings, model: Any) -> Settings:
    model.reset()
    return package_settings


@pytest.fixture
def database(settings: Settings, package_app: Flask) -> None:
    # A test may have pointed this process at no database at all.
    db.connect(settings.database_url)
    while not _emptied():
        # Postgres has chosen it as the one that gives way to a duty of the worker; the duty has ended by now.
        continue
    with redis.Redis.from_url(settings.redis_url) as client:
        client.flushall()


@pytest.fixture
def app(package_app: Flask, database: None, answers: list[Answer]) -> Iterator[Flask]:
    answers.clear()
    yield package_app
    document = openapi.document(package_app)
    assert [fault for each in answers for fault in undocumented(document, each)] == []


@pytest.fixture
def worker(package_worker: Process, database: None, settings: Settings) -> Process:
    # Its lease has run out while there was no database.
    with db.transaction() as connection:
        workers.renew(connection, package_worker.id, lease_seconds=settings.lease_seconds)
    return package_worker


@pytest.fixture
def rows(database: None) -> Callable[[], dict[str, int]]:
    """Count the rows of every table that a request may write to."""

    def count() -> dict[str, int]:
        with db.transaction() as connection:
            return {name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in _TABLES}

    return count


@pytest.fixture
def stranger(app: Flask, make_key: Callable[..., str]) -> FlaskClient:
    """A client with an admin key of another organization."""
    with db.transaction() as connection:
        organization_id = organizations.create(connection, "globex")
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {make_key(organization_id)}"
    return client


@pytest.fixture
def anonymous(app: Flask) -> FlaskClient:
    """A client without a key."""
    return app.test_client()


@pytest.fixture
def working(worker: Process) -> Callable[[], AbstractContextManager[None]]:
    """Have the worker work beside the test during a block, as long as there is something to do."""

    @contextmanager
    def working() -> Iterator[None]:
        leaving = threading.Event()

        def work() -> None:
            while not leaving.wait(0.02):
                worker.work()

        thread = threading.Thread(target=work, name="worker of the test")
        thread.start()
        try:
            yield
        finally:
            leaving.set()
            thread.join()

    return working


@pytest.fixture
def until() -> Callable[..., None]:
    """Wait until a condition holds; fail where it does not in time."""

    def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.02)

    return until
