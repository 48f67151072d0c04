"""Asks models: the one that a question names, then those that it may fall back to, each for its share of the time."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from shared import questions
from shared.errors import LayerFailed, Parked
from shared.outside import Question
from shared.plan import Answer, Call
from shared.providers import Target
from shared.settings import Settings
from worker.alarms import Alarms
from worker.providers import cache
from worker.providers.asking import Asking, Line, Reply
from worker.providers.credentials import Credentials
from worker.providers.embeddings import Embeddings
from worker.providers.faults import ProviderFault
from worker.providers.pacing import Pacing
from worker.providers.retries import Postponed, Retries
from worker.providers.sending import Sender
from worker.providers.trying import Tries


class Models:
    """Every model that this process can reach."""

    def __init__(self, settings: Settings, alarms: Alarms, credentials: Credentials, pacing: Pacing) -> None:
        self._providers = settings.known_providers(os.environ)
        self._credentials = credentials
        self._sender = Sender(settings, alarms)
        self._tries = Tries(self._sender, pacing)
        self._retries = Retries()
        self._result_seconds = settings.result_seconds
        self.embeddings = Embeddings(settings, alarms, credentials)

    def close(self) -> None:
        """Close the idle connections."""
        self.embeddings.close()
        self._sender.close()

    def ask(self, question: Question, asking: Asking) -> Answer:
        """Ask until a model answers, or none is left to ask, or the time is over.

        LayerFailed with the provider's words where there is no answer; Parked where there may be one after a wait that
        is not worth a slot, and that the execution's deadline allows; Stopped when the run is to stop. Every one of
        them but the last has the calls that were sent.
        """
        calls, until = _Calls(asking), time.monotonic() + asking.seconds
        try:
            return self._resumed(question, asking, calls, until) or self._answered(question, asking, calls, until)
        except (LayerFailed, Parked) as error:
            error.calls = calls.made()
            raise

    def keep(self, question: Question, answer: Answer, organization_id: int) -> None:
        """Keep an answer to a question for as long as that says."""
        for target in questions.targets(question, self._providers):
            if target.name == answer.details.get("model"):
                cache.keep(question, target, answer, organization_id, at_most_seconds=self._result_seconds)

    def _answered(self, question: Question, asking: Asking, calls: "_Calls", until: float) -> Answer:
        targets = questions.targets(question, self._providers)
        turns = list(_turns(targets, question.attempts, asking.sent_before))
        waits: list[Postponed] = []
        failure: LayerFailed = LayerFailed("provider_error", "every attempt was made before the wait")
        for index, (target, attempts) in enumerate(turns):
            others = len(turns) - index - 1
            due = time.monotonic() + (until - time.monotonic()) / (others + 1)
            try:
                reply = self._asked(question, target, asking, calls, attempts=attempts, until=due, last=not others)
            except Postponed as postponed:
                waits.append(postponed)
                failure = postponed.fault
            except ProviderFault as fault:
                failure = fault
                if not fault.falls_back:
                    raise
            else:
                return _answer(reply, target, targets[0], calls)
        wait = min((each.seconds for each in waits), default=None)
        if wait is not None and time.monotonic() + wait < asking.run.deadline_at:
            calls.ask_again()
            raise Parked(wait) from failure
        raise failure

    def _resumed(self, question: Question, asking: Asking, calls: "_Calls", until: float) -> Answer | None:
        """The answer that an earlier attempt has asked for in the background, where that can still be had."""
        if not question.background:
            return None
        targets = questions.targets(question, self._providers)
        for intent in asking.books.prior(asking.path):
            target = next((each for each in targets if each.name == intent.model), None)
            if target is None:
                continue
            line = Line(target, self._credentials.key(asking.organization_id, target.provider))
            calls.ask_again()
            try:
                reply = self._sender.fetch(question, line, asking, lambda: until - time.monotonic(), calls.add, intent)
            except ProviderFault as fault:
                if not (fault.retryable or fault.falls_back):
                    raise
            else:
                return _answer(reply, target, targets[0], calls)
        return None

    def _asked(
        self,
        question: Question,
        target: Target,
        asking: Asking,
        calls: "_Calls",
        *,
        attempts: int,
        until: float,
        last: bool,
    ) -> Reply:
        if (kept := cache.find(question, target, asking.organization_id)) is not None:
            self._sender.tell_whole(question, asking, kept)
            return Reply(kept, cached=True)
        line = Line(target, self._credentials.key(asking.organization_id, target.provider))

        def left() -> float:
            return until - time.monotonic()

        def rest(seconds: float) -> None:
            asking.run.stopping.wait(seconds)
            asking.run.check()

        def once() -> Reply:
            calls.ask_again()
            return self._tries.once(question, line, asking, left, calls.add, patient=last)

        return self._retries.run(once, line=line.name, attempts=attempts, left=left, rest=rest)


class _Calls:
    """The calls of one question; those that were followed by another try are not kept."""

    def __init__(self, asking: Asking) -> None:
        self._books = asking.books
        self._made: list[Call] = []
        self._void = 0

    def add(self, call: Call) -> None:
        self._books.note(call)
        self._made.append(call)

    def ask_again(self) -> None:
        self._void = len(self._made)

    def made(self) -> tuple[Call, ...]:
        # They are kept until they are followed by another try.
        return (*(replace(each, kept=False) for each in self._made[: self._void]), *self._made[self._void :])


def _turns(targets: list[Target], attempts: int, sent_before: int) -> Iterator[tuple[Target, int]]:
    """Who may be asked how often, less what was sent before: the first ones were asked first."""
    for target in targets:
        used = min(attempts, sent_before)
        sent_before -= used
        if used < attempts:
            yield target, attempts - used


def _answer(reply: Reply, target: Target, first: Target, calls: _Calls) -> Answer:
    details: dict[str, Any] = {"model": target.name, **reply.told}
    if reply.cached:
        details[cache.CACHED] = True
    if target.name != first.name:
        details["fallback_from"] = first.name
    return Answer(reply.text, calls.made(), reply.response_id, details, reply.tool_calls)
