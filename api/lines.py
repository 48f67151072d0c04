"""The lines of a batch: read from the body one by one, checked, and put by as rows, however many there are.

Memory holds one line, and what is wrong with the bad ones; the rows are in a file that nobody else sees.
"""

import base64
import hashlib
import json
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import IO, Any
from uuid import uuid4

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from api import context, native, parsing, schemas
from shared import acceptance, budgets, db, environments, pipelines, strict_json, variables
from shared.errors import Fault, Invalid, NotFound, TooLarge
from shared.keys import Caller
from shared.plan import Plan, Version

NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")
#: Beyond so many faults, of each further bad line only the first one is told.
MOST_FAULTS = 20_000
#: Rows that are handed out together, and their characters.
CHUNK_ROWS, CHUNK_CHARACTERS = 500, 4 << 20
_BLOCK = 1 << 16
_LINE = schemas.BatchLine()


@dataclass(frozen=True, slots=True)
class _Known:
    """A version that lines run: what it pins, and the plans of all of them."""

    version: Version
    pins: dict[str, int]
    plans: list[Plan]


class Lines:
    """The lines of one request."""

    def __init__(self, caller: Caller, pipeline: str | None, version: str) -> None:
        self.total = 0
        self.accepted = 0
        #: `{line, errors}` of each bad line.
        self.refused: list[dict[str, Any]] = []
        self._faults = 0
        self._organization_id = caller.organization_id
        self._default = pipeline, version
        self._versions: dict[tuple[str, str], _Known | Fault] = {}
        self._environments: dict[tuple[str, tuple[str, ...]], dict[str, str] | None] = {}
        self._digest = hashlib.sha256()
        self._rows: IO[str] = tempfile.SpooledTemporaryFile(1 << 20, "w+", encoding="utf-8", newline="\n")  # noqa: SIM115

    @property
    def content(self) -> str:
        """Stands for the whole body, once it is read."""
        return self._digest.hexdigest()

    def read(self) -> None:
        """Read the body to its end; Malformed, TooLarge, Invalid where it has no lines or too many."""
        most = context.this().settings.max_batch_items
        for number, found in self._found():
            self.total += 1
            if self.total > most:
                raise Invalid([Fault("body", f"has more than {most} lines")])
            try:
                self._rows.write(self._row(number, found) + "\n")
                self.accepted += 1
            except Invalid as error:
                self._refuse(number, error.faults)
        if not self.total:
            raise Invalid([Fault("body", "has no lines")])

    def chunks(self) -> Iterator[str]:
        """The rows, as `batches.create` takes them; may be asked for again."""
        self._rows.seek(0)
        rows: list[str] = []
        size = 0
        for row in self._rows:
            if rows and (len(rows) >= CHUNK_ROWS or size + len(row) > CHUNK_CHARACTERS):
                yield f"[{','.join(rows)}]"
                rows, size = [], 0
            rows.append(row)
            size += len(row)
        if rows:
            yield f"[{','.join(rows)}]"

    def close(self) -> None:
        """Let the rows go."""
        self._rows.close()

    def _found(self) -> Iterator[tuple[int, Any]]:
        """Every item with its number; bytes of a line are still to be read as JSON."""
        if parsing.content_type((*NDJSON, *parsing.JSON)) in NDJSON:
            yield from self._written()
            return
        found = parsing.document()
        if not isinstance(found, list):
            raise Invalid([Fault("body", "must be a list")])
        self._digest.update(json.dumps(found, sort_keys=True).encode(errors="surrogatepass"))
        yield from enumerate(found, start=1)

    def _written(self) -> Iterator[tuple[int, bytes]]:
        longest, number, begun = context.this().settings.max_body_bytes, 0, b""
        for block in self._blocks():
            *whole, begun = (begun + block).split(b"\n")
            for line in whole:
                number += 1
                if line.strip():
                    yield number, line
            # However much follows, it stays too long.
            begun = begun[: longest + 1]
        if begun.strip():
            yield number + 1, begun

    def _blocks(self) -> Iterator[bytes]:
        most, size = context.this().settings.max_batch_bytes, 0
        # One byte more, so that a body that is too large is told from one that just fits.
        request.max_content_length = most + 1
        try:
            while block := request.stream.read(_BLOCK):
                size += len(block)
                if size > most:
                    raise TooLarge(most)
                self._digest.update(block)
                yield block
        except RequestEntityTooLarge as error:
            raise TooLarge(most) from error

    def _row(self, number: int, found: Any) -> str:
        """A row of what is accepted; Invalid names every fault."""
        parsed = parsing.load(_LINE, _read(found) if isinstance(found, bytes) else found)
        spec = parsed.values.get("version", self._default[1])
        if isinstance(spec, bool) or not isinstance(spec, str | int):
            raise Invalid([*parsed.faults, Fault("version", "must be a number, tag, uuid or `latest`")])
        known = self._version(parsed.values.get("pipeline", self._default[0]), str(spec))
        if isinstance(known, Fault):
            raise Invalid([*parsed.faults, known])
        order = native.order(known.version.handle, str(known.version.number), parsed.values)
        unpriced = budgets.faults(order, known.plans, context.this().providers)
        scope, unset = variables.gather(order, variables.needed(known.plans), self._values)
        bound = acceptance.checked(known.version, order, [*parsed.faults, *unpriced, *unset])
        uuid = uuid4()
        sealed = variables.sealed(scope, uuid, context.this().sealer)
        row = {
            **acceptance.asked(known.version, order, bound, known.pins),
            "line": number,
            "uuid": uuid,
            "variables": base64.b64encode(sealed).decode() if sealed else None,
        }
        return json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=str)

    def _version(self, pipeline: str | None, spec: str) -> _Known | Fault:
        """A version and what it pins; all lines get the same, and one that is not there is asked for once."""
        if pipeline is None:
            return Fault("pipeline", "is required, in the line or in the query", "missing")
        if (pipeline, spec) not in self._versions:
            self._versions[pipeline, spec] = self._resolved(pipeline, spec)
        return self._versions[pipeline, spec]

    def _resolved(self, pipeline: str, spec: str) -> _Known | Fault:
        with db.autocommit() as connection:
            try:
                version = pipelines.resolve(connection, self._organization_id, pipeline, spec)
                pins = pipelines.pins(connection, self._organization_id, version)
                return _Known(version, pins, pipelines.plans(connection, version, pins))
            except NotFound as error:
                return Fault(error.noun, "does not exist", "unknown")
            except Invalid as error:
                return Fault("version", str(error))

    def _values(self, environment: str, names: Collection[str]) -> dict[str, str] | None:
        """The values of variables; all lines get the same."""
        asked = environment, tuple(names)
        if asked not in self._environments:
            with db.autocommit() as connection:
                self._environments[asked] = environments.values(
                    connection, self._organization_id, environment, names, context.this().sealer
                )
        return self._environments[asked]

    def _refuse(self, number: int, faults: tuple[Fault, ...]) -> None:
        told = faults if self._faults < MOST_FAULTS else faults[:1]
        self._faults += len(told)
        errors = [{"field": each.field[:200], "message": each.message[:1000]} for each in told]
        self.refused.append({"line": number, "errors": errors})


def _read(line: bytes) -> Any:
    settings = context.this().settings
    if len(line) > settings.max_body_bytes:
        raise Invalid([Fault("body", f"is larger than {settings.max_body_bytes} bytes")])
    try:
        return strict_json.loads(line.decode("utf-8"), max_depth=settings.max_json_depth)
    except UnicodeDecodeError as error:
        raise Invalid([Fault("body", "is not UTF-8")]) from error
    except (ValueError, RecursionError) as error:
        raise Invalid([Fault("body", f"is not JSON: {error}")]) from error
