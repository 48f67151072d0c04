"""`/v2/environments`: named scopes of variables, whose values are set and never shown."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response

from api import context, cursors, parsing, schemas
from api.endpoint import answer, endpoint
from shared import audit, db, environments
from shared.clock import rfc3339
from shared.environments import Known
from shared.keys import Caller

blueprint = Blueprint("environments", __name__, url_prefix="/v2/environments")

_SET = schemas.SetVariable()


@blueprint.get("")
@endpoint(scope="read", query=schemas.Page(), answers={200: schemas.Environments()})
def list_environments(caller: Caller, query: Mapping[str, Any]) -> Response:
    """List the environments by name; `default` is always among them."""
    after = cursors.read("environments", query["cursor"]) if "cursor" in query else ""
    limit = query["limit"]
    with db.autocommit() as connection:
        found = environments.listed(connection, caller.organization_id, after=after, limit=limit + 1)
    page = [{**each, "created_at": rfc3339(each["created_at"])} for each in found[:limit]]
    cursor = cursors.write("environments", page[-1]["name"]) if len(found) > limit else None
    return answer({"environments": page, "next_cursor": cursor})


@blueprint.get("/<environment>")
@endpoint(scope="read", answers={200: schemas.Environment()})
def show_environment(environment: str, caller: Caller) -> Response:
    """Show an environment: the names of its variables, when each was set, and what to be warned of. Never a value."""
    with db.autocommit() as connection:
        known = environments.known(connection, caller.organization_id, environment, context.this().sealer)
    return answer({"name": environment, "variables": [_told(each) for each in known]})


@blueprint.put("/<environment>")
@endpoint(scope="manage", answers={200: schemas.Environment(), 201: schemas.Environment(), 422: schemas.Problem()})
def make_environment(environment: str, caller: Caller) -> Response:
    """Make an environment: 201, or 200 where it is there already."""
    with db.transaction() as connection:
        made = environments.put(connection, caller.organization_id, environment)
        if made:
            audit.note(connection, caller, "environment.created", environment)
        known = environments.known(connection, caller.organization_id, environment, context.this().sealer)
    return answer({"name": environment, "variables": [_told(each) for each in known]}, 201 if made else 200)


@blueprint.delete("/<environment>")
@endpoint(scope="manage", answers={204: "It is gone, and its variables with it.", 409: schemas.Problem()})
def remove_environment(environment: str, caller: Caller) -> Response:
    """Delete an environment with its variables. Executions that were accepted before have the values that they need."""
    with db.transaction() as connection:
        environments.remove(connection, caller.organization_id, environment)
        audit.note(connection, caller, "environment.deleted", environment)
    return Response(status=204)


@blueprint.put("/<environment>/variables/<variable>")
@endpoint(
    scope="manage",
    body=_SET,
    answers={200: schemas.Variable(), 409: schemas.Problem()},
    example={"value": "a-secret-of-yours"},
)
def set_variable(environment: str, variable: str, caller: Caller) -> Response:
    """Set a variable, or change it, for the executions that are accepted from then on.

    It is stored sealed, and its value never told to anybody again. An environment has at most 200 variables and 64 KB
    of values. 409 where this server has no `STRATA_SECRET_KEYS` to seal it with.
    """
    value = parsing.body(_SET).checked()["value"]
    with db.transaction() as connection:
        known = environments.set_variable(
            connection, caller.organization_id, environment, variable, value, context.this().sealer
        )
        audit.note(connection, caller, "variable.set", f"{environment}/{variable}")
    return answer(_told(known))


@blueprint.delete("/<environment>/variables/<variable>")
@endpoint(scope="manage", answers={204: "The variable is gone."})
def remove_variable(environment: str, variable: str, caller: Caller) -> Response:
    """Forget a variable. Executions that were accepted before have its value still."""
    with db.transaction() as connection:
        environments.remove_variable(connection, caller.organization_id, environment, variable)
        audit.note(connection, caller, "variable.deleted", f"{environment}/{variable}")
    return Response(status=204)


def _told(known: Known) -> dict[str, Any]:
    return {"name": known.name, "set_at": rfc3339(known.set_at), "warning": known.warning}
