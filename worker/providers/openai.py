"""Any OpenAI-compatible server, through the openai package: one try policy, a wall-clock deadline, the usage kept."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Any, cast

import httpx2
import openai
from openai._models import FinalRequestOptions
from tenacity import RetryCallState, Retrying, retry_if_exception

from shared import metrics, strict_json
from shared.errors import LayerFailed
from shared.kinds import Question
from shared.plan import Answer, Usage
from shared.settings import Settings
from worker.alarms import Alarms
from worker.calls import DEADLINE, Call
from worker.providers import faults, transport
from worker.running import Run

PATH = "/chat/completions"
#: Full jitter: a wait is anywhere between nothing and this many seconds, doubled at each retry up to the longest.
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 20.0


#: Says how many seconds are left.
Left = Callable[[], float]


class _Client(openai.OpenAI):
    """The package's client for one path: its requests differ in their body and the ids that go with them.

    What is alike is made once; putting a request together anew cost more than sending it.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._url = httpx2.URL(str(self.base_url).rstrip("/") + PATH)
        self._alike = {
            "Authorization": f"Bearer {self.api_key}",
            "Accept": "application/json",
            # What is not asked for is not sent compressed: a small body cannot become a large one.
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": self.user_agent,
        }

    def _build_request(self, options: FinalRequestOptions, *, retries_taken: int = 0) -> httpx2.Request:
        body = strict_json.dumps(options.json_data).encode()
        ids = cast(dict[str, str], options.headers or {})
        return httpx2.Request("POST", self._url, headers={**self._alike, **ids}, content=body)


class OpenAI:
    """One client for the whole process; building one costs more than thirty calls."""

    def __init__(self, settings: Settings, alarms: Alarms) -> None:
        self._alarms = alarms
        self._default_model = settings.default_model
        self._in_flight = BoundedSemaphore(settings.calls_in_flight)
        self._client = _Client(
            # A server without keys still wants the package to have one.
            api_key=settings.openai_api_key or "none",
            base_url=settings.openai_base_url or None,
            max_retries=0,
            http_client=transport.Client(transport.Transport(max_bytes=settings.max_answer_bytes)),
        )

    def close(self) -> None:
        """Close the idle connections."""
        self._client.close()

    def ask(self, question: Question, *, run: Run, seconds: float, headers: Mapping[str, str]) -> Answer:
        """Ask until there is an answer, the attempts are used up, or the time is.

        LayerFailed with the provider's body where there is none; Stopped when the run is to stop.
        """
        until = time.monotonic() + seconds
        calls, wasted = 0, Usage()

        def left() -> float:
            return until - time.monotonic()

        def attempt() -> Answer:
            nonlocal calls, wasted
            calls += 1
            try:
                return self._call(question, run, left, headers)
            except LayerFailed as error:
                wasted += error.usage or Usage()
                raise

        policy = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, faults.ProviderFault) and error.retryable),
            stop=lambda state: state.attempt_number >= question.attempts or state.upcoming_sleep >= left(),
            wait=_wait,
            sleep=lambda wait: _rest(run, wait),
            reraise=True,
        )
        try:
            answer = policy(attempt)
        except LayerFailed as error:
            error.calls, error.usage = calls, wasted if wasted.total_tokens else error.usage
            raise
        usage = (answer.usage or Usage()) + wasted if wasted.total_tokens else answer.usage
        return Answer(answer.output, usage, answer.provider_response_id, calls)

    def _call(self, question: Question, run: Run, left: Left, headers: Mapping[str, str]) -> Answer:
        with _place(self._in_flight, run, left), run.call() as call:
            seconds = max(left(), 0.001)
            alarm = self._alarms.after(seconds, lambda: call.cut(DEADLINE))
            token = transport.bounds.set(transport.Bounds(call, seconds))
            try:
                answer = self._send(question, headers)
            except LayerFailed as error:
                run.check()
                metrics.called(error.reason)
                raise
            except openai.APIStatusError as error:
                raise _counted(faults.from_status(error)) from error
            except openai.APIConnectionError as error:
                run.check()
                raise _counted(_broken(error, call, seconds)) from error
            except (ValueError, RecursionError) as error:
                raise _counted(faults.garbage(f"the provider's answer is not JSON: {error}"[:500])) from error
            finally:
                transport.bounds.reset(token)
                alarm.cancel()
        metrics.called("answered")
        return answer

    def _send(self, question: Question, headers: Mapping[str, str]) -> Answer:
        # `post` rather than `chat.completions.create`: the same request without the walk over every message's types,
        # which is two fifths of a call's cost.
        found = self._client.post(
            PATH,
            body=_body(question, self._default_model),
            cast_to=object,
            options={"headers": dict(headers)},
        )
        return read(found)


def read(found: object) -> Answer:
    """Read a chat completion; ProviderFault where it is none, is cut short, or is a refusal."""
    if not isinstance(found, dict):
        raise faults.garbage("the provider's answer is no JSON object")
    usage = _usage(found.get("usage"))
    if usage is not None:
        metrics.tokens(usage.prompt_tokens, usage.completion_tokens)
    choices = found.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    content, refusal = message.get("content"), message.get("refusal")
    if choice.get("finish_reason") == "content_filter" or (refusal and not content):
        text = str(refusal or "the provider's content filter stopped the answer")
        raise faults.ProviderFault("provider_refused", text, retryable=False, usage=usage)
    if choice.get("finish_reason") == "length":
        text = f"the answer was cut at its token limit:\n{content or ''}"
        raise faults.ProviderFault("output_truncated", text, retryable=False, usage=usage)
    if not isinstance(content, str):
        raise faults.ProviderFault("provider_empty", "the answer has no content", retryable=True, usage=usage)
    response_id = found.get("id")
    return Answer(content, usage, response_id if isinstance(response_id, str) else None)


def _body(question: Question, default_model: str) -> dict[str, Any]:
    optional = {
        "temperature": question.temperature,
        "max_tokens": question.max_tokens,
        "response_format": question.response_format,
    }
    return {
        "model": question.model or default_model,
        "messages": question.messages,
        **{name: value for name, value in optional.items() if value is not None},
    }


def _usage(found: object) -> Usage | None:
    if not isinstance(found, dict):
        return None
    prompt, completion = (_count(found.get(name)) for name in ("prompt_tokens", "completion_tokens"))
    return Usage(prompt, completion, _count(found.get("total_tokens")) or prompt + completion)


def _count(found: object) -> int:
    # More than any model reads in a year is nonsense, and would not fit where the tokens are added up.
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 1 << 40 else 0


def _broken(error: openai.APIConnectionError, call: Call, seconds: float) -> faults.ProviderFault:
    return faults.timed_out(seconds) if call.cut_by == DEADLINE else faults.from_connection(error, seconds)


def _counted(fault: faults.ProviderFault) -> faults.ProviderFault:
    metrics.called(fault.reason)
    return fault


def _wait(state: RetryCallState) -> float:
    """Seconds until the next try: what the provider asks for, else full jitter."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_seconds if isinstance(error, faults.ProviderFault) else None
    if asked is not None:
        return asked
    longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** (state.attempt_number - 1))
    return random.uniform(0, longest)  # noqa: S311


def _rest(run: Run, seconds: float) -> None:
    run.stopping.wait(seconds)
    run.check()


@contextmanager
def _place(places: BoundedSemaphore, run: Run, left: Left) -> Iterator[None]:
    """Hold one of the process's places for calls in flight; waiting for it ends with the run or the time."""
    while not places.acquire(timeout=max(0.0, min(0.5, left()))):
        run.check()
        if left() <= 0:
            raise faults.timed_out(0.0)
    try:
        yield
    finally:
        places.release()
