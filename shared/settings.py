"""Every setting, from the environment, read once at the start of a process; all faults are told at once."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from shared import addresses, provider_settings
from shared.errors import Fault, Invalid, LayerFailed
from shared.order import ERRANDS, QUEUES
from shared.providers import Providers
from shared.sealing import LEAST_CHARACTERS

Need = Literal["database", "broker", "models"]


#: Not in the repr of settings: keys, and URLs that have a password in them.
_SECRET = frozenset({
    *("DATABASE_URL", "REDIS_URL", "OPENAI_API_KEY", "STRATA_PROVIDERS", "STRATA_PRICES", "STRATA_BOOTSTRAP_KEY"),
    "STRATA_SECRET_KEYS",
})
_LAST_PORT = 65535


def _setting(variable: str, default: Any, meaning: str, *, least: float | None = None) -> Any:
    metadata = {"variable": variable, "meaning": meaning, "least": least}
    return field(default=default, repr=variable not in _SECRET, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """What a process of Strata can be told. Names carry their units."""

    database_url: str = _setting("DATABASE_URL", "", "Postgres 15 or newer; required")
    redis_url: str = _setting("REDIS_URL", "", "Redis 6.2 or newer; required")
    host: str = _setting("HOST", "127.0.0.1", "address the API listens on")
    port: int = _setting("PORT", 8000, "port the API listens on", least=0)
    public_url: str = _setting("STRATA_PUBLIC_URL", "", "base of the links in answers; paths alone when empty")
    openai_api_key: str = _setting("OPENAI_API_KEY", "", "key of the model provider; a worker needs it or a base URL")
    openai_base_url: str = _setting(
        "OPENAI_BASE_URL", "", "any OpenAI-compatible server; OpenAI's own when empty and a key is set"
    )
    default_model: str = _setting("STRATA_DEFAULT_MODEL", "gpt-4o-mini", "model of prompt layers that name none")
    embeddings_model: str = _setting(
        "STRATA_EMBEDDINGS_MODEL",
        "",
        "model that makes vectors of documents, so that they are searched by meaning too; by words alone when empty",
    )
    providers: str = _setting(
        provider_settings.PROVIDERS,
        "",
        "more providers by name, as JSON or YAML, or the path of a file with it ([docs/models.md](docs/models.md))",
    )
    prices: str = _setting(
        provider_settings.PRICES, "", "prices by `provider/model`, as JSON or YAML, or the path of a file with it"
    )
    bootstrap_key: str = _setting(
        "STRATA_BOOTSTRAP_KEY",
        "",
        "admin key of the organization `default`, made at start; 24 characters or more",
    )
    secret_keys: tuple[str, ...] = _setting(
        "STRATA_SECRET_KEYS",
        (),
        "keys that seal stored secrets and sign stream tokens, newest first, with commas between, 32 characters or "
        "more each; needed for variables, webhooks, streams and organizations' own keys of providers",
    )
    worker_concurrency: int = _setting(
        "STRATA_WORKER_CONCURRENCY", 100, "executions that a worker process runs at once", least=1
    )
    calls_in_flight: int = _setting(
        "STRATA_CALLS_IN_FLIGHT", 500, "model calls that a worker process has open at once", least=1
    )
    queues: tuple[str, ...] = _setting(
        "STRATA_QUEUES", (*QUEUES, *ERRANDS), "queues that a worker serves, with commas between"
    )
    lease_seconds: float = _setting(
        "STRATA_LEASE_SECONDS",
        30.0,
        "seconds after which a silent worker's executions are taken up again",
        least=1,
    )
    drain_seconds: float = _setting(
        "STRATA_DRAIN_SECONDS", 65.0, "seconds that running layers get when a worker is told to stop", least=0
    )
    max_deaths: int = _setting(
        "STRATA_MAX_DEATHS",
        3,
        "workers that an execution may take down before it is failed as worker_lost",
        least=1,
    )
    stall_seconds: float = _setting(
        "STRATA_STALL_SECONDS",
        30.0,
        "seconds that work may wait for a worker with free slots before that worker is unready; after as many more it "
        "starts anew",
        least=1,
    )
    result_seconds: float = _setting(
        "STRATA_RESULT_SECONDS", 86400.0, "seconds that inputs and results are kept after the end", least=1
    )
    tombstone_days: float = _setting(
        "STRATA_TOMBSTONE_DAYS", 30.0, "days that an expired execution is still answered with 410", least=0
    )
    thread_days: float = _setting("STRATA_THREAD_DAYS", 30.0, "days that a thread is kept without use", least=0)
    database_connections: int = _setting(
        "STRATA_DATABASE_CONNECTIONS", 20, "connections to Postgres that a process holds at most", least=2
    )
    api_threads: int = _setting(
        "STRATA_API_THREADS",
        1000,
        "requests that an API process answers at once, waiting ones included",
        least=1,
    )
    worker_host: str = _setting("STRATA_WORKER_HOST", "127.0.0.1", "address of a worker's health and metrics")
    worker_port: int = _setting(
        "STRATA_WORKER_PORT",
        9100,
        "port of a worker's health and metrics; the next free one if it is taken",
        least=1,
    )
    task_events: bool = _setting("STRATA_TASK_EVENTS", True, "show every execution as a task in Flower; 0 or 1")
    max_queued: int = _setting(
        "STRATA_MAX_QUEUED",
        100_000,
        "executions of an organization that wait or are queued at most, unless it has a limit of its own; 0 for any",
        least=0,
    )
    per_minute: int = _setting(
        "STRATA_PER_MINUTE",
        0,
        "executions that an organization starts in a minute, unless it has a limit of its own; 0 for any",
        least=0,
    )
    max_body_bytes: int = _setting("STRATA_MAX_BODY_BYTES", 1 << 20, "largest request body in bytes", least=1024)
    max_batch_bytes: int = _setting("STRATA_MAX_BATCH_BYTES", 64 << 20, "largest body of a batch in bytes", least=1024)
    max_batch_items: int = _setting("STRATA_MAX_BATCH_ITEMS", 10_000, "executions in one batch at most", least=1)
    max_json_depth: int = _setting("STRATA_MAX_JSON_DEPTH", 32, "deepest nesting of a request's JSON", least=4)
    max_document_bytes: int = _setting(
        "STRATA_MAX_DOCUMENT_BYTES", 20 << 20, "largest document in bytes; four times that in one request", least=1024
    )
    max_answer_bytes: int = _setting(
        "STRATA_MAX_ANSWER_BYTES", 8 << 20, "largest answer of a model in bytes", least=1024
    )
    allowed_networks: tuple[str, ...] = _setting(
        "STRATA_ALLOWED_NETWORKS",
        (),
        "private networks that webhooks, layers and tools may reach, such as `10.0.0.0/8,fd00::/8`",
    )
    webhook_concurrency: int = _setting(
        "STRATA_WEBHOOK_CONCURRENCY", 50, "webhooks that a worker process tells of something at once", least=1
    )
    expiring_seconds: float = _setting(
        "STRATA_EXPIRING_SECONDS",
        3600.0,
        "seconds before results are deleted when webhooks are told of it; half of STRATA_RESULT_SECONDS at most",
        least=0,
    )
    cors_origins: tuple[str, ...] = _setting(
        "STRATA_CORS_ORIGINS",
        (),
        "origins whose pages may read streams, such as `https://app.example.com`; `*` for any",
    )
    stream_token_seconds: float = _setting(
        "STRATA_STREAM_TOKEN_SECONDS", 300.0, "seconds that a stream token is good for", least=10
    )
    streams_per_organization: int = _setting(
        "STRATA_STREAMS_PER_ORGANIZATION",
        200,
        "thread streams that an organization has open at once in each API process; 0 for any",
        least=0,
    )
    log_level: str = _setting("STRATA_LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], *, needs: tuple[Need, ...] = ()) -> "Settings":
        """Read the settings; Invalid names every variable that is wrong, or missing for what the process needs."""
        values: dict[str, Any] = {}
        faults: list[Fault] = []
        for each in fields(cls):
            text = environment.get(each.metadata["variable"], "").strip()
            if text:
                try:
                    values[each.name] = _convert(each.default, text, each.metadata["least"])
                except ValueError as error:
                    faults.append(Fault(each.metadata["variable"], str(error)))
        settings = cls(**values)
        faults += settings._broken_rules(needs)
        try:
            known = settings.known_providers(environment if "models" in needs else None)
            if settings.embeddings_model:
                known.find(settings.embeddings_model)
        except LayerFailed as error:
            faults.append(Fault("STRATA_EMBEDDINGS_MODEL", str(error)))
        except Invalid as error:
            faults += error.faults
        if faults:
            raise Invalid(faults)
        return settings

    def known_providers(self, environment: Mapping[str, str] | None = None) -> Providers:
        """The providers and their prices; Invalid where their settings are wrong.

        A process that asks models hands in its environment, which may hold the keys.
        """
        return provider_settings.read(
            self.providers,
            self.prices,
            api_key=self.openai_api_key,
            base_url=self.openai_base_url,
            default_model=self.default_model,
            environment=environment,
        )

    def _broken_rules(self, needs: tuple[Need, ...]) -> list[Fault]:
        rules = [
            ("database" not in needs or self.database_url, "DATABASE_URL", "is required"),
            ("broker" not in needs or self.redis_url, "REDIS_URL", "is required"),
            (
                "models" not in needs or self.openai_api_key or self.openai_base_url or self.providers,
                "OPENAI_API_KEY",
                "is required, or OPENAI_BASE_URL for a server that wants no key, or STRATA_PROVIDERS",
            ),
            (
                not self.bootstrap_key or len(self.bootstrap_key) >= 24,
                "STRATA_BOOTSTRAP_KEY",
                "must have 24 characters or more",
            ),
            (
                all(len(key) >= LEAST_CHARACTERS for key in self.secret_keys),
                "STRATA_SECRET_KEYS",
                f"must be keys of {LEAST_CHARACTERS} characters or more",
            ),
            (
                set(self.queues) <= {*QUEUES, *ERRANDS} and self.queues,
                "STRATA_QUEUES",
                f"must be of {', '.join((*QUEUES, *ERRANDS))}",
            ),
            (self.port <= _LAST_PORT, "PORT", f"must be at most {_LAST_PORT}"),
            (self.worker_port <= _LAST_PORT, "STRATA_WORKER_PORT", f"must be at most {_LAST_PORT}"),
            (
                not (fault := _network_fault(self.allowed_networks)),
                "STRATA_ALLOWED_NETWORKS",
                fault,
            ),
            (self.log_level in ("DEBUG", "INFO", "WARNING", "ERROR"), "STRATA_LOG_LEVEL", "is no level"),
        ]
        return [Fault(variable, message) for holds, variable, message in rules if not holds]


def _network_fault(texts: tuple[str, ...]) -> str:
    try:
        addresses.networks(texts)
    except ValueError as error:
        return str(error)
    return ""


def _convert(default: Any, text: str, least: float | None) -> Any:
    if isinstance(default, bool):
        if text.lower() not in ("0", "1", "true", "false"):
            raise ValueError("must be 0 or 1")
        return text.lower() in ("1", "true")
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if not isinstance(default, int | float):
        return text
    try:
        number = type(default)(text)
    except ValueError as error:
        raise ValueError(f"must be {'a whole number' if isinstance(default, int) else 'a number'}") from error
    if isinstance(number, float) and math.isinf(number):
        raise ValueError("must be a finite number")
    # `not >=` rather than `<`, so that NaN is refused too.
    if least is not None and not number >= least:
        raise ValueError(f"must be at least {least:g}")
    return number
