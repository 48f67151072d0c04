"""Runs migrations against DATABASE_URL. Each must work while the code before it still runs."""

import os

from alembic import context
from sqlalchemy import create_engine, text

from shared import db, models, registry

registry.modules("shared.models")
#: Tables that are there only where Postgres has the extension they need.
_OPTIONAL = {"chunk_vectors"}


def _compared(name: str | None, kind: str, _: object) -> bool:
    return not (kind == "table" and name in _OPTIONAL)


with create_engine(db.driver_url(os.environ["DATABASE_URL"])).connect() as connection:
    # A migration that cannot have its lock gives up, rather than queue every request behind itself.
    connection.execute(text("SET lock_timeout = '5s'"))
    # Two releases at once come one after the other.
    connection.execute(text("SELECT pg_advisory_lock(7265817)"))
    connection.commit()
    context.configure(connection=connection, target_metadata=models.metadata, include_name=_compared)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
