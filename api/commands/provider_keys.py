"""`provider-keys`: what is sealed."""

import click
from flask import current_app

from api import cli
from shared import db, provider_keys

command = cli.Group("provider-keys", help="Organizations' own keys of providers.")


@command.command("reseal")
def reseal() -> None:
    """Seal every key with the first of STRATA_SECRET_KEYS; the others can be taken away after that."""
    sealer = current_app.extensions["strata"].sealer
    with db.transaction() as connection:
        changed = provider_keys.reseal(connection, sealer)
    click.echo(f"{changed} sealed anew")
