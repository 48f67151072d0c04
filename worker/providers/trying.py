"""One try at a model: whether it may be made at all, and what is learned from it."""

import logging
import random
import time

from shared import questions
from shared.errors import Parked
from shared.outside import Question
from worker.providers.asking import Asking, Line, Reply
from worker.providers.breaker import Admission, Breakers, speaks_against_model
from worker.providers.faults import ProviderFault
from worker.providers.pacing import Pacing
from worker.providers.pauses import Pauses
from worker.providers.places import Asker, Place
from worker.providers.retries import SHORT_SECONDS, Postponed
from worker.providers.sending import Left, Sender, Tell, usage_at_most

logger = logging.getLogger(__name__)

#: What such a call met says nothing about its model.
_NO_WORD = frozenset({"provider_rate_limited", "provider_quota", "provider_auth", "provider_timeout"})
#: After such a fault everybody asks less.
_TOO_MUCH = frozenset({"provider_rate_limited", "provider_overloaded"})
#: Longer than this nobody keeps still at a provider's word, in seconds.
_LONGEST_PAUSE_SECONDS = 3600.0


class Tries:
    """Makes tries, and knows which models and keys are to be left alone."""

    def __init__(self, sender: Sender, pacing: Pacing) -> None:
        self._sender = sender
        self._pacing = pacing
        self._breakers = Breakers()
        self._pauses = Pauses()

    def once(self, question: Question, line: Line, asking: Asking, left: Left, tell: Tell, *, patient: bool) -> Reply:
        """Send one call; ProviderFault where it has no answer, Postponed where it cannot be sent soon.

        Who is `patient` waits for a while for a model that is left alone.
        """
        asking.run.check()
        if left() <= 0:
            raise ProviderFault("provider_timeout", f"no time was left to ask {line.target.name}", retryable=False)
        self._pauses.check(line.credential.id)
        admission = self._admitted(line, asking, left, patient=patient)
        seconds, failed, reason = left(), None, ""
        try:
            reply = self._paced(question, line, asking, left, tell)
            failed = False
        except ProviderFault as fault:
            reason, failed = fault.reason, _verdict(fault, seconds)
            if fault.of_key:
                self._pauses.begin(line.credential.id, fault)
                logger.warning("key left alone", extra={"provider": line.target.provider.name, "reason": reason})
            raise
        finally:
            self._breakers.ended(line.name, failed=failed, reason=reason, probe=admission.probe)
            if failed is False:
                self._pauses.end(line.credential.id)
        return reply

    def _admitted(self, line: Line, asking: Asking, left: Left, *, patient: bool) -> Admission:
        waiting_until = time.monotonic() + min(SHORT_SECONDS, left())
        while (admission := self._breakers.admit(line.name)).wait_seconds > 0:
            text = f"{line.target.name} is not asked for a while: too many calls have failed"
            fault = ProviderFault(admission.reason, text, retryable=False)
            if not patient or admission.lasting:
                raise fault
            if time.monotonic() + admission.wait_seconds > waiting_until:
                # Not all at once, where a probe is all that is waited for.
                raise Postponed(max(admission.wait_seconds, random.uniform(1, 2) * SHORT_SECONDS), fault)  # noqa: S311
            _rest(asking, admission.wait_seconds)
        return admission

    def _paced(self, question: Question, line: Line, asking: Asking, left: Left, tell: Tell) -> Reply:
        """Send a call in its place within the provider's limits."""
        wanted = line.target.max_tokens(question.max_tokens)
        place = self._pacing.place(
            line.name,
            line.target.limits,
            usage_at_most(questions.most_prompt_tokens(question), wanted).total_tokens,
            asker=Asker(str(asking.run.claim.uuid), str(asking.organization_id)),
            seconds=left(),
            rest=lambda seconds: _rest(asking, seconds),
        )
        try:
            with place as paced:
                try:
                    reply = self._sender.send(question, line, asking, left, tell)
                except ProviderFault as fault:
                    self._learn_of_fault(line, fault, paced)
                    raise
                self._learn(line, reply, paced)
                return reply
        except Parked as parked:
            text = f"{line.target.name} is asked no more often than its limits allow"
            raise Postponed(parked.seconds, ProviderFault("provider_rate_limited", text)) from parked

    def _learn(self, line: Line, reply: Reply | ProviderFault, paced: Place) -> None:
        self._pacing.learn(line.name, reply.headers)
        if reply.usage is not None:
            paced.used(reply.usage.total_tokens)

    def _learn_of_fault(self, line: Line, fault: ProviderFault, paced: Place) -> None:
        self._learn(line, fault, paced)
        if not fault.sent:
            paced.unsent()
        if fault.reason not in _TOO_MUCH:
            return
        if fault.retry_after_seconds is None:
            self._pacing.slow(line.name)
        else:
            self._pacing.pause(line.name, min(fault.retry_after_seconds, _LONGEST_PAUSE_SECONDS))


def _rest(asking: Asking, seconds: float) -> None:
    asking.books.catch_up(asking.path)
    asking.run.stopping.wait(seconds)
    asking.run.check()


def _verdict(fault: ProviderFault, seconds: float) -> bool | None:
    """True where the model failed, False where it answered, None where nobody can tell."""
    if speaks_against_model(fault, seconds):
        return True
    return None if fault.reason in _NO_WORD else False
