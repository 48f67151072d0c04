"""Real Postgres and Redis for every test that wants them.

Embedded ones, or those of STRATA_TEST_DATABASE_URL and STRATA_TEST_REDIS_URL, which the tests empty; never those of
DATABASE_URL and REDIS_URL, which may hold what somebody needs.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from api.app import create_app, serve
from deploy.demo_model.embedded import start_in_thread
from deploy.local.postgres import Postgres
from deploy.local.redis_server import Redis
from shared import broker, db, definition, keys, organizations, pipelines
from shared.plan import Version
from shared.settings import Settings
from worker.process import Process

ROOT = Path(__file__).parent.parent
BOOTSTRAP_KEY = "bootstrap-key-of-the-tests"
_TABLES = (
    "delivery_attempts, deliveries, calls, usage, usage_days, provider_keys, kept_answers, batches, duties, workers,"
    " idempotency, layer_results,"
    " contents, executions, tags, versions, pipelines, api_keys, organizations"
)


#: Folders whose tests start processes of their own, and mostly wait for them.
_APART = ("chaos", "e2e")


# Before xdist looks for the marks.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests run in several processes: a file's stay together, for its fixtures; those that wait go anywhere."""
    for item in items:
        if item.path.relative_to(ROOT / "tests").parts[0] not in _APART:
            item.add_marker(pytest.mark.xdist_group(str(item.path.relative_to(ROOT))))


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """DATABASE_URL and REDIS_URL of a migrated, empty database and a Redis of our own."""
    directory = tmp_path_factory.mktemp("servers")
    postgres, broker_server = Postgres(directory), Redis(directory)
    try:
        urls = {
            "DATABASE_URL": os.environ.get("STRATA_TEST_DATABASE_URL") or postgres.start(),
            "REDIS_URL": os.environ.get("STRATA_TEST_REDIS_URL") or broker_server.start(),
        }
        alembic = [sys.executable, "-m", "alembic", "-c", "deploy/alembic.ini", "upgrade", "head"]
        subprocess.run(alembic, cwd=ROOT, env={**os.environ, **urls}, check=True)
        yield urls
    finally:
        broker_server.stop()
        postgres.stop()


@pytest.fixture(scope="session")
def model() -> Iterator[Any]:
    """The demo model in a thread; `model.script`, `model.calls`, `model.reset`."""
    with start_in_thread() as running:
        yield running


@pytest.fixture
def settings(servers: dict[str, str], model: Any) -> Settings:
    """Settings of a process on the tests' servers, with a short lease."""
    model.reset()
    return Settings(
        database_url=servers["DATABASE_URL"],
        redis_url=servers["REDIS_URL"],
        openai_base_url=model.base_url,
        openai_api_key="demo",
        bootstrap_key=BOOTSTRAP_KEY,
        worker_concurrency=8,
        lease_seconds=2.0,
        worker_port=19100,
    )


@pytest.fixture
def database(settings: Settings) -> Iterator[None]:
    """An empty database that this process is connected to, and an empty Redis."""
    db.connect(settings.database_url)
    broker.connect(settings)
    with db.transaction() as connection:
        connection.execute(text(f"TRUNCATE {_TABLES} CASCADE"))
        connection.execute(text("UPDATE pace SET at = now(), measured_at = now() - interval '1 minute'"))
    redis.Redis.from_url(settings.redis_url).flushall()
    yield
    broker.close()
    db.close()


@pytest.fixture
def organization(database: None) -> int:
    """The id of an organization."""
    with db.transaction() as connection:
        return organizations.create(connection, "acme")


@pytest.fixture
def make_key(database: None) -> Callable[..., str]:
    """Make a key: `make_key(organization_id, "execute", "read")`."""

    def make(organization_id: int, *scopes: str, **details: Any) -> str:
        with db.transaction() as connection:
            return keys.create(connection, organization_id, scopes=scopes or ("admin",), **details)

    return make


@pytest.fixture
def publish(organization: int) -> Callable[..., Version]:
    """Publish a definition for the organization: `publish({"properties": […]}, handle="h")`."""

    def publish(source: dict[str, Any], handle: str = "pipeline") -> Version:
        with db.transaction() as connection:
            published = pipelines.publish(connection, organization, handle, definition.read(source))
            return pipelines.version(connection, published.version_id)

    return publish


@pytest.fixture
def app(settings: Settings, database: None) -> Iterator[Flask]:
    """The API, as gunicorn would serve it."""
    app = create_app(settings)
    stop = serve(app)
    yield app
    stop()


@pytest.fixture
def client(app: Flask, organization: int, make_key: Callable[..., str]) -> FlaskClient:
    """A client of the API with an admin key of the organization."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {make_key(organization)}"
    return client


@pytest.fixture
def worker(settings: Settings, database: None) -> Iterator[Process]:
    """A worker process inside this one, without Celery: `worker.work()` runs what is queued."""
    process = Process(settings, broker.celery_app(settings), "tests@here")
    process.start()
    yield process
    process.close()
    db.connect(settings.database_url)
    broker.connect(settings)
