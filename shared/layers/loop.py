"""Runs its layers again and again, each round on what the one before has given, until a condition holds."""

from collections.abc import Mapping
from typing import Any

from marshmallow import fields, validate

from shared import conditions
from shared.errors import LayerFailed
from shared.kinds import CompositeSettings, Condition, Layers, Whole
from shared.outside import Scope, Tools
from shared.plan import PREVIOUS, SKIPPED, Answer

KIND = "loop"
ROUND = "round"
#: Looked at after each round: it sees its number, and as `previous` what it gave.
INNER_CONDITIONS = ("until",)


class Settings(CompositeSettings):
    """Settings of a `loop` layer."""

    layers = Layers(metadata={"description": "What a round runs; the last one's output is what it gives."})
    until = Condition(
        required=True,
        metadata={"description": "JMESPath, looked at after each round: the loop ends with the first where it holds."},
    )
    max_rounds = Whole(
        load_default=10, validate=validate.Range(min=1, max=100), metadata={"description": "Rounds at most."}
    )
    if_exhausted = fields.String(
        load_default="fail",
        validate=validate.OneOf(["fail", "keep"]),
        metadata={"description": "What comes of it where the condition never held: a failure, or the last round's."},
    )


def names(settings: Mapping[str, Any]) -> set[str]:
    """What the layers inside see: the number of the round, from 1."""
    return {ROUND}


def run(settings: Mapping[str, Any], scope: Scope, tools: Tools) -> Answer:
    """Go round until the condition holds; LayerFailed with `loop_exhausted` where it never does.

    In the first round `previous` is what it is outside, null where there is nothing before. A round whose layers were
    all skipped gives null.
    """
    output = scope.values.get(PREVIOUS)
    for number in range(1, settings["max_rounds"] + 1):
        values: dict[str, Any] = {ROUND: number, PREVIOUS: output}
        given = tools.inner(values, f"[{number}]")
        output = None if given is SKIPPED else given
        if conditions.holds(settings["until"], {**scope.values, **values, PREVIOUS: output}):
            return Answer(output, details={"rounds": number})
    text = f"`until` held after none of {settings['max_rounds']} rounds"
    if settings["if_exhausted"] == "fail":
        raise LayerFailed("loop_exhausted", text)
    return Answer(output, details={"rounds": settings["max_rounds"], "warning": text})
