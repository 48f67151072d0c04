"""What an execution may spend: what it has spent and what its open calls may come to never exceed it together."""

from decimal import Decimal

from shared.errors import LayerFailed
from shared.plan import Usage
from shared.providers import Target

#: Whatever a price is for, it is linear: this many tokens are exact enough to get that of one from.
_MANY = 1_000_000


class Budget:
    """The bounds of one execution; whoever uses it holds the lock of its books."""

    def __init__(self, max_cost_usd: Decimal | None, max_tokens: int | None) -> None:
        self._max_cost = max_cost_usd
        self._max_tokens = max_tokens
        self._tokens = 0
        self._cost = Decimal()

    @property
    def bounded(self) -> bool:
        """True where there is a bound at all."""
        return self._max_cost is not None or self._max_tokens is not None

    def add(self, usage: Usage, cost: Decimal | None) -> None:
        """Count what was spent, or is promised to a call."""
        self._tokens += usage.total_tokens
        self._cost += cost or 0

    def take_back(self, usage: Usage, cost: Decimal | None) -> None:
        """Count a promise no more: the call has come to its end."""
        self._tokens -= usage.total_tokens
        self._cost -= cost or 0

    def left(self, target: Target, prompt_tokens: int) -> int | None:
        """How long an answer to such a prompt may be, in tokens; less than 1 where it may not be asked for.

        None where no bound is on it: there is one on the cost alone, and answers of this model cost nothing.
        """
        bounds = []
        if self._max_tokens is not None:
            bounds.append(self._max_tokens - self._tokens - prompt_tokens)
        if self._max_cost is not None:
            prompt, answers = _price(target, Usage(prompt_tokens)), _price(target, Usage(0, _MANY, _MANY))
            left = self._max_cost - self._cost - prompt
            if answers:
                bounds.append(int(left * _MANY // answers))
            elif left < 0:
                bounds.append(0)
        return min(bounds, default=None)

    def exceeded(self, target: Target, prompt_tokens: int) -> LayerFailed:
        """Why a call is not sent."""
        bounds = []
        if self._max_tokens is not None:
            bounds.append(f"{self._tokens} of {self._max_tokens} tokens")
        if self._max_cost is not None:
            bounds.append(f"{self._cost:f} of {self._max_cost:f} US dollars")
        spent = " and ".join(bounds)
        return LayerFailed(
            "budget_exceeded",
            f"{spent} are spent, and what is left is not enough to ask {target.name} about {prompt_tokens} tokens",
        )


def _price(target: Target, usage: Usage) -> Decimal:
    cost = target.cost(usage)
    if cost is None:
        raise LayerFailed("budget_exceeded", f"{target.name} has no price, so that max_cost_usd could not be kept")
    return cost
