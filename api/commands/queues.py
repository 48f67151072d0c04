"""`queues`: how they are now."""

import click

from api import cli
from shared import db, queues


@click.command("queues", cls=cli.Command)
def command() -> None:
    """Show how the queues are now, a line each."""
    with db.autocommit() as connection:
        for each in queues.now(connection):
            click.echo("  ".join(f"{name} {value}" for name, value in each.items()))
