"""Worker processes inside this one, and ways to watch them from outside."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from shared import broker, db
from shared.settings import Settings
from tests.waiting import until
from worker.process import Process

#: How long anything that must happen may take.
WAIT_SECONDS = 8.0


@pytest.fixture
def start_worker(settings: Settings, database: None) -> Iterator[Callable[..., Process]]:
    """Start a worker process inside this one: `start_worker(drain_seconds=0.2)`; it closes the one before."""
    with ExitStack() as started:

        def start(**changes: Any) -> Process:
            started.close()
            changed = replace(settings, **changes)
            process = Process(changed, broker.celery_app(changed), "tests@here")
            process.start()
            started.callback(process.close)
            return process

        yield start
    db.connect(settings.database_url)
    broker.connect(settings)


@pytest.fixture
def working() -> Iterator[Callable[[Process], "Future[bool]"]]:
    """Let a worker work on a thread of its own: `working(worker).result(5)`."""
    with ThreadPoolExecutor(4) as pool:
        yield lambda process: pool.submit(process.work)


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Look until something holds; fails where it does not in time: `eventually(lambda: ended(id))`."""

    def eventually(holds: Callable[[], object], *, seconds: float = WAIT_SECONDS) -> None:
        until(holds, seconds)

    return eventually
