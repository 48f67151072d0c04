"""Which organizations have a webhook, as this process knows it from a moment ago: enough to send a hint or none."""

import logging
import math
import time

from shared import db
from shared.errors import Unavailable
from shared.statements import Statement

logger = logging.getLogger(__name__)

#: How long a process goes by what it has read, in seconds.
FRESH_SECONDS = 5.0

_found: frozenset[int] = frozenset()
_read_at = -math.inf


def organizations() -> frozenset[int]:
    """Those with an enabled webhook; read again once the answer is no longer fresh, and not while Postgres is away."""
    global _found, _read_at
    if time.monotonic() - _read_at > FRESH_SECONDS:
        # Said before it is read, so that no second thread reads it too.
        _read_at = time.monotonic()
        try:
            with db.autocommit() as connection:
                _found = frozenset(_LISTENING(connection).scalars())
        except Unavailable:
            logger.warning("listeners not read, Postgres is away")
    return _found


def forget() -> None:
    """Read again at the next question: somebody has changed a webhook here."""
    global _read_at
    _read_at = -math.inf


_LISTENING = Statement("SELECT DISTINCT organization_id FROM webhooks WHERE disabled_at IS NULL")
