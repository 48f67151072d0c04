"""`workers`: who runs executions."""

import click

from api import cli
from shared import db, workers

_COLUMNS = ("id", "host", "pid", "queues", "slots", "running", "lease", "age")


@click.command("workers", cls=cli.Command)
@cli.json_option
def command(as_json: bool) -> None:  # noqa: FBT001
    """List the worker processes, oldest first.

    One without queues and slots runs a single suspect, away from others. `lease` is what is left of it; what one whose
    lease is over still runs is about to be taken from it.
    """
    with db.autocommit() as connection:
        found = workers.listed(connection)
    if as_json:
        cli.json_lines(found)
        return
    told = [{"lease": _lease(each["lease_seconds"]), "age": cli.age(each["age_seconds"])} for each in found]
    cli.table(_COLUMNS, [each | more for each, more in zip(found, told, strict=True)])


def _lease(seconds: float) -> str:
    return f"{seconds:.0f}s" if seconds > 0 else "over"
