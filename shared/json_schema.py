"""JSON Schema (draft 2020-12) as strangers may write it: nothing is fetched, and nothing takes for ever.

A schema is a tenant's text that every worker runs. Patterns are matched by RE2, in time linear to the text, and each
check has a budget of steps; what needs more is refused, where it is published or where it is used.
"""

from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import re2
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

#: Subschemas that one check may follow through `$ref`, `anyOf`, `oneOf`, `allOf`, `not` and `if`.
BUDGET = 20_000
_left: ContextVar[list[int] | None] = ContextVar("schema_budget", default=None)


class Unfit(ValueError):
    """A value does not fit its schema, or a schema is none; the message says where and why."""


def check(schema: dict[str, Any]) -> None:
    """Unfit where a schema is none, refers to something outside itself, or could take for ever."""
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise Unfit(f"is no JSON schema: {error.message[:300]}") from error
    for keyword, found in _keywords(schema):
        _check_keyword(keyword, found, schema)
    _fault(schema, None)


def validate(schema: Mapping[str, Any], value: Any) -> None:
    """Unfit naming the first place where a value does not fit."""
    fault = _fault(schema, value)
    if fault is not None:
        raise Unfit(f"does not fit its schema at {fault.json_path}: {fault.message[:300]}")


def _fault(schema: Mapping[str, Any], value: Any) -> ValidationError | None:
    token = _left.set([BUDGET])
    try:
        # An empty registry: a `$ref` to another document is never fetched.
        return next(iter(_Validator(schema, registry=Registry()).iter_errors(value)), None)
    except Unresolvable as error:
        raise Unfit("the schema refers to something outside itself") from error
    except RecursionError as error:
        raise Unfit("the schema never ends") from error
    finally:
        _left.reset(token)


def _check_keyword(keyword: str, found: Any, schema: dict[str, Any]) -> None:
    if keyword in ("$ref", "$dynamicRef"):
        resource = DRAFT202012.create_resource(schema)
        try:
            Registry().with_resource("", resource).crawl().resolver().lookup(found)
        except Unresolvable as error:
            raise Unfit("the schema refers to something outside itself") from error
    elif keyword == "pattern":
        try:
            re2.compile(found, _QUIET)
        except re2.error as error:
            raise Unfit(f"the pattern {found[:100]} is none that RE2 reads") from error
    elif keyword == "patternProperties":
        raise Unfit("patternProperties is not supported")


def _keywords(schema: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(schema, dict):
        for key, inner in schema.items():
            if isinstance(inner, str) or key == "patternProperties":
                yield key, inner
            yield from _keywords(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _keywords(inner)


def _pattern(validator: Any, pattern: str, value: Any, _: Any) -> Iterator[ValidationError]:
    if validator.is_type(value, "string") and not re2.search(pattern, value, _QUIET):
        yield ValidationError(f"{value[:100]!r} does not match {pattern[:100]!r}")


def _counted(keyword: str) -> Any:
    original = Draft202012Validator.VALIDATORS[keyword]

    def follow(validator: Any, found: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        left = _left.get()
        if left is not None:
            left[0] -= len(found) if isinstance(found, list) else 1
            if left[0] < 0:
                raise Unfit("the schema takes too many steps")
        yield from original(validator, found, value, schema) or ()

    return follow


_QUIET = re2.Options()
_QUIET.log_errors = False
_COUNTED = ("$ref", "$dynamicRef", "anyOf", "oneOf", "allOf", "not", "if")
_Validator = validators.extend(
    Draft202012Validator, {"pattern": _pattern, **{keyword: _counted(keyword) for keyword in _COUNTED}}
)
