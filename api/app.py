"""Makes the application: connects, finds routes and facades, installs errors and logs."""

import logging
import os
import re
import sys
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from flask import Flask, Response, g, request
from werkzeug.routing import BaseConverter

from api import accepting, cli, errors, idempotency
from api.admission import Admission
from api.context import Context
from api.open_streams import OpenStreams
from api.watchers import Watchers
from shared import broker, db, doorbell, keys, log, registry
from shared.doorbell import Waiters
from shared.errors import Invalid, Unavailable
from shared.liveness import Liveness, duties_without_workers
from shared.sealing import Sealer
from shared.settings import Settings

logger = logging.getLogger(__name__)
_REQUEST_ID = re.compile(r"^[A-Za-z0-9._:/+=-]{1,128}$")


class _Application(Flask):
    """Views and hooks are functions; Flask would look at each call whether they are coroutines."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


class _Segment(BaseConverter):
    """One segment of a path. Postgres stores no NUL, so nothing is named by a segment that has one."""

    regex = r"[^/\x00]+"
    part_isolating = True


def create_app(settings: Settings | None = None) -> Flask:
    """Make the application; without settings, from the environment. Ends the process where they are wrong."""
    settings = settings or _settings()
    app = _Application("strata", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    # Links are made of paths, and `//v1/executions/retrieve` is one that a vendor documents.
    app.url_map.merge_slashes = True
    app.url_map.converters["default"] = _Segment
    app.extensions["strata"] = Context(
        settings,
        Watchers(settings.redis_url),
        Admission(settings),
        settings.known_providers(),
        Sealer(settings.secret_keys),
        OpenStreams(settings.streams_per_organization),
        Waiters(accepting.over),
    )
    for module in registry.modules("api.routes"):
        app.register_blueprint(module.blueprint)
    errors.install(app)
    cli.install(app)
    idempotency.install(app)
    _log_requests(app)
    db.connect(settings.database_url, connections=settings.database_connections, application="strata api")
    return app


def serve(app: Flask) -> Callable[[], None]:
    """Begin to serve, after the fork, in every process that answers requests; returns what ends it.

    Begun are the hints, the doorbell, the watch for events, the bootstrap key, and the rounds that keep accepted work
    going.
    """
    context: Context = app.extensions["strata"]
    settings = context.settings
    broker.connect(settings)
    listener = doorbell.Listener(settings.redis_url, doorbell.ENDED, context.waiters.heard)
    context.watchers.start()
    context.waiters.start()
    if settings.bootstrap_key:
        _bootstrap(settings.bootstrap_key)
    liveness = Liveness(duties_without_workers(settings), slot="liveness without workers")
    liveness.start()

    def stop() -> None:
        context.let_go()
        context.watchers.close()
        context.admission.close()
        liveness.close()
        listener.close()
        broker.close()

    return stop


def _settings() -> Settings:
    try:
        return Settings.from_environment(os.environ, needs=("database", "broker"))
    except Invalid as error:
        sys.exit("\n".join(f"{fault.field} {fault.message}" for fault in error.faults))


def _bootstrap(key: str) -> None:
    try:
        with db.transaction() as connection:
            keys.bootstrap(connection, key)
    except Unavailable:
        logger.warning("bootstrap key not made, Postgres is away")


def _log_requests(app: Flask) -> None:
    @app.before_request
    def begin() -> None:
        given = request.headers.get("X-Request-Id", "")
        name = given if _REQUEST_ID.match(given) else str(uuid4())
        context = log.context(request=name)
        g.line = (name, time.monotonic(), context)
        context.__enter__()

    @app.after_request
    def finish(response: Response) -> Response:
        name, started, _ = g.line
        rule = request.url_rule
        response.headers["X-Request-Id"] = name
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        said = {
            "request": name,
            "method": request.method,
            "route": rule.rule if rule else None,
            "status": response.status_code,
            "seconds": round(time.monotonic() - started, 4),
        }
        # Once the answer has been sent: nobody waits for a line in a log.
        response.call_on_close(lambda: logger.info("request answered", extra=said))
        return response

    @app.teardown_request
    def leave(_: BaseException | None) -> None:
        line = g.pop("line", None)
        if line is not None:
            line[-1].__exit__(None, None, None)
