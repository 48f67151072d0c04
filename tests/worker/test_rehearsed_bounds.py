"""What a dry run bounds, against a model that takes what it may: a token a byte, the longest answers, all retries."""

import json
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import definition, inputs, kinds, outside, preflight, provider_settings, questions, rehearsals
from shared.errors import Invalid, LayerFailed
from shared.plan import SKIPPED, Answer, Call, Result, ToolCall, Usage
from tests.generated import INPUTS, definitions
from worker import engine
from worker.steps import Host, failure

PROVIDERS = provider_settings.read(
    "{paid: {base_url: 'http://127.0.0.1:1', models: [small, large]}, default: {default_max_tokens: 30}}",
    "{paid/small: {prompt: 1, completion: 2}, paid/*: {prompt: 9, completion: 20}, '*': {prompt: 3, completion: 1}}",
    default_model="demo",
)
#: A call of a tool without a word in it, in tokens.
LEAST_OF_CALL = 24
INNER = definition.read({
    "inputs": [{"name": "topic", "required": True}, {"name": "many", "type": "array"}],
    "properties": [
        {"name": "said", "layers": [{"kind": "prompt", "prompt": "On {{topic}}: {{many}}.", "max_tokens": 20}]}
    ],
    "output": "said",
}).plan


class Greedy:
    """Runs a plan with a model that answers at its last attempt, of whichever target the random numbers say."""

    def __init__(self, random):
        self.random = random
        self.calls = []
        self.host = Host(self.layer, lambda result, last: None, lambda work: False)

    def layer(self, layer, values, inner):
        try:
            answer = kinds.kinds()[layer.kind].run(layer.settings, outside.Scope(values), Tools(self, layer, inner))
        except LayerFailed as error:
            self.calls += error.calls
            return Result(layer.path, passed=False, seconds=0.0, error=str(error), reason=error.reason)
        self.calls += answer.calls
        skipped = answer.output is SKIPPED
        return Result(layer.path, passed=True, seconds=0.0, output=None if skipped else answer.output, skipped=skipped)


class Tools:
    """What the layers ask of."""

    def __init__(self, greedy, layer, inner):
        self.greedy, self.path, self._inner = greedy, layer.path, inner
        self.inner = inner.run

    def each(self, count, work, concurrency):
        for index in range(count):
            work(index)

    def pipeline(self, handle, version, given):
        bound, faults = inputs.bind(INNER, tuple(given.items()))
        if faults:
            raise LayerFailed("value_invalid", str(faults))
        outcome = engine.run(INNER, bound, {}, self.greedy.host, prefix=f"{self.path}/")
        if outcome.failures:
            raise failure(next(iter(outcome.failures.values())))
        return outcome.document

    def step(self, suffix, work):
        try:
            answer = work(self)
        except LayerFailed as error:
            self.greedy.calls += error.calls
            raise LayerFailed(error.reason, str(error)) from error
        self.greedy.calls += answer.calls
        return answer.output

    def tell(self, event, **fields):
        pass

    def history(self, channel):
        return outside.History()

    def ask(self, question):
        targets = questions.targets(question, PROVIDERS)
        random = self.greedy.random
        # One of them that could not be asked at all sends nothing.
        failing = targets[: random.randrange(len(targets))] if random.random() < 0.5 else []
        target = random.choice(targets[len(failing) :])
        sent = [each for each in failing for _ in range(question.attempts)]
        sent += [target] * random.randint(1, question.attempts)
        calls = [made(question, each, kept=index == len(sent) - 1) for index, each in enumerate(sent)]
        tokens, details = calls[-1].usage.completion_tokens, {"model": target.name}
        if question.tools and question.tool_choice is None and tokens > LEAST_OF_CALL and random.random() < 0.6:
            count = random.randint(1, tokens // LEAST_OF_CALL)
            wanted = tuple(called(tokens // count, index) for index in range(count))
            return Answer("", tuple(calls), str(uuid4()), details, wanted)
        return Answer(said(question, tokens, random), tuple(calls), str(uuid4()), details)


def called(tokens, index):
    """A call of a tool that comes to so many tokens, what stands around it included."""
    return ToolCall(str(index), "note", json.dumps({"text": "x" * (tokens - LEAST_OF_CALL)}))


def made(question, target, *, kept):
    """The call with the most tokens that are possible."""
    prompt, answer = questions.most_prompt_tokens(question), target.max_tokens(question.max_tokens) or 40
    usage = Usage(prompt, answer, prompt + answer)
    return Call(
        target.name, "answered" if kept else "provider_garbage", usage=usage, cost=target.cost(usage), kept=kept
    )


def said(question, tokens, random):
    """An answer of so many tokens, each of them a byte; where JSON is wanted it mostly is some."""
    if question.response_format is None or random.random() < 0.2:
        return ("ab \n" * tokens)[:tokens]
    items = ["a"] * ((tokens - 12) // 4)
    text = json.dumps({"value": items} if random.random() < 0.7 else items, separators=(",", ":"))
    return text if len(text) <= tokens else "1"[:tokens]


def spent(calls):
    used = sum((each.usage for each in calls), Usage())
    return used.total_tokens, sum(each.cost for each in calls), len(calls)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(definitions(), INPUTS, st.randoms(use_true_random=False))
def test_no_execution_takes_more_than_its_bounds(source, given_inputs, random):
    try:
        plan = definition.read(source).plan
    except Invalid:
        return
    if preflight.faults({"": plan}, PROVIDERS):
        return
    bound, _ = inputs.bind(plan, tuple(given_inputs.items()))
    told = rehearsals.rehearse(plan, bound, PROVIDERS, lambda reference: INNER)
    greedy = Greedy(random)

    engine.run(plan, bound, {}, greedy.host)

    at_once = all(each.kept for each in greedy.calls)
    for most in (told.with_retries, told.bound) if at_once else (told.with_retries,):
        tokens, cost, count = spent(greedy.calls)
        assert most.calls is not None
        assert count <= most.calls
        assert most.tokens is None or tokens <= most.tokens
        assert most.cost is None or cost <= most.cost
