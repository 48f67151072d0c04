"""Tools that answer from a list or by a function, and remember what they were asked."""

from collections.abc import Callable, Mapping
from typing import Any

from shared import kinds, outside
from shared.outside import Question, Request, Response, Scope
from shared.plan import Answer


class Tools:
    """What a layer may ask for; answers come in their order, an error among them is raised, each question is kept.

    `inner` makes the output of a layer's inner layers from their further values, `responses` are what requests get.
    """

    def __init__(
        self, *answers: Any, inner: Callable[[Mapping[str, Any]], Any] | None = None, responses: Any = ()
    ) -> None:
        self.questions: list[Question] = []
        self.kept: list[tuple[Question, Answer]] = []
        self.requests: list[Request] = []
        self.runs: list[tuple[str, Mapping[str, Any]]] = []
        self.pipelines: list[tuple[str, str, Mapping[str, Any]]] = []
        self.searches: list[tuple[Any, str, int, Any]] = []
        self._answers = list(answers)
        self._inner = inner
        self._responses = list(responses)

    def ask(self, question: Question) -> Answer:
        """Give the next answer."""
        self.questions.append(question)
        found = self._answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def history(self, channel: str | None) -> outside.History:
        """Nothing was said before."""
        return outside.History()

    def keep(self, question: Question, answer: Answer) -> None:
        """Remember what was to be kept."""
        self.kept.append((question, answer))

    def inner(self, values: Mapping[str, Any], suffix: str) -> Any:
        """Give what `inner` makes of the values."""
        self.runs.append((suffix, values))
        return self._inner(values) if self._inner else None

    def each(self, count: int, work: Callable[[int], None], concurrency: int) -> None:
        """Work on one after the other; the first error ends it."""
        for number in range(count):
            work(number)

    def pipeline(self, handle: str, version: str, inputs: Mapping[str, Any]) -> Any:
        """Give the next answer's output."""
        self.pipelines.append((handle, version, inputs))
        return self._answers.pop(0).output

    def search(self, folder: Any, query: str, limit: int, *, tags: Any = ()) -> list[dict[str, Any]]:
        """Give the next answer's output."""
        self.searches.append((folder, query, limit, tags))
        return self._answers.pop(0).output

    def fetch(self, request: Request) -> Response:
        """Give the next response."""
        self.requests.append(request)
        return self._responses.pop(0)


def runner(kind: str) -> Callable[..., Answer]:
    """Run a layer of a kind: `run({"prompt": "Hi"}, {"name": "Ada"}, tools)`; its settings are checked as always."""
    module = kinds.kinds()[kind]

    def run(
        settings: Mapping[str, Any],
        values: Mapping[str, Any] | None = None,
        tools: Tools | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Answer:
        loaded = module.Settings().load({"kind": kind, **settings})
        return module.run(loaded, Scope(values or {}, variables or {}), tools or Tools())

    return run
