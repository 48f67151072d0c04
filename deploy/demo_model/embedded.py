"""The model in a thread of the calling process, for tests: no subprocess, no port to choose, nothing to poll."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from deploy.demo_model.server import Server

_T = TypeVar("_T")


class Model:
    """A running model; every method may be called from any thread. Leaving its `with` block stops it."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
        self.base_url = server.base_url
        self._server = server
        self._loop = loop
        self._thread = thread

    def script(self, rules: list[dict[str, Any]], *, latency_ms: float | None = None) -> None:
        """Follow these rules from now on (as `PUT /_behaviour`). Raises Refused."""
        wanted: dict[str, Any] = (
            {"script": rules} if latency_ms is None else {"script": rules, "latency_ms": latency_ms}
        )
        self._ask(lambda: self._server.script.replace(wanted))

    def calls(
        self, *, execution: str | None = None, layer: str | None = None, model: str | None = None
    ) -> list[dict[str, Any]]:
        """The calls so far, oldest first, as `GET /_calls` lists them."""
        return self._ask(lambda: list(self._server.calls.select(execution=execution, layer=layer, model=model)))

    def totals(self) -> dict[str, int]:
        """`count`, `answered`, `in_flight`, `max_in_flight`."""
        return self._ask(self._server.calls.totals)

    def wait_for(self, passed: Callable[[dict[str, int]], bool], *, seconds: float = 10) -> dict[str, int]:
        """Wait until the totals are as wanted, and return them; each arrival and end is seen. Raises TimeoutError."""

        async def wait() -> dict[str, int]:
            changed = asyncio.Event()
            calls = self._server.calls
            calls.watchers.append(changed.set)
            try:
                async with asyncio.timeout(seconds):
                    while not passed(calls.totals()):
                        changed.clear()
                        await changed.wait()
                    return calls.totals()
            finally:
                calls.watchers.remove(changed.set)

        return asyncio.run_coroutine_threadsafe(wait(), self._loop).result()

    def reset(self) -> None:
        """Forget the script and the calls so far."""

        def forget() -> None:
            self._server.script.reset()
            self._server.responses.forget()
            self._server.buckets.forget()
            self._server.calls.clear()

        self._ask(forget)

    def buckets(self) -> dict[str, dict[str, Any]]:
        """What was counted of the models that have limits (as `GET /_buckets`)."""
        return self._ask(self._server.buckets.counts)

    def polls(self) -> list[int]:
        """How often each response that is kept was asked for."""
        return self._ask(self._server.responses.polls)

    def forget_responses(self) -> None:
        """Know no response any more (as `DELETE /_responses`)."""
        self._ask(self._server.responses.forget)

    def stop(self) -> None:
        """Hang up on everyone and end the thread; harmless a second time."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _ask(self, question: Callable[[], _T]) -> _T:
        async def ask() -> _T:
            return question()

        return asyncio.run_coroutine_threadsafe(ask(), self._loop).result()


def start_in_thread(
    *, host: str = "127.0.0.1", port: int = 0, log_file: Path | None = None, latency_ms: float = 0, seed: int = 0
) -> Model:
    """Start a model and return once it listens."""
    loop = asyncio.new_event_loop()
    server = Server(log_file=log_file, latency_ms=latency_ms, seed=seed)
    try:
        loop.run_until_complete(server.start(host, port))
    except BaseException:
        server.calls.close()
        loop.close()
        raise

    def serve() -> None:
        loop.run_forever()
        loop.run_until_complete(server.stop())
        loop.close()

    thread = threading.Thread(target=serve, name="demo model", daemon=True)
    thread.start()
    return Model(server, loop, thread)
