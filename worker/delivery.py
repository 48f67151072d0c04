"""Tells webhooks what they are owed: a signed request a try, never to a private address, its outcome written down."""

import logging
import random
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from uuid import UUID

from sqlalchemy import Connection

from shared import broker, clock, db, deliveries, metrics, notices, pipelines, webhooks
from shared.deliveries import LEASE_SECONDS, PAUSES, TIMEOUT_SECONDS, Due, Outcome, Raced
from shared.errors import LayerFailed, Unavailable
from shared.notices import Notice
from shared.outside import Request, Response
from shared.plan import Version
from shared.sealing import Sealer
from shared.settings import Settings
from worker.alarms import Alarms
from worker.fetching import Fetcher

logger = logging.getLogger(__name__)

#: Of an answer, in bytes; and what of it is kept for who looks why it failed, in characters.
_ANSWER_BYTES = 64 << 10
_KEPT_CHARACTERS = 1000
#: Each pause is so much shorter or longer, that what failed together does not come again together.
_JITTER = 0.05
#: The longest that a receiver may ask us to wait, in seconds.
_MOST_ASKED = 24 * 3600
#: A permit comes when a try is due that is not further away than this, in seconds; else the sweep sees to it.
_SOON_SECONDS = 60
#: Claims that are tried while other senders take the same places.
_CLAIMS = 5
_AGAIN_SECONDS = 0.5
_GONE = 410
#: What Postgres has written of an execution in its own way.
_TIMES = {"accepted_at", "ended_at", "expires_at"}


class Delivery:
    """The errand of the queue `webhooks`."""

    queue = webhooks.QUEUE

    def __init__(self, settings: Settings, sender: UUID, alarms: Alarms) -> None:
        self.concurrency = settings.webhook_concurrency
        self._sender = sender
        self._alarms = alarms
        self._fetcher = Fetcher(settings.allowed_networks, alarms)
        self._sealer = Sealer(settings.secret_keys)
        self._claiming, self._counting = threading.Lock(), threading.Lock()
        self._closed = False
        self._asking = 0
        self._found: deque[Due] = deque()

    def one(self) -> bool:
        """Try what is due next; False where nothing is."""
        due = self._claimed()
        if due is None:
            return False
        outcome = self._tried(due)
        if not self._recorded(due, outcome):
            logger.warning("delivery lost", extra={"delivery": str(due.uuid)})
        elif outcome.again_seconds is not None and outcome.again_seconds <= _SOON_SECONDS:
            self._alarms.after(outcome.again_seconds, self._remind)
        return True

    def backlog(self, connection: Connection) -> int:
        """How many may be sent now."""
        return deliveries.backlog(connection, at_most=self.concurrency)

    def close(self) -> None:
        """Remind nobody any more; tries are short, and come to their end by themselves."""
        self._closed = True

    def _remind(self) -> None:
        if not self._closed:
            broker.permit(self.queue)

    def _claimed(self) -> Due | None:
        """What is due next. Who claims does so for all who wait for it: one statement costs hardly more for several."""
        with self._counting:
            self._asking += 1
        try:
            with self._claiming:
                if not self._found:
                    self._found.extend(self._claim(self._asking))
                return self._found.popleft() if self._found else None
        finally:
            with self._counting:
                self._asking -= 1

    def _claim(self, many: int) -> list[Due]:
        for _ in range(_CLAIMS):
            with suppress(Raced), db.autocommit() as connection:
                return deliveries.claim(connection, self._sender, many=many)
        return []

    def _tried(self, due: Due) -> Outcome:
        started = time.monotonic()
        try:
            request = self._request(due)
            answer = self._fetcher.tell(request, seconds=TIMEOUT_SECONDS, key=str(due.uuid))
        except LayerFailed as error:
            outcome = Outcome(0.0, again_seconds=_pause(due), error=str(error))
        except Unavailable:
            raise
        except Exception:
            # One that cannot be written today may be by a newer release, or with the keys of the settings back.
            logger.exception("notice not written", extra={"delivery": str(due.uuid)})
            outcome = Outcome(0.0, again_seconds=_pause(due), error="the notice could not be written, see the log")
        else:
            outcome = _judged(due, answer)
        outcome = replace(outcome, seconds=time.monotonic() - started)
        metrics.delivered("tried again" if outcome.label == "pending" else outcome.label, outcome.seconds)
        return outcome

    def _request(self, due: Due) -> Request:
        secrets = webhooks.opened(self._sealer, due.organization_id, due.webhook, due.secrets)
        if due.tries % 2:
            # A dialect with room for one signature takes turns, the former secret first: it is the one in use.
            secrets.reverse()
        body, headers = notices.written(due.dialect, _notice(due), secrets, moment=int(time.time()))
        return Request("POST", due.url, headers, body, _ANSWER_BYTES)

    def _recorded(self, due: Due, outcome: Outcome) -> bool:
        """Write an outcome down, again and again while Postgres is away, as long as the delivery is ours."""
        until = time.monotonic() + LEASE_SECONDS - outcome.seconds
        while True:
            try:
                with db.autocommit() as connection:
                    return deliveries.record(connection, due, self._sender, outcome)
            except Unavailable:
                if time.monotonic() >= until:
                    return False
                time.sleep(_AGAIN_SECONDS)


def _judged(due: Due, answer: Response) -> Outcome:
    if 200 <= answer.status < 300:
        return Outcome(0.0, arrived=True, status=answer.status)
    text = answer.body.decode(errors="replace")[:_KEPT_CHARACTERS] or "an answer without a body"
    if answer.status == _GONE:
        return Outcome(0.0, gone=True, status=answer.status, error=text)
    return Outcome(0.0, again_seconds=_pause(due, answer), status=answer.status, error=text)


def _pause(due: Due, answer: Response | None = None) -> float | None:
    """Seconds until the next try, None after the last; longer where the receiver asks for it."""
    if due.tries > len(PAUSES):
        return None
    pause = PAUSES[due.tries - 1] * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311
    return max(pause, _asked(answer.headers.get("retry-after", "")) if answer else 0.0)


def _asked(header: str) -> float:
    """The seconds of a `Retry-After` (RFC 9110), which may be a date; 0 where it is neither."""
    if header.isascii() and header.isdigit():
        return float(min(int(header[:9]), _MOST_ASKED))
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(0.0, (aware - datetime.now(UTC)).total_seconds()), _MOST_ASKED)


def _notice(due: Due) -> Notice:
    data = dict(due.data)
    data |= {name: clock.rfc3339(datetime.fromisoformat(data[name])) for name in _TIMES & data.keys()}
    version = _version(data.pop("version")) if "version" in data else None
    if version is not None:
        data["pipeline"] = {
            "handle": version.handle,
            "version": version.number,
            "uuid": str(version.pipeline_uuid),
        }
    prompt = version is not None and version.plan.output is not None
    return Notice(due.uuid, due.event, due.subject, due.created_at, data, prompt=prompt, tells_event=due.tells_event)


def _version(version_id: int) -> Version:
    known = pipelines.known(version_id)
    if known is not None:
        return known
    with db.autocommit() as connection:
        return pipelines.version(connection, version_id)
