"""Searches the knowledge of an organization for its layers: by words, and by meaning where a model makes vectors."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from shared import db, passages
from shared.errors import LayerFailed, NotFound, Unavailable
from shared.passages import Vector
from worker.meanings import Meanings, Tell
from worker.running import Run

#: Between two tries to reach Postgres, in seconds.
_AGAIN_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for, and where: in these folders, or in all where none is named."""

    query: str
    folders: Sequence[str]
    tags: Sequence[str]
    limit: int


class Searcher:
    """What a process searches in."""

    def __init__(self, meanings: Meanings) -> None:
        self._meanings = meanings
        self._has_vectors = False

    def search(self, wanted: Wanted, *, run: Run, path: str, seconds: float, tell: Tell) -> list[dict[str, Any]]:
        """The chunks that fit best, as JSON; LayerFailed for a folder that is not there, Stopped when the run stops.

        With Postgres away it waits for as long as it may take. Where no vector of the question can be had, words alone
        decide.
        """
        until, query = time.monotonic() + seconds, wanted.query[: passages.LONGEST_QUERY]
        vector = self._meanings.of(query, run=run, path=path, until=until, tell=tell)
        while True:
            run.check()
            try:
                return self._found(query, wanted, vector, run.claim.organization_id)
            except NotFound as error:
                raise LayerFailed("config", str(error)) from error
            except Unavailable:
                if time.monotonic() + _AGAIN_SECONDS >= until:
                    raise
                run.stopping.wait(_AGAIN_SECONDS)

    def _found(self, query: str, wanted: Wanted, vector: Vector | None, organization_id: int) -> list[dict[str, Any]]:
        with db.autocommit() as connection:
            self._has_vectors = self._has_vectors or (vector is not None and passages.has_vectors(connection))
            found = passages.search(
                connection,
                organization_id,
                query,
                folders=wanted.folders,
                tags=wanted.tags,
                limit=wanted.limit,
                vector=vector if self._has_vectors else None,
            )
        return [{**asdict(each), "document": str(each.document)} for each in found]
