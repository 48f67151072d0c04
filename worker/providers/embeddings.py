"""Vectors of texts, from the model that the settings name; without one, search is by words alone.

No limit of the provider is kept to beforehand: what it says with 429 is waited for.
"""

import base64
import math
import os
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import openai

from shared.plan import Usage
from shared.providers import Target
from shared.settings import Settings
from worker.alarms import Alarms
from worker.calls import DEADLINE, Call
from worker.providers import chat, client, faults, transport
from worker.providers.asking import Credential
from worker.providers.client import Clients
from worker.providers.credentials import Credentials
from worker.providers.faults import ProviderFault

PATH = "/embeddings"
#: Texts in one call at most.
MOST_TEXTS = 64
#: pgvector's own bound.
_MOST_DIMENSIONS = 16_000


@dataclass(frozen=True, slots=True)
class Vectors:
    """The vectors of some texts in their order, and what the provider counted for them."""

    found: list["array[float]"]
    usage: Usage | None


class Embeddings:
    """The model that makes vectors, if there is one; one for the process."""

    def __init__(self, settings: Settings, alarms: Alarms, credentials: Credentials) -> None:
        named = settings.embeddings_model
        #: The model; None without one.
        self.target: Target | None = settings.known_providers(os.environ).find(named) if named else None
        self._alarms = alarms
        self._credentials = credentials
        self._clients = Clients(max_answer_bytes=settings.max_answer_bytes)

    def close(self) -> None:
        """Close the idle connections."""
        self._clients.close()

    def ask(self, texts: Sequence[str], organization_id: int, *, call: Call, seconds: float) -> Vectors:
        """The vectors of at most MOST_TEXTS texts, by one call; ProviderFault where there are none."""
        assert self.target is not None
        credential = self._credentials.key(organization_id, self.target.provider)
        exchange = transport.Exchange(call, max(seconds, 0.001))
        alarm = self._alarms.after(exchange.seconds, lambda: call.cut(DEADLINE))
        token = transport.exchange.set(exchange)
        try:
            return self._asked(self.target, texts, credential, exchange)
        except ProviderFault as fault:
            fault.sent = exchange.sent
            fault.hide(credential.key)
            raise
        finally:
            transport.exchange.reset(token)
            alarm.cancel()

    def _asked(
        self, target: Target, texts: Sequence[str], credential: Credential, exchange: transport.Exchange
    ) -> Vectors:
        body = {"model": target.model, "input": list(texts), "encoding_format": "base64"}
        try:
            found = self._clients.of(target.provider).ask(PATH, body, client.headers(credential.key, {}))
        except openai.APIStatusError as error:
            raise faults.from_status(error) from error
        except openai.APIConnectionError as error:
            if exchange.call.cut_by == DEADLINE:
                raise faults.timed_out(exchange.seconds) from error
            raise faults.from_connection(error, exchange.seconds) from error
        except (ValueError, RecursionError) as error:
            raise faults.garbage(f"the provider's answer is not JSON: {error}"[:500]) from error
        return _read(found, len(texts))


def _read(found: object, count: int) -> Vectors:
    """Read an answer; ProviderFault where it is none."""
    listed = found.get("data") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(listed, list) or len(listed) != count:
        raise faults.garbage(f"the provider's answer is no list of {count} embeddings")
    vectors: list[array[float] | None] = [None] * count
    for place, each in enumerate(listed):
        index = each.get("index", place) if isinstance(each, dict) else None
        if not isinstance(index, int) or not 0 <= index < count:
            raise faults.garbage("the provider's embeddings are in no order")
        vectors[index] = _vector(each.get("embedding"))
    whole = [each for each in vectors if each is not None]
    if len(whole) != count or len({len(each) for each in whole}) != 1:
        raise faults.garbage("the provider's embeddings are not one for each text, and of one length")
    return Vectors(whole, chat.usage(found.get("usage")))


def _vector(found: object) -> "array[float]":
    try:
        if isinstance(found, str):
            # Little-endian 32-bit floats; servers that do not know the form give a list.
            vector = array("f", base64.b64decode(found, validate=True))
            if sys.byteorder == "big":
                vector.byteswap()
        else:
            vector = array("f", found)  # type: ignore[call-overload]
    except (ValueError, TypeError, OverflowError) as error:
        raise faults.garbage("the provider's answer has an embedding that is none") from error
    if not 0 < len(vector) <= _MOST_DIMENSIONS or not all(map(math.isfinite, vector)):
        raise faults.garbage("the provider's answer has an embedding that is none")
    return vector
