"""Search in knowledge: by words, and by meaning too where the question comes with a vector.

By words a chunk counts by how often and how near its start each word of the question stands in it, and by how rare the
word is in the folders; any of the words will do. The places in both lists are fused by reciprocal rank
(https://doi.org/10.1145/1571941.1572114).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from shared.errors import NotFound
from shared.statements import Statement

#: The most chunks that one search gives.
MOST = 100
#: The longest question, in characters.
LONGEST_QUERY = 8000
#: Of each list so many places are looked at before they are fused.
_CANDIDATES = 100
#: How fast a place loses weight in the fusion: as the paper has it.
_FUSION = 60.0


@dataclass(frozen=True, slots=True)
class Vector:
    """A question as a vector, as pgvector writes it; it is held against chunks of the same model alone."""

    model: str
    embedding: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk that was found; scores compare inside of one answer only."""

    document: UUID
    name: str
    folder: str
    number: int
    page: int | None
    heading: str | None
    text: str
    tokens: int
    score: float


def search(
    connection: Connection,
    organization_id: int,
    query: str,
    *,
    folders: Sequence[str] = (),
    tags: Sequence[str] = (),
    limit: int = 5,
    vector: Vector | None = None,
) -> list[Passage]:
    """The chunks that fit a question best, best first: of these folders, or of all where none is named.

    Documents must have all of the tags. NotFound for a folder that is not there; nothing that fits is an empty list.
    """
    within = _within(connection, organization_id, folders)
    scope = {"folders": within, "tags": list(tags)}
    found = {row.id: row.score for row in _BY_WORDS(connection, {**scope, "query": query, "most": _CANDIDATES})}
    if vector is not None:
        asked = {**scope, "model": vector.model, "embedding": vector.embedding, "most": _CANDIDATES}
        found = _fused([[*found], [row.id for row in _BY_MEANING(connection, asked)]])
    best = sorted(found, key=lambda each: (-found[each], each))[:limit]
    rows = {row.id: row for row in _READ(connection, {"ids": best})}
    # One may have been deleted since.
    return [_passage(rows[each], found[each]) for each in best if each in rows]


def written(vector: Iterable[float]) -> str:
    """A vector as pgvector reads it."""
    return f"[{','.join(f'{each:.7g}' for each in vector)}]"


def has_vectors(connection: Connection) -> bool:
    """True where this database keeps vectors."""
    return bool(_HAS_VECTORS(connection).scalar_one())


def _within(connection: Connection, organization_id: int, folders: Sequence[str]) -> list[int]:
    wanted = sorted(set(folders))
    rows = _FOLDERS(connection, {"organization": organization_id, "handles": wanted}).all()
    missing = set(wanted) - {row.handle for row in rows}
    if missing:
        raise NotFound(f"folder {min(missing)[:100]}")
    return [row.id for row in rows]


def _fused(lists: list[list[int]]) -> dict[int, float]:
    found: dict[int, float] = {}
    for ids in lists:
        for place, each in enumerate(ids, 1):
            found[each] = found.get(each, 0.0) + 1 / (_FUSION + place)
    return found


def _passage(row: Any, score: float) -> Passage:
    values = row._asdict()
    values.pop("id")
    return Passage(**values, score=round(score, 6))


_FOLDERS = Statement("""
    SELECT id, handle FROM folders
     WHERE organization_id = :organization
       AND (cardinality(CAST(:handles AS text[])) = 0 OR handle = ANY(CAST(:handles AS text[])))
""")
_WANTED = """
    c.folder_id = ANY(CAST(:folders AS bigint[]))
       AND (cardinality(CAST(:tags AS text[])) = 0
            OR EXISTS (SELECT FROM documents d WHERE d.id = c.document_id AND d.tags @> CAST(:tags AS text[])))
"""
# A word is put into a query by itself, so that it weighs by itself; its rank levels off by the count and the length.
_BY_WORDS = Statement(rf"""
    WITH words AS MATERIALIZED (
        SELECT CAST('''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || '''' AS tsquery) AS word
          FROM unnest(to_tsvector('english', CAST(:query AS text))) LIMIT 64
    ), total AS (
        SELECT count(*) AS chunks FROM chunks c WHERE c.folder_id = ANY(CAST(:folders AS bigint[]))
    ), weights AS MATERIALIZED (
        SELECT w.word, ln(1 + (t.chunks - n.chunks + 0.5) / (n.chunks + 0.5)) AS weight
          FROM words w, total t,
               LATERAL (SELECT count(*) AS chunks FROM chunks c
                         WHERE c.search @@ w.word AND c.folder_id = ANY(CAST(:folders AS bigint[]))) AS n
         WHERE n.chunks > 0
    )
    SELECT c.id, CAST(sum(w.weight * ts_rank(c.search, w.word, 1)) AS float) AS score
      FROM weights w JOIN chunks c ON c.search @@ w.word
     WHERE {_WANTED}
     GROUP BY c.id ORDER BY score DESC, c.id LIMIT :most
""")
# Exact: every chunk of the folders is looked at. Vectors of another length are another model's, whatever it is called.
_BY_MEANING = Statement(f"""
    SELECT c.id FROM chunk_vectors v JOIN chunks c ON c.id = v.chunk_id
     WHERE v.model = :model AND vector_dims(v.embedding) = vector_dims(CAST(:embedding AS vector)) AND {_WANTED}
     ORDER BY v.embedding <=> CAST(:embedding AS vector), c.id LIMIT :most
""")
_READ = Statement("""
    SELECT c.id, d.uuid AS document, d.name, f.handle AS folder, c.number, c.page, c.heading, c.text, c.tokens
      FROM chunks c JOIN documents d ON d.id = c.document_id JOIN folders f ON f.id = d.folder_id
     WHERE c.id = ANY(CAST(:ids AS bigint[]))
""")
_HAS_VECTORS = Statement("SELECT to_regclass('chunk_vectors') IS NOT NULL")
