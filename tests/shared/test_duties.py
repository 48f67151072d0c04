from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from shared import db, duties
from tests import factories

#: A slot so long that no test sees its end.
AGES_SECONDS = 10**9


def take(duty="sweep"):
    with db.transaction() as connection:
        return duties.take(connection, duty, period_seconds=AGES_SECONDS)


def test_eight_at_once_take_a_duty_once(database):
    barrier = Barrier(8)

    def try_to(_):
        barrier.wait()
        return take()

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(try_to, range(8)))

    assert taken.count(True) == 1


def test_a_duty_is_taken_again_in_its_next_slot(database):
    take()
    factories.change("UPDATE duties SET slot = slot - 1")

    assert take()


def test_one_duty_does_not_keep_another(database):
    take("sweep")

    assert take("expiry")


def test_a_duty_whose_transaction_failed_is_not_taken(database):
    with pytest.raises(ZeroDivisionError), db.transaction() as connection:
        assert not 1 / (not duties.take(connection, "sweep", period_seconds=AGES_SECONDS))

    assert take()
