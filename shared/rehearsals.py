"""Goes through what an execution would do, and asks nobody: each layer as far as it is known, and bounds on its cost.

What can be computed of the inputs alone is computed. What comes of a model stands for itself as a reference, and counts
with the most that it may be. Where it is not known whether something runs, it counts as if it did.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from shared import bounds, guesses, inputs, kinds, preflight, questions, rendering, sizes
from shared.bounds import Bound, Guess
from shared.errors import LayerFailed
from shared.memory import BYTES_OF_TOKEN
from shared.plan import PREVIOUS, SKIPPED, Layer, Plan, Property, Reference
from shared.providers import Providers
from shared.questions import Asked, Outside, Partial, Recorder
from shared.rehearsal import Part, Rehearsal, Step, deep

#: Layers that are gone through at most, each as often as it is; beyond that nothing is bounded.
MOST_STEPS = 20_000
#: Characters of questions and of computed values, all together.
MOST_CHARACTERS = 32 << 20
#: Rounds of a loop in which what they give may still grow.
_ROUNDS = 4
#: A number that counts items or rounds, as text.
_NUMBER = Guess(size=5)


class TooLarge(Exception):
    """More layers, or more text in them, than are gone through."""


def rehearse(
    plan: Plan,
    given: Mapping[str, Any],
    providers: Providers,
    pinned: Callable[[Reference], Plan],
    *,
    on_thread: bool = False,
    variables: Mapping[str, int] | None = None,
) -> Rehearsal:
    """Go through a plan with its inputs; TooLarge where that is too much.

    Of variables only the sizes are wanted: what they hold stands in no answer.
    """
    scope = {name: Guess.of(value) for name, value in given.items()}
    walk = _Walk(providers, pinned, on_thread=on_thread)
    walk.variables = {f"${{{name}}}": Guess(size=size) for name, size in (variables or {}).items()}
    parts, _ = walk.plan(plan, scope, "")
    steps = [step for part in parts for step in part.steps]
    return Rehearsal(
        tuple(parts),
        sum((step.bound for step in steps), Bound()),
        sum((step.with_retries for step in steps), Bound()),
        tuple(f"{each.path}: {text}" for each in deep(steps) for text in each.warnings),
        tuple(each.path for each in deep(steps) if not each.inner and None in (each.bound.calls, each.bound.tokens)),
    )


class _Fails(Exception):
    """A layer that is known to fail, and its property with it."""


class _Walk:
    """Goes through plans, and plans inside of plans."""

    def __init__(self, providers: Providers, pinned: Callable[[Reference], Plan], *, on_thread: bool) -> None:
        #: By `${NAME}`.
        self.variables: Mapping[str, Guess] = {}
        self._on_thread = on_thread
        self._providers = providers
        self._pinned = pinned
        self._steps_left = MOST_STEPS
        self._characters_left = MOST_CHARACTERS

    def plan(self, plan: Plan, scope: dict[str, Guess], prefix: str) -> tuple[list[Part], dict[str, Guess]]:
        """Every property, each behind those that it needs; and the values that there are then."""
        parts = []
        scope = {f"${{{name}}}": Guess() for name in plan.variables} | dict(self.variables) | scope
        for each in plan.ordered():
            part, value = self._property(each, dict(scope), prefix)
            parts.append(part)
            if value is not None:
                scope[each.name] = value
        return parts, scope

    def _property(self, each: Property, scope: dict[str, Guess], prefix: str) -> tuple[Part, Guess | None]:
        needs = tuple(sorted(each.needs))
        runs = guesses.runs(each.needs - each.optional, each.when, scope)
        if runs == "no":
            return Part(each.name, needs, runs, ()), None
        steps: list[Step] = []
        try:
            value = self._layers(each.layers, f"{prefix}{each.name}", scope, steps)
        except _Fails:
            value = Guess.of(each.default) if each.on_error == "default" else None
        else:
            sure = all(step.runs == "no" or (step.output is not None and step.output.known) for step in steps)
            value = value if sure or value is None else guesses.with_default(each, value)
        if value is not None and runs == "maybe":
            value = value.doubtful()
        return Part(each.name, needs, runs, tuple(steps)), value

    def _layers(self, found: Iterable[Layer], prefix: str, scope: dict[str, Guess], steps: list[Step]) -> Guess | None:
        """Layers in their order, put into `steps`; returns what the last one gives, None where nothing runs."""
        given: Guess | None = None
        for layer in found:
            self._steps_left -= 1
            if self._steps_left < 0:
                raise TooLarge
            step = Step(f"{prefix}/{layer.segment}", layer.kind, layer.timeout_seconds)
            steps.append(step)
            step.runs = guesses.runs(layer.reads, layer.when, scope)
            if step.runs == "no":
                continue
            output = self._layer(layer, step, scope)
            if output is None:
                step.runs = "no"
                continue
            if step.runs == "maybe":
                before = scope.get(PREVIOUS)
                given = given.or_else(output) if given else output.doubtful()
                scope[PREVIOUS] = before.or_else(output) if before else output.doubtful()
            else:
                given = scope[PREVIOUS] = output
            step.output = output
            if layer.name is not None:
                scope[layer.name] = output if step.runs == "yes" else output.doubtful()
        return given

    def _layer(self, layer: Layer, step: Step, scope: dict[str, Guess]) -> Guess | None:
        """One layer that may run: what it gives, None where it is skipped after all."""
        try:
            if layer.kind == "map":
                return self._map(layer, step, scope)
            if layer.kind == "loop":
                return self._loop(layer, step, scope)
            reference = kinds.pipeline(layer.settings)
            if reference is not None:
                return self._pipeline(layer, reference, step, scope)
            return self._simple(layer, step, scope)
        except LayerFailed as error:
            step.warnings.append(f"fails with {error.reason}: {error}")
            raise _Fails from error

    def _simple(self, layer: Layer, step: Step, scope: dict[str, Guess]) -> Guess | None:
        reads = [read for read in kinds.reads(layer.settings) if read.name in scope]
        # What may be skipped is as good as known, but for who can do without it.
        known = all(scope[each.name].known and (scope[each.name].certain or not each.optional) for each in reads)
        known = known and not any(rendering.references(text).variables for _, text in kinds.texts(layer.settings))
        partial = Partial(scope)
        try:
            if known or layer.kind in preflight.asking():
                answer = kinds.kinds()[layer.kind].run(layer.settings, partial, Recorder())
                return None if answer.output is SKIPPED else self._counted(Guess.of(answer.output))
        except Asked as asked:
            step.question = asked.question
            self._counted(Guess(size=questions.most_prompt_tokens(asked.question)))
            unknown = bounds.add(partial.unknown, self._before(layer))
            spent = questions.bounds_of(asked.question, unknown, self._providers)
            step.bound, step.with_retries = spent.bound, spent.with_retries
            return Guess(size=bounds.multiply(spent.longest_answer, bounds.READ_AGAIN))
        except Outside:
            pass
        return Guess(size=sizes.of_output(layer.kind, layer.settings, scope))

    def _before(self, layer: Layer) -> int:
        """How many tokens of what was said on the thread a layer may read; the window is counted in larger ones."""
        reads = self._on_thread and layer.memory.reads
        return layer.memory.history_tokens * BYTES_OF_TOKEN if reads else 0

    def _counted(self, found: Guess) -> Guess:
        self._characters_left -= found.size or 0
        if self._characters_left < 0:
            raise TooLarge
        return found

    def _map(self, layer: Layer, step: Step, scope: dict[str, Guess]) -> Guess:
        found = guesses.filled(layer.settings["items"], scope)
        most = layer.settings["max_items"]
        if found.known:
            if not isinstance(found.value, list) or len(found.value) > most:
                raise LayerFailed("value_invalid", f"map needs a list of at most {most} items")
            count = len(found.value)
            item = Guess(size=max((Guess.of(each).size or 0 for each in found.value), default=0))
        else:
            count = most if found.size is None else min(most, found.size)
            item = Guess(size=found.size)
        inner = {layer.settings["as"]: item, "index": _NUMBER, PREVIOUS: item}
        output = self._inside(layer, step, {**scope, **inner}, count)
        each_size = output.size if output is not None else 4
        return Guess(size=bounds.add(bounds.multiply(bounds.add(bounds.multiply(each_size, 2), 4), count), 2))

    def _loop(self, layer: Layer, step: Step, scope: dict[str, Guess]) -> Guess:
        most = layer.settings["max_rounds"]
        seen = Guess(size=scope.get(PREVIOUS, _NUMBER).size)
        largest: int | None = 0
        bound, with_retries = Bound(), Bound()
        for number in range(1, most + 1):
            step.inner.clear()
            found = self._inside(layer, step, {**scope, "round": _NUMBER, PREVIOUS: seen}, 1) or _NUMBER
            # Once a round gives no more than it was given, or was given anything, all others are like it.
            settled = found.size == seen.size or seen.size is None
            rounds = most - number + 1 if settled else 1
            bound, with_retries = bound + step.bound.times(rounds), with_retries + step.with_retries.times(rounds)
            largest = bounds.larger(largest, found.size)
            if settled:
                break
            seen = Guess(size=found.size if number < _ROUNDS else None)
        step.bound, step.with_retries = bound, with_retries
        for each in step.inner:
            each.times = most
        return Guess(size=largest)

    def _inside(self, layer: Layer, step: Step, scope: dict[str, Guess], count: int) -> Guess | None:
        """The layers inside of a layer, as often as `count` says."""
        try:
            return self._layers(layer.layers, f"{step.path}[]", scope, step.inner)
        except _Fails:
            return Guess(size=4)
        finally:
            for each in step.inner:
                each.times = count
            step.bound = sum((each.bound for each in step.inner), Bound()).times(count)
            step.with_retries = sum((each.with_retries for each in step.inner), Bound()).times(count)

    def _pipeline(self, layer: Layer, reference: Reference, step: Step, scope: dict[str, Guess]) -> Guess:
        plan = self._pinned(reference)
        given = {name: guesses.filled(each, scope) for name, each in layer.settings["inputs"].items()}
        bound, faults = inputs.bind(plan, [(name, each.value) for name, each in given.items() if each.known])
        wrong = [f"{each.field}: {each.message}" for each in faults if each.code == "invalid"]
        if wrong:
            raise LayerFailed("value_invalid", f"{reference}: {'; '.join(wrong)}")
        inner = {name: Guess.of(value) for name, value in bound.items()}
        inner |= {name: each for name, each in given.items() if not each.known}
        parts, values = self.plan(plan, inner, f"{step.path}/")
        step.inner = [each for part in parts for each in part.steps]
        step.bound = sum((each.bound for each in step.inner), Bound())
        step.with_retries = sum((each.with_retries for each in step.inner), Bound())
        return Guess(size=guesses.document_size(plan, values))
