"""What is known of names before anything has run: whether something runs, and what a template comes to."""

from collections.abc import Iterable, Mapping
from typing import Any

from shared import bounds, conditions, kinds, sizes
from shared.bounds import Guess
from shared.errors import LayerFailed
from shared.plan import Plan, Property
from shared.questions import Partial


def runs(names: Iterable[str], when: str | None, scope: Mapping[str, Guess]) -> str:
    """Whether something runs that needs these names, and a condition on names."""
    found = [scope.get(name) for name in names]
    if None in found:
        return "no"
    runs = "yes" if all(each.certain for each in found if each) else "maybe"
    if when is None:
        return runs
    looked_at = {read.name: scope.get(read.name) for read in kinds.condition_reads("when", when)}
    if any(each is None or not each.known or not each.certain for each in looked_at.values()):
        return "maybe"
    try:
        holds = conditions.holds(when, {name: each.value for name, each in looked_at.items() if each})
    except LayerFailed:
        # It fails then, and nothing comes of it.
        return "maybe"
    return runs if holds else "no"


def filled(template: Any, scope: Mapping[str, Guess]) -> Guess:
    """What a template comes to."""
    partial = Partial(scope)
    value = partial.fill(template)
    if partial.whole:
        return Guess.of(value)
    return Guess(size=sizes.of_template(template, scope))


def with_default(each: Property, value: Guess) -> Guess:
    """A property may fail, and have its default instead."""
    if each.on_error == "fail":
        return value
    if each.on_error == "default":
        return value.or_else(Guess.of(each.default))
    return value.doubtful()


def document_size(plan: Plan, values: Mapping[str, Guess]) -> int | None:
    """How large the document of a plan may be, of its properties' values."""
    if plan.output is not None:
        return values[plan.output].size if plan.output in values else 0
    names = [each.name for each in plan.properties if each.name in values]
    return bounds.add(sizes.of_list(values[name].size for name in names), sizes.of_keys(names))
