"""What a caller asked for, free of any wire."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

QUEUES = ("onsite", "normal", "low")
#: Queues of other work than executions: documents to be read, and what is owed to webhooks.
ERRANDS = ("documents", "webhooks")
#: Of an order on a thread that names no channel.
DEFAULT_CHANNEL = "default"
#: Of an order that names none.
DEFAULT_ENVIRONMENT = "default"


@dataclass(frozen=True, slots=True)
class Origin:
    """The execution that is run again.

    `keep` are the paths of its layers whose results are taken over, `keep_inside` of those that run again, but of whose
    inner layers the good results are.
    """

    id: int
    keep: tuple[str, ...] = ()
    keep_inside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """One execution, as asked for.

    `pipeline` is a handle, a uuid or an integer id; `version` a number, a tag, a uuid or `latest`. Inputs are pairs,
    so that a name given twice is seen; `text_inputs` says that the wire knows only strings, and that a string for a
    typed input is to be read as JSON.
    """

    pipeline: str
    version: str = "latest"
    inputs: tuple[tuple[str, Any], ...] = ()
    text_inputs: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    end_user: str | None = None
    queue: str = "normal"
    deadline_seconds: int | None = None
    max_cost_usd: Decimal | None = None
    max_tokens: int | None = None
    not_before: datetime | None = None
    origin: Origin | None = None
    #: The conversation that it is part of, None for none; without a channel it is on `default`.
    thread: UUID | None = None
    channel: str | None = None
    #: Where its variables come from and which webhooks are told of it; None for `default`.
    environment: str | None = None
    #: Values for this execution alone, before those of its environment.
    env_vars: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: A variable without a value fails the layer that names it, instead of the order.
    late_variables: bool = False
