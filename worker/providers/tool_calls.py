"""The calls of tools that a model asks for: read whole, and put together of the pieces that a stream has of them."""

from collections.abc import Mapping
from typing import Any

from shared.plan import ToolCall
from worker.providers import faults

#: More than so many in one answer are nonsense.
MOST = 256


def read(found: object) -> tuple[ToolCall, ...]:
    """The calls of a message; ProviderFault where they make no sense."""
    if not found:
        return ()
    if not isinstance(found, list) or len(found) > MOST:
        raise faults.garbage("the tool calls of the provider's answer are no list, or far too many")
    return tuple(_read(each, number) for number, each in enumerate(found))


class Pieces:
    """The calls of a streamed answer, as far as they have come."""

    def __init__(self) -> None:
        self._calls: dict[int, dict[str, Any]] = {}

    def add(self, found: object) -> int:
        """Take what a chunk has of them; returns how many bytes of text it adds."""
        size = 0
        for each in found if isinstance(found, list) else ():
            if isinstance(each, dict):
                size += self._add(each)
        return size

    def whole(self) -> list[dict[str, Any]]:
        """The calls as a whole message has them."""
        return [
            {"id": call["id"], "function": {"name": call["name"], "arguments": "".join(call["arguments"])}}
            for _, call in sorted(self._calls.items())
        ]

    def _add(self, piece: Mapping[str, Any]) -> int:
        # Some servers send one call a chunk, and do not number them.
        index = piece.get("index")
        number = index if isinstance(index, int) else len(self._calls)
        if number not in self._calls and len(self._calls) > MOST:
            return 0
        call = self._calls.setdefault(number, {"id": None, "name": None, "arguments": []})
        function = piece.get("function")
        function = function if isinstance(function, dict) else {}
        call["id"] = call["id"] or piece.get("id")
        call["name"] = call["name"] or function.get("name")
        arguments = function.get("arguments")
        if not isinstance(arguments, str):
            return 0
        call["arguments"].append(arguments)
        return len(arguments.encode(errors="replace"))


def _read(found: object, number: int) -> ToolCall:
    call = found if isinstance(found, dict) else {}
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    name, arguments = function.get("name"), function.get("arguments")
    if not isinstance(name, str) or not name or not isinstance(arguments, str | None):
        raise faults.garbage("a tool call of the provider's answer names no function")
    # Some servers give no ids; what refers to a call only has to name it within this answer.
    identifier = call.get("id")
    return ToolCall(
        identifier if isinstance(identifier, str) and identifier else f"call_{number}", name, arguments or ""
    )
