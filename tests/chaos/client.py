"""A client that remembers what it was promised: every id that was answered, whatever became of the other requests."""

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import httpx2


class Client:
    """Submits executions from any thread; a request that fails is counted, never raised."""

    def __init__(self, url: str, key: str, *, timeout_seconds: float = 70.0) -> None:
        self.submitted = 0
        #: The uuids that a 200 or 202 has named, with the time of the answer.
        self.accepted: dict[str, float] = {}
        #: Statuses of the other answers; `broken` counts those that got none.
        self.refused: Counter[int | str] = Counter()
        #: Seconds that each accepted request took.
        self.seconds: list[float] = []
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._http = httpx2.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"},
            trust_env=False,
            timeout=timeout_seconds,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=50),
        )

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def turn_to(self, url: str) -> None:
        """Send what comes next to another process of the API."""
        self._http.base_url = url

    def join(self, other: "Client") -> None:
        """Take over what another client was promised, and what it was refused."""
        self.submitted += other.submitted
        self.accepted |= other.accepted
        self.refused += other.refused

    def publish(self, handle: str, *models: str, layer: Mapping[str, Any] | None = None, **settings: Any) -> None:
        """Publish a pipeline of one property with a prompt layer for each model.

        `layer` are settings of each of them, `settings` those of the definition.
        """
        alike = {"kind": "prompt", **(layer or {})}
        layers = [
            {**alike, "name": f"layer{number}", "model": model, "prompt": f"{number}: {{{{word}}}}"}
            for number, model in enumerate(models, start=1)
        ]
        source = {"inputs": [{"name": "word"}], "properties": [{"name": "said", "layers": layers}], **settings}
        self._http.put(f"/v2/pipelines/{handle}", json=source).raise_for_status()

    def submit(
        self, handle: str, *, wait: int = 0, word: str | None = None, key: str | None = None, **fields: Any
    ) -> str | None:
        """Start one execution; its uuid where it was accepted, else None. `fields` go into the request's body.

        With a `key` for its Idempotency-Key and a word of its own it is the same request each time.
        """
        with self._lock:
            self.submitted += 1
            number = next(self._numbers)
        body = {"inputs": {"word": word or f"word {number}"}, **fields}
        started = time.monotonic()
        answer = self.request(
            "POST",
            f"/v2/pipelines/{handle}/versions/latest/executions",
            json=body,
            headers={"Prefer": f"wait={wait}"} | ({"Idempotency-Key": key} if key else {}),
        )
        with self._lock:
            if answer is None or answer.status_code not in (200, 202):
                self.refused[answer.status_code if answer is not None else "broken"] += 1
                return None
            uuid = str(answer.json()["uuid"])
            self.accepted[uuid] = time.time()
            self.seconds.append(time.monotonic() - started)
        return uuid

    def cancel(self, uuid: str) -> int | None:
        """Cancel an execution; the status of the answer, None where there was none."""
        answer = self.request("POST", f"/v2/executions/{uuid}/cancel")
        return answer.status_code if answer is not None else None

    def request(self, method: str, path: str, **options: Any) -> httpx2.Response | None:
        """Send a request; None where no whole answer came."""
        try:
            return self._http.request(method, path, **options)
        except httpx2.TransportError:
            return None


class Load:
    """Submits at a steady rate in the background while the block runs, or until `count` are accepted."""

    def __init__(
        self,
        client: Client,
        handle: str,
        *,
        per_second: float,
        seed: int,
        count: int | None = None,
        threads: int = 4,
        wait: Callable[[random.Random], int] = lambda _: 0,
    ) -> None:
        self._client = client
        self._handle = handle
        self._pause_seconds = threads / per_second
        self._target = None if count is None else len(client.accepted) + count
        self._wait = wait
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._submit, args=(random.Random(f"{seed} {number}"),), daemon=True)
            for number in range(threads)
        ]

    @property
    def done(self) -> bool:
        """True once as many are accepted as were asked for."""
        return self._target is not None and len(self._client.accepted) >= self._target

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(60.0)

    def _submit(self, generator: random.Random) -> None:
        while not self.done and not self._stopping.wait(self._pause_seconds * generator.uniform(0.5, 1.5)):
            self._client.submit(self._handle, wait=self._wait(generator))
