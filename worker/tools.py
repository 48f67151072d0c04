"""What a layer may ask of the worker that runs it."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from shared import kinds
from shared.plan import Answer, Layer, Reference
from worker.fetching import Fetcher
from worker.providers.asking import Asking
from worker.providers.models import Models
from worker.running import Run
from worker.steps import Inner


class Pipelines(Protocol):
    """Who runs other pipelines inside of a layer."""

    def pipeline(self, path: str, reference: Reference, given: Mapping[str, Any], until: float) -> Any:
        """Return the document of a pipeline that was run under a path."""


class Tools:
    """What a layer may ask of the worker: `kinds.Tools`."""

    def __init__(
        self,
        pipelines: Pipelines,
        models: Models,
        fetcher: Fetcher,
        run: Run,
        layer: Layer,
        inner: Inner,
        sent_before: int,
    ) -> None:
        self._pipelines = pipelines
        self._models = models
        self._fetcher = fetcher
        self._run = run
        self._layer = layer
        self._inner = inner
        self._sent_before = sent_before

    def ask(self, question: kinds.Question) -> Answer:
        """Ask a model within what is left of the layer's time, naming the layer to the provider."""
        claim = self._run.claim
        asking = Asking(
            self._run,
            self._layer.path,
            self._inner.until - time.monotonic(),
            headers={
                "X-Strata-Execution": str(claim.uuid),
                "X-Strata-Layer": self._layer.path,
                "X-Strata-Attempt": str(claim.attempt),
            },
            books=self._run.books,
            organization_id=claim.organization_id,
            sent_before=self._sent_before,
        )
        return self._models.ask(question, asking)

    def keep(self, question: kinds.Question, answer: Answer) -> None:
        """Keep an answer for the organization."""
        self._models.keep(question, answer, self._run.claim.organization_id)

    def fetch(self, request: kinds.Request) -> kinds.Response:
        """Send a request within what is left of the layer's time, with a key that is the same in every attempt."""
        seconds = self._inner.until - time.monotonic()
        key = f"{self._run.claim.uuid}/{self._layer.path}"
        return self._fetcher.fetch(request, run=self._run, seconds=seconds, key=key)

    def inner(self, values: Mapping[str, Any], suffix: str) -> Any:
        """Run the layers inside of this one."""
        return self._inner.run(values, suffix)

    def each(self, count: int, work: Callable[[int], None], concurrency: int) -> None:
        """Do something for each number below `count`, so many at once."""
        self._inner.each(count, work, concurrency)

    def pipeline(self, handle: str, version: str, inputs: Mapping[str, Any]) -> Any:
        """Run another pipeline in the version that was pinned when the execution was accepted."""
        return self._pipelines.pipeline(self._layer.path, Reference(handle, version), inputs, self._inner.until)
