"""The books of one run: an intent for every call before it is sent, and the bounds of what it may spend."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace

from sqlalchemy import Connection

from shared import db, ledger, metrics
from shared.errors import Unavailable
from shared.executions import Claim
from shared.ledger import Intent
from shared.plan import Call, Usage
from shared.providers import USUAL_TOKENS, Target
from worker.budget import Budget
from worker.carrying import Carried

logger = logging.getLogger(__name__)

#: Between two looks whether the run is to stop, while a call waits for what others leave of the budget.
_LOOK_SECONDS = 0.5


class Books:
    """Every call of a run, from before it is sent until it is booked. Safe to use from all of the run's threads.

    A call goes through them like this; what is not noted is uncertain once the run has ended:

        with books.allow(target, prompt_tokens, wanted, seconds=…) as bound:    # send `bound` as max_tokens
            number = books.open(path, target, estimate)
            …                                                        # send, with `books.attach` in the background
            books.note(Call(…, number=number))                       # or `books.drop(number)`: it was never sent
    """

    def __init__(self, claim: Claim, check: Callable[[], None]) -> None:
        """`check` raises where the run is to stop."""
        self._claim = claim
        self._check = check
        self._budget = Budget(claim.max_cost_usd, claim.max_tokens)
        self._counted = claim.attempt == 1
        self._promises = 0
        self._numbers = 0
        self._open: dict[int, Intent] = {}
        self._noted: dict[int, tuple[str, Call]] = {}
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        #: Records that the next call takes along.
        self.carried = Carried()

    @property
    def bounded(self) -> bool:
        """True where a call may have to wait for what others leave of a bound."""
        return self._budget.bounded

    def allow(
        self, target: Target, prompt_tokens: int, wanted: int | None, *, seconds: float
    ) -> AbstractContextManager[int | None]:
        """Reserve what a call may cost during the block; gives the bound to send for its answer, in tokens.

        Without a budget that is what is wanted; None leaves it to the provider. With one there always is a bound, and
        less than is wanted where no more may be spent: for half of the seconds it waits for what the other calls in
        flight leave; then LayerFailed("budget_exceeded"). `prompt_tokens` must be no less than will be counted.
        """
        return self._allowed(target, prompt_tokens, wanted, seconds) if self.bounded else nullcontext(wanted)

    @contextmanager
    def _allowed(self, target: Target, prompt_tokens: int, wanted: int | None, seconds: float) -> Iterator[int]:
        self._count_before()
        bound = self._promised_bound(target, prompt_tokens, wanted or USUAL_TOKENS, time.monotonic() + seconds / 2)
        most = Usage(prompt_tokens, bound, prompt_tokens + bound)
        try:
            yield bound
        finally:
            with self._lock:
                self._promises -= 1
                self._budget.take_back(most, target.cost(most))
                self._changed.notify_all()

    def open(self, path: str, target: Target, estimate: Usage) -> int:
        """Write down that a call is about to be sent; returns its number. With Postgres away it goes all the same.

        A record that waits for this call is written with it; without Postgres that does not go, Uncarried.
        """
        with self._lock:
            number = self._next()
            intent = Intent(number, path, target.name, estimate, target.cost(estimate))
            self._open[number] = intent
        try:
            if not self.carried.take_along(path, intent):
                self._open_alone(intent)
        except BaseException:
            # It may have been written, where the answer was lost.
            self.drop(number)
            raise
        return number

    def catch_up(self, path: str) -> None:
        """Write the record that waits for the next call of a layer, before that waits for anything; Uncarried."""
        self.carried.take_along(path)

    def attach(self, number: int, response_id: str) -> None:
        """Note under which id the provider makes an answer in the background, for whoever has to take over."""
        with self._lock:
            self._open[number] = replace(self._open[number], response_id=response_id)
        with suppress(Unavailable), db.autocommit() as connection:
            ledger.attach(connection, self._claim.id, self._claim.attempt, number, response_id)

    def prior(self, path: str) -> list[Intent]:
        """The answers that earlier attempts have asked for in the background, for this layer: now this run's own."""
        found: list[Intent] = []
        while self._claim.attempt > 1:
            with self._lock:
                number = self._next()
            with db.autocommit() as connection:
                intent = ledger.adopt(connection, self._claim.id, self._claim.attempt, number, path)
            if intent is None:
                break
            with self._lock:
                self._open[number] = intent
            found.append(intent)
        return found

    def drop(self, number: int) -> None:
        """Take an intent back: the call was never sent."""
        with self._lock:
            self._open.pop(number, None)
        with suppress(Unavailable), db.autocommit() as connection:
            ledger.drop(connection, self._claim.id, self._claim.attempt, number)

    def note(self, call: Call) -> None:
        """Count what came of a call; it is booked with the record of its layer."""
        with self._lock:
            intent = self._open.pop(call.number, None)
            if intent is not None:
                self._noted[call.number] = (intent.path, call)
            self._spend(call, intent)

    def recorded(self, calls: Iterable[Call]) -> None:
        """Forget calls that a record has booked."""
        for call in calls:
            metrics.spent(call)
            with self._lock:
                self._noted.pop(call.number, None)

    @property
    def unsettled(self) -> bool:
        """True where calls are known that no record has booked."""
        return bool(self._open or self._noted)

    def settle(self, connection: Connection, *, but: Iterable[Call] = (), ended: bool = False) -> None:
        """Book what no record will: what is noted as it is, what is still open as uncertain.

        Left out are calls that are about to be recorded and, unless the execution has ended, those whose answers are
        made in the background: another attempt can fetch them.
        """
        recorded = {each.number for each in but}
        with self._lock:
            known = [
                (path, replace(call, kept=False))
                for number, (path, call) in self._noted.items()
                if number not in recorded
            ]
            known += [(each.path, _cut(each)) for each in self._open.values() if ended or each.response_id is None]
        if known:
            lines = [line for path, call in known for line in ledger.lines(path, [call])]
            ledger.book(connection, self._claim.id, self._claim.attempt, lines)
            db.after_commit(self._settled, [call for _, call in known])

    def _settled(self, calls: list[Call]) -> None:
        with self._lock:
            for call in calls:
                self._open.pop(call.number, None)
        self.recorded(calls)

    def _open_alone(self, intent: Intent) -> None:
        try:
            with db.autocommit() as connection:
                ledger.open(connection, self._claim.id, self._claim.attempt, intent)
        except Unavailable:
            logger.warning("no intent written, Postgres is away")

    def _next(self) -> int:
        self._numbers += 1
        return self._numbers

    def _promised_bound(self, target: Target, prompt_tokens: int, wanted: int, until: float) -> int:
        with self._lock:
            while (left := self._budget.left(target, prompt_tokens)) is not None and left < wanted and self._promises:
                if time.monotonic() >= until:
                    break
                self._changed.wait(_LOOK_SECONDS)
                self._check()
            bound = wanted if left is None else min(wanted, left)
            if bound < 1:
                raise self._budget.exceeded(target, prompt_tokens)
            most = Usage(prompt_tokens, bound, prompt_tokens + bound)
            self._promises += 1
            self._budget.add(most, target.cost(most))
            return bound

    def _count_before(self) -> None:
        """Count what the attempts before have spent, once; it has to be known, so Postgres is waited for."""
        while not self._counted:
            try:
                with db.autocommit() as connection:
                    tokens, cost = ledger.spent(connection, self._claim.id, self._claim.attempt)
            except Unavailable:
                with self._lock:
                    self._changed.wait(_LOOK_SECONDS)
                self._check()
                continue
            with self._lock:
                if not self._counted:
                    self._counted = True
                    self._budget.add(Usage(total_tokens=tokens), cost)

    def _spend(self, call: Call, intent: Intent | None) -> None:
        if call.usage is not None:
            self._budget.add(call.usage, call.cost)
        elif call.outcome == "answered" and intent is not None:
            # Who does not count may have given all that he was asked for.
            self._budget.add(intent.estimate, intent.cost)


def _cut(intent: Intent) -> Call:
    return Call(
        intent.model,
        "uncertain",
        number=intent.number,
        usage=intent.estimate,
        cost=intent.cost,
        kept=False,
        uncertain=True,
    )
