"""What a layer may ask of the worker that runs it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from shared import outside
from shared.plan import Answer, Call, Input, Layer, Reference
from worker.fetching import Fetcher
from worker.providers.asking import Asking
from worker.providers.models import Models
from worker.remotes import Remotes
from worker.running import Run
from worker.searching import Searcher, Wanted
from worker.steps import Inner


class Pipelines(Protocol):
    """Who runs other pipelines inside of a layer, and pieces of its work."""

    def pipeline(self, path: str, reference: Reference, given: Mapping[str, Any], until: float) -> Any:
        """Return the document of a pipeline that was run under a path."""

    def declared(self, reference: Reference) -> tuple[Input, ...]:
        """Return the inputs of a pipeline."""

    def history(self, layer: Layer, channel: str | None) -> outside.History:
        """Return what a layer reads of the thread."""

    def step(self, layer: Layer, inner: Inner, suffix: str, work: Callable[[outside.Tools], Answer]) -> Any:
        """Return the output of a piece of a layer's work, which is done once."""


class Tools:
    """What a layer may ask of the worker: `outside.Tools`."""

    def __init__(
        self,
        pipelines: Pipelines,
        models: Models,
        fetcher: Fetcher,
        remotes: Remotes,
        searcher: Searcher,
        run: Run,
        layer: Layer,
        inner: Inner,
        sent_before: int,
    ) -> None:
        self._pipelines = pipelines
        self._models = models
        self._fetcher = fetcher
        self._remotes = remotes
        self._searcher = searcher
        self._run = run
        self._layer = layer
        self._inner = inner
        self._sent_before = sent_before
        self._spent: list[Call] = []

    def ask(self, question: outside.Question) -> Answer:
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
        answer = self._models.ask(question, asking)
        conversation = self._run.telling.conversation
        if conversation is not None and not question.stream:
            conversation.say_whole(self._layer.path, self._run.hide(answer.output or ""))
        return answer

    def history(self, channel: str | None) -> outside.History:
        """What was said on the thread before, as the layer's pipeline reads it."""
        return self._pipelines.history(self._layer, channel)

    def keep(self, question: outside.Question, answer: Answer) -> None:
        """Keep an answer for the organization, without the values of this execution's variables."""
        told = replace(answer, output=self._run.redactor.value(answer.output))
        self._models.keep(question, told, self._run.claim.organization_id)

    def fetch(self, request: outside.Request) -> outside.Response:
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

    def declared(self, handle: str, version: str) -> tuple[Input, ...]:
        """The inputs of another pipeline in the version that was pinned."""
        return self._pipelines.declared(Reference(handle, version))

    def step(self, suffix: str, work: Callable[[outside.Tools], Answer]) -> Any:
        """Do a piece of the layer's work once, with a checkpoint of its own."""
        return self._pipelines.step(self._layer, self._inner, suffix, work)

    def remote_tools(self, server: outside.Server) -> list[dict[str, Any]]:
        """What a server of the Model Context Protocol offers, asked within what is left of the layer's time."""
        return self._remotes.listed(server, run=self._run, seconds=self._inner.until - time.monotonic())

    def call_remote(self, server: outside.Server, name: str, arguments: Mapping[str, Any]) -> str:
        """Have such a server call a tool of its own."""
        seconds = self._inner.until - time.monotonic()
        return self._remotes.called(server, name, arguments, run=self._run, seconds=seconds)

    def search(
        self, folder: str | Sequence[str], query: str, limit: int, *, tags: Sequence[str] = ()
    ) -> list[dict[str, Any]]:
        """Search the organization's knowledge within what is left of the layer's time."""
        return self._searcher.search(
            Wanted(query, [folder] if isinstance(folder, str) else folder, tags, limit),
            run=self._run,
            path=self._layer.path,
            seconds=self._inner.until - time.monotonic(),
            tell=self._spend,
        )

    def tell(self, event: str, **fields: Any) -> None:
        """Tell those who watch what happens with the layer's tools."""
        if self._run.telling.conversation is not None:
            self._run.telling.conversation.note(self._layer.path, event, self._run.redactor.value(fields))

    def booked(self, answer: Answer) -> Answer:
        """A layer's answer with the calls that were sent for it beside its own."""
        return replace(answer, calls=(*self._spent, *answer.calls)) if self._spent else answer

    def _spend(self, call: Call) -> None:
        self._run.books.note(call)
        self._spent.append(call)
