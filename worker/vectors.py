"""The vectors of a document's chunks, a batch at a time, asked for again while that can help."""

import threading
import time
from array import array
from collections.abc import Callable, Sequence

from shared.errors import Stopped
from shared.intake import Chunk
from worker.calls import Call
from worker.providers.embeddings import MOST_TEXTS, Embeddings
from worker.providers.retries import Retries

#: How long the vectors of a batch are waited for, in seconds, and how often they are asked for.
SECONDS = 60.0
_ATTEMPTS = 4


class DocumentVectors:
    """What makes vectors of chunks; one for the process."""

    def __init__(self, embeddings: Embeddings) -> None:
        self._embeddings = embeddings
        self._retries = Retries()
        self._calls: set[Call] = set()
        self._closing = threading.Event()

    @property
    def model(self) -> str | None:
        """Which model makes them; None where none does."""
        return self._embeddings.target.name if self._embeddings.target else None

    def of(self, chunks: Sequence[Chunk], organization_id: int, *, go_on: Callable[[], bool]) -> list["array[float]"]:
        """The vectors of chunks, in their order; `go_on` is asked after each batch, and False leaves the rest out.

        ProviderFault or Postponed where they cannot be had now, Stopped where this process ends.
        """
        found: list[array[float]] = []
        for first in range(0, len(chunks), MOST_TEXTS):
            texts = [_text(each) for each in chunks[first : first + MOST_TEXTS]]
            found += self._batch(texts, organization_id)
            if not go_on():
                break
        return found

    def close(self) -> None:
        """Cut what is under way."""
        self._closing.set()
        for each in list(self._calls):
            each.cut("drain")

    def _batch(self, texts: list[str], organization_id: int) -> list["array[float]"]:
        until = time.monotonic() + SECONDS

        def left() -> float:
            return until - time.monotonic()

        def once() -> list["array[float]"]:
            call = Call()
            self._calls.add(call)
            try:
                self._check()
                return self._embeddings.ask(texts, organization_id, call=call, seconds=left()).found
            finally:
                self._calls.discard(call)
                self._check()

        def rest(seconds: float) -> None:
            self._closing.wait(seconds)
            self._check()

        return self._retries.run(once, line="embeddings", attempts=_ATTEMPTS, left=left, rest=rest)

    def _check(self) -> None:
        if self._closing.is_set():
            raise Stopped("drain")


def _text(chunk: Chunk) -> str:
    return f"{chunk.heading}\n{chunk.text}" if chunk.heading else chunk.text
