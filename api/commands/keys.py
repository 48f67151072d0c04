"""`keys`: API keys and what each may do."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from api import cli
from shared import db, keys, organizations

command = cli.Group("keys", help="API keys.")

_COLUMNS = ("prefix", "scopes", "state", "max_queued", "per_minute", "name")


@command.command("create")
@cli.organization_option
@click.option("--name", default="", help="What the key is for.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(keys.SCOPES),
    default=("execute", "read"),
    show_default=True,
    help="What the key may do; may be given often. admin may do everything.",
)
@click.option("--expires-in-days", type=click.FloatRange(min=0, min_open=True), help="Days until the key expires.")
def create(organization: str, name: str, scopes: tuple[str, ...], expires_in_days: float | None) -> None:
    """Make a key and print it; it is never shown again."""
    expires_at = datetime.now(UTC) + timedelta(days=expires_in_days) if expires_in_days else None
    with db.transaction() as connection:
        organization_id = organizations.find(connection, organization)
        key = keys.create(connection, organization_id, name=name, scopes=scopes, expires_at=expires_at)
    click.echo(key)


@command.command("list")
@cli.organization_option
@cli.json_option
def list_keys(organization: str, as_json: bool) -> None:  # noqa: FBT001
    """List the keys of an organization, by their prefixes, with their limits; `-` is none of its own."""
    with db.autocommit() as connection:
        found = keys.listed(connection, organizations.find(connection, organization))
    if as_json:
        cli.json_lines(found)
    else:
        cli.table(_COLUMNS, [each | {"prefix": f"{each['prefix']}…", "state": _state(each)} for each in found])


def _state(key: dict[str, Any]) -> str:
    return "revoked" if key["revoked_at"] else f"expires {key['expires_at'] or 'never'}"


@command.command("revoke")
@cli.organization_option
@click.argument("key")
def revoke(organization: str, key: str) -> None:
    """Revoke KEY, named by its prefix in the list or by itself; it is refused from then on."""
    with db.transaction() as connection:
        count = keys.revoke(connection, organizations.find(connection, organization), key)
    click.echo(f"{count} key{'s' if count > 1 else ''} revoked")


@command.command("limit")
@cli.organization_option
@click.argument("prefix")
@click.option("--max-queued", type=cli.Limit(), default=cli.Limit.ABSENT, help="Executions that wait or are queued.")
@click.option("--per-minute", type=cli.Limit(), default=cli.Limit.ABSENT, help="Executions that start in a minute.")
def limit(organization: str, prefix: str, **limits: Any) -> None:
    """Set limits for what the key starts that lists show as PREFIX; `none` takes one back."""
    given = {each: value for each, value in limits.items() if value is not cli.Limit.ABSENT}
    if not given:
        raise click.UsageError("give at least one limit")
    with db.transaction() as connection:
        keys.limit(connection, organizations.find(connection, organization), prefix.removesuffix("…"), **given)
    told = ", ".join(f"{each} {'none' if value is None else value}" for each, value in given.items())
    click.echo(f"key limited: {told}")
