"""`secrets`: what is sealed, whatever it is."""

import click
from flask import current_app

from api import cli
from shared import db, environments, provider_keys, variables, webhooks
from shared.sealing import Sealer

command = cli.Group("secrets", help="What is kept sealed: keys of providers, variables, secrets of webhooks.")


@command.command("reseal")
def reseal() -> None:
    """Seal everything with the first of STRATA_SECRET_KEYS; the others can be taken away after that."""
    sealer = current_app.extensions["strata"].sealer
    with db.transaction() as connection:
        changed = sum(each.reseal(connection, sealer) for each in (provider_keys, environments, webhooks))
    changed += _of_executions(sealer)
    click.echo(f"{changed} sealed anew")


def _of_executions(sealer: Sealer) -> int:
    """Those may be many: a batch a transaction, and where one fails, those before it stay as they are then."""
    changed, after = 0, 0
    while True:
        with db.transaction() as connection:
            count, last = variables.reseal(connection, sealer, after=after)
        changed += count
        if last is None:
            return changed
        after = last
