"""How a webhook is told of something: body and headers, in a dialect, which is a module of this package.

A dialect has a `NAME`; `EVENTS`, those that it has words for; `body(notice)`, the values of its body; and
`headers(notice, body, secrets, moment)`, those of Standard Webhooks among them.
"""

import json
from collections.abc import Sequence
from functools import cache
from types import ModuleType

from shared import registry
from shared.notices._notice import Notice

__all__ = ["Notice", "dialects", "written"]


@cache
def dialects() -> dict[str, ModuleType]:
    """Every dialect by its name."""
    return {module.NAME: module for module in registry.modules("shared.notices")}


def written(dialect: str, notice: Notice, secrets: Sequence[str], *, moment: int) -> tuple[bytes, dict[str, str]]:
    """A notice as it is sent: its body, the same whenever it is written, and its headers, signed for a moment.

    The moment is in seconds since 1970. Secrets are those that are live, as they were given out; a dialect that has
    room for one signature signs with the first.
    """
    module = dialects()[dialect]
    body = json.dumps(module.body(notice), ensure_ascii=False, separators=(",", ":")).encode()
    return body, {"Content-Type": "application/json", **module.headers(notice, body, secrets, moment)}
