"""Sends one call: within its time, in one of the process's places, and written into the books before it leaves."""

import time
from collections.abc import Callable
from dataclasses import replace

import openai

from shared import metrics, questions
from shared.errors import LayerFailed
from shared.ledger import Intent
from shared.outside import Question
from shared.plan import Call, Usage
from shared.providers import USUAL_TOKENS
from shared.seats import Seats
from shared.settings import Settings
from worker.alarms import Alarms
from worker.calls import DEADLINE
from worker.deltas import Deltas
from worker.providers import chat, faults, streaming, transport
from worker.providers.asking import Asking, Line, Reply, Request
from worker.providers.background import Background
from worker.providers.client import Clients
from worker.providers.faults import ProviderFault

#: Says how many seconds are left.
Left = Callable[[], float]
#: Is told of each call that was sent.
Tell = Callable[[Call], None]


class Sender:
    """Sends calls; one for the process."""

    def __init__(self, settings: Settings, alarms: Alarms) -> None:
        self._alarms = alarms
        self._in_flight = Seats(settings.calls_in_flight)
        self._max_bytes = settings.max_answer_bytes
        self._clients = Clients(max_answer_bytes=settings.max_answer_bytes)
        self._background = Background(alarms)

    def close(self) -> None:
        """Close the idle connections."""
        self._clients.close()

    def send(self, question: Question, line: Line, asking: Asking, left: Left, tell: Tell) -> Reply:
        """Send a call and read its answer; ProviderFault where there is none.

        LayerFailed where the execution's budget does not allow it, Stopped when the run is to stop.
        """
        prompt, wanted = questions.most_prompt_tokens(question), line.target.max_tokens(question.max_tokens)
        with (
            asking.books.allow(line.target, prompt, wanted, seconds=left()) as bound,
            _Place(self._in_flight, asking, left),
            asking.run.call() as call,
        ):
            estimate = usage_at_most(prompt, bound)
            number = asking.books.open(asking.path, line.target, estimate)
            exchange = transport.Exchange(call, max(left(), 0.001))
            return self._settled(Request(question, line, asking, exchange, bound, number), estimate, tell)

    def fetch(self, question: Question, line: Line, asking: Asking, left: Left, tell: Tell, intent: Intent) -> Reply:
        """Wait for an answer that an earlier attempt has asked for in the background; raises as above."""
        with _Place(self._in_flight, asking, left), asking.run.call() as call:
            exchange = transport.Exchange(call, max(left(), 0.001), sent=True)
            request = Request(question, line, asking, exchange, None, intent.number, intent.response_id)
            return self._settled(request, intent.estimate, tell)

    def tell_whole(self, question: Question, asking: Asking, text: str) -> None:
        """Tell an answer that is there already as one that has come, if that is wanted."""
        if question.stream:
            deltas = Deltas(asking.run.telling, asking.path, self._alarms)
            deltas.add(text)
            deltas.end()

    def _settled(self, request: Request, estimate: Usage, tell: Tell) -> Reply:
        """Have an answer, or a fault, with what is to be booked for it."""
        line, asking, exchange = request.line, request.asking, request.exchange
        try:
            reply = self._timed(request)
        except ProviderFault as fault:
            metrics.called(fault.reason)
            fault.sent, fault.headers = exchange.sent, exchange.headers
            # A provider may say which key it does not take.
            fault.hide(line.credential.key)
            if not fault.sent:
                asking.books.drop(request.number)
            # What is still open in the books when a run stops is booked with it.
            asking.run.check()
            if fault.sent:
                tell(_failed(fault, line, request.number, estimate))
            raise
        metrics.called("answered")
        tell(_answered(reply.usage, line, request.number))
        return replace(reply, headers=exchange.headers)

    def _timed(self, request: Request) -> Reply:
        exchange = request.exchange
        alarm = self._alarms.after(exchange.seconds, lambda: exchange.call.cut(DEADLINE))
        token = transport.exchange.set(exchange)
        try:
            return self._spoken(request)
        except LayerFailed:
            raise
        except openai.APIStatusError as error:
            raise faults.from_status(error) from error
        except openai.APIConnectionError as error:
            if exchange.call.cut_by == DEADLINE:
                raise faults.timed_out(exchange.seconds) from error
            raise faults.from_connection(error, exchange.seconds) from error
        except (ValueError, RecursionError) as error:
            raise faults.garbage(f"the provider's answer is not JSON: {error}"[:500]) from error
        finally:
            transport.exchange.reset(token)
            alarm.cancel()

    def _spoken(self, request: Request) -> Reply:
        client = self._clients.of(request.line.target.provider)
        if request.response_id is not None:
            return self._background.fetch(client, request, request.response_id)
        if request.question.background:
            return self._background.ask(client, request)
        if request.question.stream:
            return streaming.ask(client, request, self._alarms, max_bytes=self._max_bytes)
        return chat.ask(client, request)


def usage_at_most(prompt_tokens: int, max_tokens: int | None) -> Usage:
    """What a call is estimated at."""
    completion = max_tokens or USUAL_TOKENS
    return Usage(prompt_tokens, completion, prompt_tokens + completion)


def _answered(usage: Usage | None, line: Line, number: int) -> Call:
    cost = None if usage is None else line.target.cost(usage)
    return Call(line.target.name, "answered", number=number, usage=usage, cost=cost)


def _failed(fault: ProviderFault, line: Line, number: int, estimate: Usage) -> Call:
    usage = estimate if fault.lost else fault.usage
    cost = None if usage is None else line.target.cost(usage)
    return Call(line.target.name, fault.reason, number=number, usage=usage, cost=cost, uncertain=fault.lost)


class _Place:
    """Holds one of the process's places for calls in flight; waiting for it ends with the run or the time."""

    def __init__(self, places: Seats, asking: Asking, left: Left) -> None:
        self._places = places
        self._asking = asking
        self._left = left

    def __enter__(self) -> None:
        if not self._places.take():
            self._asking.books.catch_up(self._asking.path)
            self._wait()

    def __exit__(self, *_: object) -> None:
        self._places.give_back()

    def _wait(self) -> None:
        started = time.monotonic()
        while not self._places.take(max(0.0, min(0.5, self._left()))):
            self._asking.run.check()
            if self._left() <= 0:
                text = f"no call was free to be sent in {time.monotonic() - started:.1f} s"
                raise ProviderFault("provider_timeout", text, retryable=False)
