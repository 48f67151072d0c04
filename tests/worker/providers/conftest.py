"""A client of models, and runs to ask for."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from shared.errors import LayerFailed
from shared.executions import Claim
from shared.outside import Question
from shared.plan import Answer
from shared.settings import Settings
from tests.worker.providers.notebook import Notebook
from worker.alarms import Alarms
from worker.providers import pacing, retries
from worker.providers.asking import Asking
from worker.providers.credentials import Credentials
from worker.providers.models import Models
from worker.running import Run


@pytest.fixture
def run() -> Run:
    """A run that nobody has stopped."""
    named = {"id": 1, "uuid": uuid4(), "organization_id": 1, "version_id": 1, "origin_id": None, "queue": "normal"}
    return Run(Claim(**named, attempt=1, deaths=0, inputs={}, pins={}, seconds_left=60.0, seconds_queued=0.0))


@pytest.fixture
def books() -> Notebook:
    """The books of the run."""
    return Notebook()


@pytest.fixture
def settings(model: Any) -> Settings:
    """Settings of a worker that needs neither Postgres nor Redis."""
    model.reset()
    return Settings(openai_base_url=model.base_url, openai_api_key="demo", max_answer_bytes=1 << 20)


@pytest.fixture
def make_client(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Models]]:
    """Make a client: `make_client(calls_in_flight=1)`; the waits between its tries are short."""
    monkeypatch.setattr(retries, "FIRST_WAIT_SECONDS", 0.02)
    monkeypatch.setattr(pacing, "_SLOW_SECONDS", 0.02)
    with ExitStack() as clients:

        def make(own_keys: dict[tuple[int, str], str] | None = None, **changes: Any) -> Models:
            credentials = Credentials(lambda organization, provider: (own_keys or {}).get((organization, provider)))
            # Nobody listens there: without a known limit nobody is asked.
            paced = pacing.Pacing("redis://127.0.0.1:1/0")
            client = Models(replace(settings, **changes), Alarms(), credentials, paced)
            clients.callback(client.close)
            clients.callback(paced.close)
            return client

        yield make


@pytest.fixture
def ask(make_client: Callable[..., Models], run: Run, books: Notebook) -> Callable[..., Answer]:
    """Ask the demo model: `ask("demo:status=500", seconds=1.0, attempts=2)`."""
    default = make_client()

    def ask(
        name: str | None = None,
        *,
        seconds: float = 10.0,
        client: Models = default,
        organization_id: int = 1,
        sent_before: int = 0,
        **question: Any,
    ) -> Answer:
        question = {"messages": [{"role": "user", "content": "hi"}], "attempts": 2} | question
        asking = Asking(run, "a/0", seconds, {"X-Strata-Layer": "a/0"}, books, organization_id, sent_before=sent_before)
        return client.ask(Question(model=name, **question), asking)

    return ask


@pytest.fixture
def failure(ask: Callable[..., Answer]) -> Callable[..., LayerFailed]:
    """How a question fails: `failure("demo:status=500").reason`."""

    def failure(*arguments: Any, **details: Any) -> LayerFailed:
        with pytest.raises(LayerFailed) as caught:
            ask(*arguments, **details)
        return caught.value

    return failure
