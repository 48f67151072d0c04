"""How long an answer may be, of what is left."""

from decimal import Decimal

import pytest

from shared.errors import LayerFailed
from shared.plan import Usage
from shared.providers import Price, Provider, Target
from worker.budget import Budget

PROVIDER = Provider("tests")
PRICED = Target(PROVIDER, "model", Price(prompt=Decimal(2), completion=Decimal(10)))
UNPRICED = Target(PROVIDER, "model")


@pytest.mark.parametrize(
    ("max_cost", "max_tokens", "prompt", "left"),
    [
        (None, 100, 30, 70),
        (None, 100, 100, 0),
        # 0.0002 for the prompt, 0.00001 for each token of the answer.
        (Decimal("0.001"), None, 100, 80),
        (Decimal("0.000209"), None, 100, 0),
        (Decimal("0.001"), 150, 100, 50),
        (Decimal("0.001"), 1000, 100, 80),
    ],
)
def test_an_answer_may_be_as_long_as_every_bound_leaves(max_cost, max_tokens, prompt, left):
    assert Budget(max_cost, max_tokens).left(PRICED, prompt) == left


def test_what_is_spent_or_promised_is_not_left():
    budget = Budget(Decimal("0.001"), 150)
    budget.add(Usage(40, 10, 50), Decimal("0.0005"))
    budget.add(Usage(10, 10, 20), Decimal("0.0001"))
    budget.take_back(Usage(10, 10, 20), Decimal("0.0001"))

    assert budget.left(PRICED, 10) == 48


def test_less_than_nothing_is_not_left_for_an_answer():
    budget = Budget(Decimal("0.001"), 100)
    budget.add(Usage(90, 30, 120), Decimal("0.002"))

    assert budget.left(PRICED, 1) < 1


def test_answers_that_cost_nothing_are_not_bounded_by_a_cost():
    free = Target(PROVIDER, "model", Price(Decimal(2), Decimal()))

    assert Budget(Decimal("0.001"), None).left(free, 500) is None
    assert Budget(Decimal("0.001"), None).left(free, 501) == 0


def test_a_cost_cannot_be_kept_with_a_model_that_has_no_price():
    with pytest.raises(LayerFailed, match="tests/model has no price") as caught:
        Budget(Decimal(1), None).left(UNPRICED, 10)

    assert caught.value.reason == "budget_exceeded"


def test_tokens_can_be_kept_with_a_model_that_has_no_price():
    assert Budget(None, 100).left(UNPRICED, 10) == 90
