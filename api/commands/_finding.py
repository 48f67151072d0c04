"""What commands name executions by: ids and uuids, or filters."""

import functools
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import click

from api import schemas
from shared.order import QUEUES
from shared.searches import Search

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Name(click.ParamType[int | UUID]):
    """An integer id or a uuid."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | UUID:
        """The id or uuid in a word."""
        try:
            return int(value) if re.fullmatch(r"[0-9]{1,18}", value) else UUID(value)
        except ValueError:
            self.fail(f"{value!r} is neither an integer id nor a uuid", param, ctx)


class Duration(click.ParamType[float]):
    """Seconds, or a number with a unit."""

    name = "seconds|10m|2h"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds in a word."""
        found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smhd]?)", value)
        if not found:
            self.fail(f"{value!r} is no duration: seconds, or a number with s, m, h or d", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


def filtered(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the filters, and what was asked for as `search`."""

    @functools.wraps(function)
    def searching(
        organization: str | None,
        statuses: tuple[str, ...],
        pipeline: str | None,
        queue: str | None,
        older_than: float | None,
        worker: str | None,
        **others: Any,
    ) -> None:
        function(search=Search(organization, statuses, pipeline, queue, older_than, worker), **others)

    for option in (
        click.option("--worker", help="Run by this worker: its id in `workers`, or its host."),
        click.option("--older-than", type=Duration(), help="Accepted longer ago than this, such as 90, 10m, 2h or 1d."),
        click.option("--queue", type=click.Choice(QUEUES), help="In this queue."),
        click.option("--pipeline", help="Of this pipeline: handle, uuid or id."),
        click.option(
            "--status",
            "statuses",
            multiple=True,
            type=click.Choice(schemas.STATUSES),
            help="In this status; may be given often.",
        ),
        click.option("--organization", help="Of this organization; of any by default."),
    ):
        searching = option(searching)
    return searching
