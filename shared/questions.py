"""What a layer would ask a model, found out by running its kind with nobody to answer; and what that may come to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn, cast

from shared import bounds, rendering, strict_json
from shared.bounds import Bound, Guess
from shared.errors import LayerFailed
from shared.outside import History, Question, Request, Scope, Server, Tools
from shared.plan import Answer, Input, Usage
from shared.providers import Providers, Target

#: What is said of an answer that has to be made again, without the answer.
_COMPLAINT = 4_000


class Asked(Exception):
    """A model was asked, and this is the question."""

    def __init__(self, question: Question) -> None:
        self.question = question
        super().__init__()


class Outside(Exception):
    """Something else was asked for that is not here."""


class Recorder:
    """Tools that have nothing."""

    def ask(self, question: Question) -> NoReturn:
        """Tell of the question by raising it."""
        raise Asked(question)

    def history(self, channel: str | None) -> History:
        """What was said before is not read; a bound counts it at its most."""
        return History()

    def keep(self, *_: Any) -> NoReturn:
        """Never comes to it."""
        raise Outside

    def inner(self, values: Mapping[str, Any], suffix: str) -> NoReturn:
        """Nothing inside runs."""
        raise Outside

    def each(self, count: int, work: Callable[[int], None], concurrency: int) -> NoReturn:
        """Nothing inside runs."""
        raise Outside

    def pipeline(self, handle: str, version: str, inputs: Mapping[str, Any]) -> NoReturn:
        """No pipeline runs."""
        raise Outside

    def fetch(self, request: Request) -> NoReturn:
        """Nobody is asked."""
        raise Outside

    def step(self, suffix: str, work: Callable[[Tools], Answer]) -> Any:
        """Do the work, as far as that goes."""
        return work(cast(Tools, self)).output

    def declared(self, handle: str, version: str) -> tuple[Input, ...]:
        """Nothing is known of other pipelines; a question that offers one has no bound."""
        return ()

    def remote_tools(self, server: Server) -> list[dict[str, Any]]:
        """Nobody is asked; a question that offers what is elsewhere has no bound."""
        return []

    def call_remote(self, server: Server, name: str, arguments: Mapping[str, Any]) -> NoReturn:
        """Nobody is asked."""
        raise Outside

    def tell(self, event: str, **fields: Any) -> None:
        """Nobody is told."""


class Partial(Scope):
    """A scope in which some names stand for values that are not there yet: references to them stay as they are."""

    def __init__(self, scope: Mapping[str, Guess]) -> None:
        super().__init__({name: each.value for name, each in scope.items() if each.known})
        object.__setattr__(self, "_guesses", scope)
        object.__setattr__(self, "_sizes", [])

    @property
    def whole(self) -> bool:
        """True where nothing was asked for that is not there yet."""
        return not self._sizes  # type: ignore[attr-defined]

    @property
    def unknown(self) -> int | None:
        """How large what stood for itself may be, all of it together."""
        return bounds.total(self._sizes)  # type: ignore[attr-defined]

    def render(self, text: str) -> str:
        """Fill what is there; LayerFailed where that makes too much of it."""
        self._sizes.extend(self._guesses[name].size for name in self._missing(text))  # type: ignore[attr-defined]
        found = rendering.REFERENCE.sub(self._known, text)
        if len(found) > rendering.MOST_CHARACTERS:
            raise LayerFailed("value_invalid", f"it renders to more than {rendering.MOST_CHARACTERS} characters")
        return found

    def value(self, text: str) -> Any:
        """The value of a text, the text itself where that is not there yet."""
        whole = rendering.REFERENCE.fullmatch(text.strip())
        if whole and whole["name"] in self.values:
            return rendering.follow(self.values[whole["name"]], whole["path"])
        return self.render(text)

    def has(self, text: str) -> bool:
        """True where its names may stand for something."""
        return self._guesses.keys() >= set(rendering.references(text).names)  # type: ignore[attr-defined]

    def _missing(self, text: str) -> list[str]:
        """The names of what is not there yet, as often as a text refers to it; a variable's is `${NAME}`."""
        names = [match["name"] or match[0] for match in rendering.REFERENCE.finditer(text)]
        return [name for name in names if name not in self.values]

    def _known(self, match: Any) -> str:
        if match["name"] is None or match["name"] not in self.values:
            return str(match[0])
        return rendering.as_text(rendering.follow(self.values[match["name"]], match["path"]))


@dataclass(frozen=True, slots=True)
class Spent:
    """What a question may come to: answered at once by whichever model, and with every attempt used up."""

    bound: Bound
    with_retries: Bound
    longest_answer: int | None


def targets(question: Question, providers: Providers) -> list[Target]:
    """The models that may be asked, in their order; LayerFailed where one is not offered, or not in the way wanted."""
    named = [providers.find(name) for name in (question.model, *question.fallback)]
    for each in named:
        if question.background and not each.provider.responses:
            raise LayerFailed("config", f"the provider {each.provider.name} makes no answers in the background")
        if question.domains is not None and not each.provider.web_search:
            raise LayerFailed("config", f"the provider {each.provider.name} does not search the web")
    return list({each.name: each for each in named}.values())


def bounds_of(question: Question, unknown: int | None, providers: Providers) -> Spent:
    """What a question may come to; `unknown` is how much is still missing in it."""
    # What a provider finds in the web it counts as part of the prompt.
    prompt = None if question.domains is not None else bounds.add(most_prompt_tokens(question), unknown)
    found = targets(question, providers)
    once, answers = Bound(), [each.max_tokens(question.max_tokens) for each in found]
    with_retries = Bound()
    for target, answer in zip(found, answers, strict=True):
        again = prompt
        if question.response_format is not None:
            # The answer that is asked for again is shown, with what is wrong in it.
            again = bounds.add(prompt, bounds.add(bounds.multiply(answer, 3 * bounds.READ_AGAIN), _COMPLAINT))
        once |= _rounds(question, target, prompt, answer)
        with_retries += _rounds(question, target, again, answer).times(question.attempts)
    longest: int | None = 0
    for answer in answers:
        longest = bounds.larger(longest, answer)
    # A text is put together of what was said in each round.
    return Spent(once, with_retries, _times(longest, question.rounds))


def most_prompt_tokens(question: Question) -> int:
    """No fewer than a provider will count: a token is a byte of text at least, with a few around each message."""
    texts = sum(len((each["content"] or "").encode(errors="replace")) for each in question.messages)
    schema = len(strict_json.dumps(question.response_format).encode()) if question.response_format else 0
    if question.tools:
        called = [each["tool_calls"] for each in question.messages if "tool_calls" in each]
        schema += len(strict_json.dumps([question.tools, called]).encode())
    return texts + schema + 16 * (len(question.messages) + len(question.tools) + 1)


def _rounds(question: Question, target: Target, prompt: int | None, answer: int | None) -> Bound:
    """What a model may come to that is asked in rounds: each reads all that was said before, and what tools gave."""
    rounds = question.rounds
    if rounds == 1:
        return _bound(target, prompt, answer)
    more = bounds.add(bounds.multiply(answer, bounds.READ_AGAIN), question.more_tokens)
    grown = _times(more, None if rounds is None else rounds * (rounds - 1) // 2)
    return replace(_bound(target, bounds.add(_times(prompt, rounds), grown), _times(answer, rounds)), calls=rounds)


def _bound(target: Target, prompt: int | None, answer: int | None) -> Bound:
    cost = None if prompt is None or answer is None else target.cost(Usage(prompt, answer, prompt + answer))
    return Bound(1, prompt, answer, cost)


def _times(size: int | None, count: int | None) -> int | None:
    return None if count is None else bounds.multiply(size, count)
