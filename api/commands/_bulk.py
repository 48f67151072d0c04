"""Cancels all that a search finds, in batches."""

from collections import Counter
from dataclasses import replace

import click
from sqlalchemy import Connection

from api import cli
from shared import db, executions, organizations, searches
from shared.errors import Conflict
from shared.searches import Search

#: Executions that are cancelled in one transaction, which holds the locks of all of them.
BATCH = 100
_OPEN = ("waiting", "queued", "running")


def check(connection: Connection, search: Search) -> None:
    """NotFound where a search names an organization that does not exist."""
    if search.organization is not None:
        organizations.find(connection, search.organization)


def cancel(search: Search, *, yes: bool) -> None:
    """Cancel what a search finds that has not ended, as of now; asks before, unless told not to."""
    if set(search.statuses) & set(executions.ENDED):
        raise click.UsageError("what has ended cannot be cancelled")
    search = replace(search, statuses=search.statuses or _OPEN)
    with db.autocommit() as connection:
        check(connection, search)
        total, until = searches.count(connection, search)
    if total and not yes:
        click.confirm(f"cancel {total} executions?", abort=True)
    with cli.hints():
        counts = _cancelled(search, total, until)
    click.echo(f"cancelled {counts['cancelled']}, cancelling {counts['cancelling']}, had ended {counts['ended']}")


def _cancelled(search: Search, total: int, until: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    keep, after = cli.settings().result_seconds, 0
    while after < until:
        with db.transaction() as connection:
            rows = searches.batch(connection, search, after=after, until=until, limit=BATCH)
            for row in rows:
                try:
                    status = executions.cancel(connection, row.organization_id, row.uuid, keep_seconds=keep)
                except Conflict:
                    status = "ended"
                counts[status] += 1
        if not rows:
            break
        after = rows[-1].id
        if total > BATCH:
            click.echo(f"{counts.total()} of {total}", err=True)
    return counts
