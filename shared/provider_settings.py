"""Reads the settings of providers and prices; all that is wrong in them is told at once, and never with a key."""

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from shared import faults, strict_yaml
from shared.errors import Fault, Invalid, LayerFailed
from shared.kinds import Number, Strict, Whole
from shared.providers import DEFAULT, Limits, Price, Provider, Providers

PROVIDERS = "STRATA_PROVIDERS"
PRICES = "STRATA_PRICES"
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$(?!\n)")
_TOKEN = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$(?!\n)"  # noqa: S105
_VISIBLE = r"^[ -~]*$(?!\n)"
_COUNT = validate.Range(min=1)


class _Limits(Strict):
    requests_per_minute = Whole(validate=_COUNT)
    tokens_per_minute = Whole(validate=_COUNT)
    in_flight = Whole(validate=_COUNT)


class _Address(fields.String):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            parts = urlsplit(text)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query
            _ = parts.port
        except ValueError:
            good = False
        if not good:
            raise ValidationError("must be a URL of http or https")
        return text


class _Provider(Strict):
    base_url = _Address()
    api_key = fields.String(validate=[validate.Length(min=1), validate.Regexp(_VISIBLE)])
    api_key_env = fields.String(validate=validate.Length(min=1))
    headers = fields.Dict(
        keys=fields.String(validate=validate.Regexp(_TOKEN)), values=fields.String(validate=validate.Regexp(_VISIBLE))
    )
    models = fields.List(fields.String(validate=validate.Length(min=1, max=200)), validate=validate.Length(min=1))
    limits = fields.Nested(_Limits)
    model_limits = fields.Raw()
    default_max_tokens = Whole(validate=_COUNT)
    responses = fields.Boolean(truthy={True}, falsy={False})
    web_search = fields.Boolean(truthy={True}, falsy={False})

    @validates_schema
    def _has_one_key(self, settings: Mapping[str, Any], **_: Any) -> None:
        if "api_key" in settings and "api_key_env" in settings:
            raise ValidationError("does not go with api_key", "api_key_env")


class _Price(Strict):
    prompt = Number(required=True, validate=validate.Range(min=0, max=1_000_000))
    completion = Number(required=True, validate=validate.Range(min=0, max=1_000_000))


def read(
    providers: str,
    prices: str,
    *,
    api_key: str = "",
    base_url: str = "",
    default_model: str = "",
    environment: Mapping[str, str] | None = None,
) -> Providers:
    """Make the providers of what the settings say; Invalid names every fault in them.

    `api_key` and `base_url` are those of the provider `default`. `environment` is where `api_key_env` is looked up;
    without it, as in a process that asks no models, nobody looks.
    """
    reader = _Reader(environment)
    given = reader.mapping(PROVIDERS, providers)
    named = {DEFAULT: Provider(DEFAULT, base_url or None, api_key or None)}
    for name, written in given.items():
        before = named.get(name, Provider(name))
        found = reader.provider(f"{PROVIDERS}.{name}", name, written, before)
        named[name] = found or before
    priced = {
        name: price
        for name, written in reader.mapping(PRICES, prices).items()
        if (price := reader.price(f"{PRICES}.{name}", written)) is not None
    }
    if reader.faults:
        raise Invalid(reader.faults)
    known = Providers(named, {}, default_model)
    try:
        known.find(None)
    except LayerFailed as error:
        raise Invalid([Fault("STRATA_DEFAULT_MODEL", str(error))]) from error
    return Providers(named, {known.full_name(name): price for name, price in priced.items()}, default_model)


class _Reader:
    """Reads one part after the other, and keeps what is wrong."""

    def __init__(self, environment: Mapping[str, str] | None) -> None:
        self.faults: list[Fault] = []
        self._environment = environment

    def mapping(self, variable: str, text: str) -> dict[str, Any]:
        """The object that a setting holds, or that the file holds whose path it is."""
        if not text.strip():
            return {}
        try:
            found = strict_yaml.loads(text)
            if isinstance(found, str):
                found = strict_yaml.loads(Path(found).read_text())
        except OSError as error:
            self.faults.append(Fault(variable, f"the file cannot be read: {error.strerror}"))
            return {}
        except ValueError as error:
            self.faults.append(Fault(variable, f"is neither JSON nor YAML: {error}"))
            return {}
        if not isinstance(found, dict):
            self.faults.append(Fault(variable, "must be an object, or the path of a file with one"))
            return {}
        return found

    def provider(self, place: str, name: str, written: Any, before: Provider) -> Provider | None:
        """A provider, what is not said of it as it was before."""
        if not _NAME.match(name):
            self.faults.append(Fault(place, "a name has letters, digits, `_` and `-`, 63 at most"))
        found = self._loaded(_Provider(), place, written)
        if found is None:
            return None
        models = found.get("models")
        return Provider(
            name,
            base_url=found.get("base_url", before.base_url),
            api_key=self._key(place, found) or before.api_key,
            headers=found.get("headers", {}),
            models=None if models is None else frozenset(models),
            limits=Limits(**found.get("limits", {})),
            model_limits=self._model_limits(f"{place}.model_limits", found.get("model_limits", {})),
            default_max_tokens=found.get("default_max_tokens"),
            responses=found.get("responses", False),
            web_search=found.get("web_search", False),
        )

    def price(self, place: str, written: Any) -> Price | None:
        """A price; its decimals are those that were written."""
        found = self._loaded(_Price(), place, written)
        return None if found is None else Price(*(Decimal(repr(found[each])) for each in ("prompt", "completion")))

    def _model_limits(self, place: str, written: Any) -> dict[str, Limits]:
        if not isinstance(written, dict):
            self.faults.append(Fault(place, "must be an object"))
            return {}
        loaded = {model: self._loaded(_Limits(), f"{place}.{model}", each) for model, each in written.items()}
        return {model: Limits(**each) for model, each in loaded.items() if each is not None}

    def _key(self, place: str, found: Mapping[str, Any]) -> str | None:
        variable = found.get("api_key_env")
        if variable is None or self._environment is None:
            return found.get("api_key")
        key = self._environment.get(variable, "").strip()
        if not key:
            self.faults.append(Fault(f"{place}.api_key_env", f"the variable {variable} is not set"))
        return key

    def _loaded(self, schema: Schema, place: str, written: Any) -> dict[str, Any] | None:
        if not isinstance(written, dict):
            self.faults.append(Fault(place, "must be an object"))
            return None
        try:
            loaded: dict[str, Any] = schema.load(written)
        except ValidationError as error:
            self.faults += faults.flatten(error.normalized_messages(), place)
            return None
        return loaded
