"""`executions`: find them, see what is with them, move them on; of whatever organization."""

import json
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import click
from sqlalchemy import Row

from api import cli, native
from api.commands import _bulk
from api.commands._finding import Name, filtered
from shared import db, executions, explanations, organizations, reports, searches
from shared.errors import Conflict, Gone, NotFound, StrataError
from shared.searches import Search

command = cli.Group("executions", help="Executions, of all organizations.")

_COLUMNS = ("id", "uuid", "organization", "pipeline", "status", "attempt", "deaths", "age", "worker")
_names = click.argument("names", metavar="ID…", nargs=-1, required=True, type=Name())


@command.command("list")
@filtered
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="How many at most.")
@cli.json_option
def list_executions(search: Search, limit: int, as_json: bool) -> None:  # noqa: FBT001
    """List executions, newest first; every filter that is given must hold."""
    with db.autocommit() as connection:
        _bulk.check(connection, search)
        found = searches.newest(connection, search, limit=limit)
    if as_json:
        cli.json_lines(found)
    else:
        cli.table(_COLUMNS, [each | _told(each) for each in found])


def _told(row: dict[str, Any]) -> dict[str, str]:
    why = row["blocked_by"] or (row["reason"] if row["status"] == "failed" else None)
    return {
        "pipeline": f"{row['handle']}@{row['version']}",
        "status": f"{row['status']}/{why}" if why else row["status"],
        "age": cli.age(row["age_seconds"]),
        "worker": row["worker_host"],
    }


@command.command("show")
@click.option("--organization", help="Where it must belong to this one.")
@click.argument("name", metavar="ID", type=Name())
def show(organization: str | None, name: int | UUID) -> None:
    """Show the report of an execution by its id or uuid, with inputs and outputs; once expired, what is still known."""
    with db.autocommit() as connection:
        owner = organizations.find(connection, organization) if organization else None
        owner = owner or searches.find(connection, name).organization_id
        try:
            found = native.answer(reports.find(connection, owner, name))
        except Gone as gone:
            found = gone.tombstone
    click.echo("\n".join(_escaped(line) for line in json.dumps(found, indent=2, ensure_ascii=False).split("\n")))


def _escaped(line: str) -> str:
    """A line of JSON with what a terminal would act on escaped, as it may be inside of texts."""
    return "".join(each if cli.printable(each) else json.dumps(each)[1:-1].replace("\x7f", "\\u007f") for each in line)


@command.command("explain")
@cli.json_option
@click.argument("name", metavar="ID", type=Name())
def explain(name: int | UUID, as_json: bool) -> None:  # noqa: FBT001
    """Explain why an execution waits: the first thing that must change for it to start, its place, how long yet."""
    with db.autocommit() as connection:
        found = explanations.explain(connection, searches.find(connection, name).organization_id, name)
    told = native.explanation(found)
    if as_json:
        cli.json_lines([told])
        return
    cause = told.pop("cause")
    click.echo(f"{cause.pop('code')}: {cause.pop('message')}")
    for key, value in (cause | told).items():
        if value is not None:
            shown = ", ".join(value) if isinstance(value, list) else json.dumps(value).strip('"')
            click.echo(f"  {key:<17} {cli.printable(shown)}")


@command.command("requeue")
@_names
def requeue(names: Sequence[int | UUID]) -> None:
    """Take running executions from their workers and queue them again.

    Their checkpoints stay, and no death is counted. The worker that had one stops at its next write.
    """

    def act(row: Row[Any]) -> str:
        if row.status in ("waiting", "queued"):
            return f"is {row.status} already"
        if row.status == "running" and row.cancel_requested_at is not None:
            raise Conflict("is to be cancelled, and is not queued again")
        with db.transaction() as connection:
            done = row.status == "running" and executions.requeue(connection, row.id)
        return "is queued again" if done else _refused(row.id)

    _each(names, act)


@command.command("fail")
@click.option("--reason", required=True, help="What the report says of it.")
@_names
def fail(names: Sequence[int | UUID], reason: str) -> None:
    """End executions as failed, with the reason code `operator`."""
    keep = cli.settings().result_seconds

    def act(row: Row[Any]) -> str:
        with db.transaction() as connection:
            done = executions.fail(connection, row.id, error=reason, keep_seconds=keep)
        return "has failed" if done else _refused(row.id)

    _each(names, act)


@command.command("cancel")
@click.argument("names", metavar="[ID…]", nargs=-1, type=Name())
@filtered
@click.option("--yes", is_flag=True, help="Do not ask, where filters choose.")
def cancel(names: Sequence[int | UUID], search: Search, yes: bool) -> None:  # noqa: FBT001
    """Cancel executions: those named, or all that the filters find; `cancelling` is one whose worker was told."""
    if bool(names) == (not search.empty):
        raise click.UsageError("name executions, or give filters")
    if not names:
        _bulk.cancel(search, yes=yes)
        return
    keep = cli.settings().result_seconds

    def act(row: Row[Any]) -> str:
        with db.transaction() as connection:
            status = executions.cancel(connection, row.organization_id, row.uuid, keep_seconds=keep)
        return "is cancelled" if status == "cancelled" else f"is {status}"

    _each(names, act)


def _each(names: Sequence[int | UUID], act: Callable[[Row[Any]], str]) -> None:
    """Do something to each, tell what came of it, and fail with those that were refused."""
    faults = []
    with cli.hints():
        for name in names:
            try:
                with db.autocommit() as connection:
                    row = searches.find(connection, name)
                click.echo(f"execution {name} {act(row)}")
            except NotFound as error:
                faults.append(str(error))
            except Conflict as error:
                faults.append(f"execution {name}: {error}")
            except StrataError as error:
                raise click.ClickException("\n".join([*faults, f"execution {name}: {error}"])) from error
    cli.faults(faults)


def _refused(execution_id: int) -> str:
    with db.autocommit() as connection:
        status = searches.find(connection, execution_id).status
    if status not in executions.ENDED:
        raise Conflict("is being changed at this moment; try again")
    raise Conflict(f"{'is' if status == 'cancelled' else 'has'} {status} already")
