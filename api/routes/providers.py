"""`/v2/providers`: the servers that models are asked of, and the organization's own keys of them."""

from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response

from api import context, parsing, schemas
from api.endpoint import answer, endpoint
from shared import audit, db, provider_keys
from shared.clock import rfc3339
from shared.errors import NotFound
from shared.keys import Caller
from shared.provider_keys import Known
from shared.providers import Price, Provider

blueprint = Blueprint("providers", __name__, url_prefix="/v2/providers")

_SET_KEY = schemas.SetKey()


@blueprint.get("")
@endpoint(scope="read", answers={200: schemas.Providers()})
def list_providers(caller: Caller) -> Response:
    """List the providers: models, limits, prices, and whether the organization has a key of its own."""
    found = context.this().providers
    with db.autocommit() as connection:
        keys = provider_keys.known(connection, caller.organization_id)
    listed = [_provider(each, keys.get(name)) for name, each in sorted(found.named.items())]
    return answer({"default_model": found.default_model, "providers": listed})


@blueprint.put("/<provider>/key")
@endpoint(
    scope="admin", body=_SET_KEY, answers={200: schemas.OwnKey(), 409: schemas.Problem()}, example={"key": "sk-…"}
)
def set_key(provider: str, caller: Caller) -> Response:
    """Set the organization's own key of a provider: its calls use it from then on, and no other organization's.

    It is stored sealed, and never told to anybody again. 409 where this server has no
    `STRATA_SECRET_KEYS` to seal it with.
    """
    _check(provider)
    key = parsing.body(_SET_KEY).checked()["key"]
    with db.transaction() as connection:
        found = provider_keys.put(connection, caller.organization_id, provider, key, context.this().sealer)
        audit.note(connection, caller, "provider_key.set", provider)
    return answer(_own_key(found))


@blueprint.delete("/<provider>/key")
@endpoint(scope="admin", answers={204: "The key is gone; calls use the server's own again."})
def remove_key(provider: str, caller: Caller) -> Response:
    """Forget the organization's own key of a provider."""
    with db.transaction() as connection:
        provider_keys.remove(connection, caller.organization_id, provider)
        audit.note(connection, caller, "provider_key.deleted", provider)
    return Response(status=204)


def _check(provider: str) -> None:
    if provider not in context.this().providers.named:
        raise NotFound("provider")


def _provider(each: Provider, own: Known | None) -> dict[str, Any]:
    return {
        "name": each.name,
        "models": None if each.models is None else sorted(each.models),
        "has_key": each.api_key is not None,
        "own_key": _own_key(own) if own else None,
        "limits": asdict(each.limits),
        "model_limits": {model: asdict(limits) for model, limits in each.model_limits.items()},
        "prices": _prices(each.name),
        "default_max_tokens": each.default_max_tokens,
    }


def _prices(provider: str) -> dict[str, Any]:
    found = {name.partition("/"): price for name, price in context.this().providers.prices.items()}
    return {model: _price(price) for (name, _, model), price in sorted(found.items()) if name == provider}


def _price(price: Price) -> dict[str, float]:
    return {"prompt": float(price.prompt), "completion": float(price.completion)}


def _own_key(known: Known) -> dict[str, Any]:
    return {"hint": known.hint, "set_at": rfc3339(known.set_at)}
