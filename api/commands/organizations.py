"""`organizations`: tenants, and what each of them may have."""

from typing import Any

import click

from api import cli
from shared import db, organizations

command = cli.Group("organizations", help="Tenants and their limits.")

_COLUMNS = ("name", "weight", "max_running", "max_queued", "per_minute")


@command.command("create")
@click.argument("name")
def create(name: str) -> None:
    """Make an organization called NAME."""
    with db.transaction() as connection:
        organizations.create(connection, name)
    click.echo(f"organization {cli.printable(name)} created")


@command.command("list")
@cli.json_option
def list_organizations(as_json: bool) -> None:  # noqa: FBT001
    """List every organization with its limits; `-` is none of its own."""
    with db.autocommit() as connection:
        found = organizations.listed(connection)
    cli.json_lines(found) if as_json else cli.table(_COLUMNS, found)


@command.command("limit")
@click.argument("name")
@click.option(
    "--weight",
    type=click.FloatRange(min=0, min_open=True, max=1000),
    help="Its share of the slots where several have work queued; 2 gets twice what 1 gets.",
)
@click.option("--max-running", type=cli.Limit(), default=cli.Limit.ABSENT, help="Executions that run at once.")
@click.option("--max-queued", type=cli.Limit(), default=cli.Limit.ABSENT, help="Executions that wait or are queued.")
@click.option("--per-minute", type=cli.Limit(), default=cli.Limit.ABSENT, help="Executions that start in a minute.")
def limit(name: str, weight: float | None, **limits: Any) -> None:
    """Set limits of the organization NAME; `none` takes one back, and the settings hold again."""
    given = {each: value for each, value in limits.items() if value is not cli.Limit.ABSENT}
    if weight is not None:
        given["weight"] = weight
    if not given:
        raise click.UsageError("give at least one limit")
    with db.transaction() as connection:
        organizations.limit(connection, name, **given)
    told = ", ".join(f"{each} {'none' if value is None else f'{value:g}'}" for each, value in given.items())
    click.echo(f"organization {cli.printable(name)}: {told}")
