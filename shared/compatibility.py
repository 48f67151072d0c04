"""Whether what was written for one version works with another: what may be given, and what comes out."""

from collections.abc import Iterator
from dataclasses import dataclass

from shared.plan import Input, Plan

# Every value of the first type is taken where the second is declared.
_WIDER = {
    ("integer", "number"),
    ("integer", "string"),
    ("number", "string"),
    ("boolean", "string"),
}


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that callers may notice; a breaking one refuses what was accepted, or takes away what they read."""

    place: str
    message: str
    breaking: bool


def notes(old: Plan, new: Plan) -> list[Note]:
    """What callers of the old version meet in the new one."""
    return [*_inputs(old, new), *_properties(old, new), *_output(old, new)]


def _inputs(old: Plan, new: Plan) -> Iterator[Note]:
    before, after = ({each.name: each for each in plan.inputs} for plan in (old, new))
    for name in before.keys() - after.keys():
        yield Note(f"inputs[{name}]", "was removed: who gives it is refused", breaking=True)
    for name, each in after.items():
        place = f"inputs[{name}]"
        if name not in before:
            need = "required: who does not give it is refused" if _needed(each) else "optional"
            yield Note(place, f"is new, and {need}", breaking=_needed(each))
        else:
            yield from _changed(place, before[name], each)


def _changed(place: str, old: Input, new: Input) -> Iterator[Note]:
    if _needed(new) and not _needed(old):
        yield Note(place, "became required: who does not give it is refused", breaking=True)
    elif _needed(old) and not _needed(new):
        yield Note(place, "became optional", breaking=False)
    if old.type != new.type:
        wider = (old.type, new.type) in _WIDER
        text = "which takes what the old one took" if wider else "and may refuse what the old one took"
        yield Note(place, f"its type was {old.type} and is {new.type}, {text}", breaking=not wider)
    if not _needed(old) and not _needed(new) and old.default != new.default:
        yield Note(place, "has another default", breaking=False)


def _properties(old: Plan, new: Plan) -> Iterator[Note]:
    before, after = ([each.name for each in plan.properties] for plan in (old, new))
    for name in before:
        if name not in after:
            yield Note(f"properties[{name}]", "was removed: who reads it finds nothing", breaking=True)
    for name in after:
        if name not in before:
            yield Note(f"properties[{name}]", "is new", breaking=False)


def _output(old: Plan, new: Plan) -> Iterator[Note]:
    if old.output != new.output:
        was, now = (each.output or "an object of all properties" for each in (old, new))
        yield Note("output", f"was {was} and is {now}", breaking=True)


def _needed(each: Input) -> bool:
    return each.required and each.default is None
