"""A client of models, and runs to ask for."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from shared.executions import Claim
from shared.kinds import Question
from shared.plan import Answer
from shared.settings import Settings
from worker.alarms import Alarms
from worker.providers import openai
from worker.providers.openai import OpenAI
from worker.running import Run


@pytest.fixture
def run() -> Run:
    """A run that nobody has stopped."""
    return Run(Claim(1, uuid4(), 1, 1, None, "normal", 1, deaths=0, inputs={}, seconds_left=60.0, seconds_queued=0.0))


@pytest.fixture
def settings(model: Any) -> Settings:
    """Settings of a worker that needs neither Postgres nor Redis."""
    model.reset()
    return Settings(openai_base_url=model.base_url, openai_api_key="demo", max_answer_bytes=1 << 20)


@pytest.fixture
def make_client(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., OpenAI]]:
    """Make a client: `make_client(calls_in_flight=1)`; the waits between its tries are short."""
    monkeypatch.setattr(openai, "FIRST_WAIT_SECONDS", 0.02)
    with ExitStack() as clients:

        def make(**changes: Any) -> OpenAI:
            client = OpenAI(replace(settings, **changes), Alarms())
            clients.callback(client.close)
            return client

        yield make


@pytest.fixture
def ask(make_client: Callable[..., OpenAI], run: Run) -> Callable[..., Answer]:
    """Ask the demo model: `ask("demo:status=500", seconds=1.0, attempts=2)`."""
    default = make_client()

    def ask(name: str | None = None, *, seconds: float = 10.0, client: OpenAI = default, **question: Any) -> Answer:
        question = {"messages": [{"role": "user", "content": "hi"}], "attempts": 2} | question
        return client.ask(Question(model=name, **question), run=run, seconds=seconds, headers={"X-Strata-Layer": "a/0"})

    return ask
