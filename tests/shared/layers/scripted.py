"""Tools that answer from a list, and remember what they were asked."""

from collections.abc import Callable, Mapping
from typing import Any

from shared import kinds
from shared.kinds import Question, Scope
from shared.plan import Answer


class Tools:
    """What a layer may ask for; answers come in their order, each question is kept."""

    def __init__(self, *answers: Answer) -> None:
        self.questions: list[Question] = []
        self._answers = list(answers)

    def ask(self, question: Question) -> Answer:
        """Give the next answer."""
        self.questions.append(question)
        return self._answers.pop(0)


def runner(kind: str) -> Callable[..., Answer]:
    """Run a layer of a kind: `run({"prompt": "Hi"}, {"name": "Ada"}, tools)`; its settings are checked as always."""
    module = kinds.kinds()[kind]

    def run(settings: Mapping[str, Any], values: Mapping[str, Any] | None = None, tools: Tools | None = None) -> Answer:
        loaded = module.Settings().load({"kind": kind, **settings})
        return module.run(loaded, Scope(values or {}), tools or Tools())

    return run
