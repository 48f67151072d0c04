"""The vector of a question, from the embeddings model, booked as every call of an execution is."""

import logging
import time
from collections.abc import Callable

from shared.passages import Vector, written
from shared.plan import Call, Usage
from shared.providers import Target
from worker.providers.embeddings import Embeddings
from worker.providers.faults import ProviderFault
from worker.running import Run

logger = logging.getLogger(__name__)

#: How often the model is asked for one, and how long a try may take, in seconds.
_ATTEMPTS = 2
_LONGEST_SECONDS = 10.0
#: Is told of each call that was sent.
Tell = Callable[[Call], None]


class Meanings:
    """What makes vectors of questions; there are none without a model for it."""

    def __init__(self, embeddings: Embeddings) -> None:
        self._embeddings = embeddings

    def of(self, query: str, *, run: Run, path: str, until: float, tell: Tell) -> Vector | None:
        """The vector of a question, within a part of the time; None where it cannot be had.

        LayerFailed where the execution's budget does not allow the call, Stopped when the run is to stop.
        """
        target = self._embeddings.target
        if target is None or not query.strip():
            return None
        for _ in range(_ATTEMPTS):
            seconds = min(_LONGEST_SECONDS, (until - time.monotonic()) / 3)
            try:
                return self._asked(query, target, run, path, seconds, tell)
            except ProviderFault as fault:
                run.check()
                logger.warning("question without a vector", extra={"reason": fault.reason})
                if not fault.retryable:
                    break
        return None

    def _asked(self, query: str, target: Target, run: Run, path: str, seconds: float, tell: Tell) -> Vector:
        # A token has a byte at least.
        most = len(query.encode(errors="replace")) + 1
        with run.books.allow(target, most, 1, seconds=seconds), run.call() as call:
            number = run.books.open(path, target, Usage(most, 0, most))
            try:
                found = self._embeddings.ask([query], run.claim.organization_id, call=call, seconds=seconds)
            except ProviderFault as fault:
                if fault.sent:
                    tell(_failed(fault, target, number, most))
                else:
                    run.books.drop(number)
                raise
            cost = None if found.usage is None else target.cost(found.usage)
            tell(Call(target.name, "answered", number=number, usage=found.usage, cost=cost))
        return Vector(target.name, written(found.found[0]))


def _failed(fault: ProviderFault, target: Target, number: int, most: int) -> Call:
    usage = Usage(most, 0, most) if fault.lost else None
    cost = None if usage is None else target.cost(usage)
    return Call(target.name, fault.reason, number=number, usage=usage, cost=cost, kept=False, uncertain=fault.lost)
