from concurrent.futures import ThreadPoolExecutor

from shared.seats import Seats


def test_there_are_so_many_seats_and_no_more():
    seats = Seats(2)

    assert [seats.take() for _ in range(3)] == [True, True, False]


def test_who_waits_gets_the_seat_that_is_given_back():
    seats = Seats(1)
    seats.take()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(seats.take, 10.0)
        seats.give_back()

        assert waiting.result(10)
