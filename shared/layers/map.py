"""Runs its layers once for each item of a list, so many at once; the outputs come in the order of the items."""

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, validate

from shared import rendering
from shared.errors import LayerFailed
from shared.kinds import NAME, CompositeSettings, Layers, References, Whole
from shared.outside import Scope, Tools
from shared.plan import PREVIOUS, SKIPPED, UNFORGIVEN, Answer

KIND = "map"

MOST_ITEMS = 10_000
INDEX = "index"


def _is_one_reference(text: str) -> None:
    whole = rendering.REFERENCE.fullmatch(text.strip())
    if whole is None or not whole["name"]:
        raise ValidationError("must be one reference and nothing else, such as {{reviews}}")


class Settings(CompositeSettings):
    """Settings of a `map` layer."""

    class Meta(CompositeSettings.Meta):
        """marshmallow's own options; `as` is a word of Python's."""

        include = {  # noqa: RUF012
            "as": fields.String(
                load_default="item",
                validate=[validate.Regexp(NAME), validate.NoneOf([PREVIOUS, INDEX])],
                metadata={"description": "What the layers inside call the item; its place in the list is `index`."},
            )
        }

    items = References(
        required=True,
        validate=_is_one_reference,
        metadata={"description": "The list: one reference and nothing else."},
    )
    layers = Layers(metadata={"description": "What runs for each item; the last one's output is what becomes of it."})
    concurrency = Whole(
        load_default=10,
        validate=validate.Range(min=1, max=100),
        metadata={"description": "Items that are worked on at once, at most."},
    )
    max_items = Whole(
        load_default=MOST_ITEMS,
        validate=validate.Range(min=1, max=MOST_ITEMS),
        metadata={"description": "A list with more items fails the layer."},
    )
    on_error = fields.String(
        load_default="fail",
        # In YAML, `null` is no text.
        allow_none=True,
        validate=validate.OneOf(["fail", "null", "drop"]),
        metadata={"description": "What an item that fails leaves: a failed layer, null in its place, or nothing."},
    )


def names(settings: Mapping[str, Any]) -> set[str]:
    """What the layers inside see: the item and its index."""
    name = settings.get("as", "item")
    return {INDEX, name} if isinstance(name, str) else {INDEX}


def run(settings: Mapping[str, Any], scope: Scope, tools: Tools) -> Answer:
    """Work on every item; LayerFailed with `value_invalid` where there is no list, or a longer one than allowed.

    An item whose layers were all skipped gives null. To the first layer inside, `previous` is the item.
    """
    items = _listed(scope.value(settings["items"]), settings["max_items"])
    outputs: list[Any] = [SKIPPED] * len(items)
    failures: dict[int, LayerFailed] = {}

    def work(index: int) -> None:
        item = items[index]
        try:
            output = tools.inner({settings["as"]: item, INDEX: index, PREVIOUS: item}, f"[{index}]")
        except LayerFailed as error:
            if settings["on_error"] == "fail" or error.reason in UNFORGIVEN:
                raise
            failures[index] = error
            output = None
        outputs[index] = None if output is SKIPPED else output

    tools.each(len(items), work, settings["concurrency"])
    if settings["on_error"] == "drop":
        outputs = [output for index, output in enumerate(outputs) if index not in failures]
    return Answer(outputs, details=_told(failures, len(items)))


def _listed(found: Any, most: int) -> list[Any]:
    if not isinstance(found, list):
        raise LayerFailed("value_invalid", f"map needs a list, not {type(found).__name__}")
    if len(found) > most:
        raise LayerFailed("value_invalid", f"a list of {len(found)} items, and {most} are allowed")
    return found


def _told(failures: Mapping[int, LayerFailed], count: int) -> dict[str, Any]:
    if not failures:
        return {}
    first = min(failures)
    return {
        "warning": f"{len(failures)} of {count} items failed, the first of them [{first}]: {failures[first]}"[:2000]
    }
