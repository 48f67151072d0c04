"""Commands for operators: `flask --app api.app …`; found in `api/commands`.

They need Postgres alone. What they would tell other processes over Redis is a hint, and is dropped where Redis is away.
"""

import json
import logging
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import click
from flask import Flask, current_app
from flask.cli import AppGroup

from shared import broker, registry
from shared.clock import rfc3339
from shared.errors import Invalid, StrataError
from shared.settings import Settings

organization_option = click.option(
    "--organization", default="default", show_default=True, help="Name of the organization."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")

#: Categories of Unicode that a terminal would act on, or that hide or turn what stands beside them.
_ACTING = ("Cc", "Cf", "Cs", "Zl", "Zp")


def install(app: Flask) -> None:
    """Add the commands to the application."""
    for module in registry.modules("api.commands"):
        app.cli.add_command(module.command)


class Group(AppGroup):
    """A group of commands whose errors are told."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        with _errors_told():
            return super().invoke(ctx)


class Command(click.Command):
    """A command of no group whose errors are told."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        with _errors_told():
            return super().invoke(ctx)


@contextmanager
def _errors_told() -> Iterator[None]:
    """Tell an error of ours in a line a fault, and exit with 1."""
    try:
        yield
    except Invalid as error:
        raise click.ClickException("\n".join(f"{fault.field}: {fault.message}" for fault in error.faults)) from error
    except StrataError as error:
        raise click.ClickException(printable(str(error))) from error


class Limit(click.ParamType[Any]):
    """A whole number of at least 0, or `none`."""

    name = "N|none"
    #: What stands for "not given", as None stands for no limit.
    ABSENT = object()

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number, None for `none`."""
        if value is self.ABSENT:
            return value
        if value == "none":
            return None
        if not (value.isascii() and value.isdigit() and int(value) < 1 << 31):
            self.fail(f"{value!r} is neither a whole number nor `none`", param, ctx)
        return int(value)


def settings() -> Settings:
    """What the environment says."""
    found: Settings = current_app.extensions["strata"].settings
    return found


@contextmanager
def hints() -> Iterator[None]:
    """Have permits and rings leave after each commit of the block, quietly dropped where Redis is away."""
    logger = logging.getLogger("shared.hints")
    try:
        broker.courier()
    except RuntimeError:
        level = logger.level
        logger.setLevel(logging.CRITICAL)
        broker.connect(settings())
        try:
            yield
        finally:
            broker.close()
            logger.setLevel(level)
    else:
        # Whoever has begun to serve in this process has a courier.
        yield


def table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print columns of equal width under their names."""
    lines = [list(columns), *([_cell(row[name]) for name in columns] for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def json_lines(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a JSON object a line, in ASCII."""
    for row in rows:
        click.echo(json.dumps(row, default=_json))


def printable(text: str) -> str:
    """A text without what a terminal would act on."""
    return "".join(each for each in text if unicodedata.category(each) not in _ACTING)


def faults(found: Sequence[str]) -> None:
    """End with 1 and every fault on a line, where there is any."""
    if found:
        raise click.ClickException("\n".join(found))


def age(seconds: float) -> str:
    """Seconds as people say them: `42s`, `7m`, `3h`, `12d`."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:.0f}s"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return printable(",".join(value)) or "-"
    return printable(str(value)) or "-"


def _json(value: Any) -> Any:
    return rfc3339(value) if isinstance(value, datetime) else str(value) if isinstance(value, UUID) else value
