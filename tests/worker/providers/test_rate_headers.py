import pytest

from shared.providers import Limits
from worker.providers import rate_headers


def told(kind="requests", **values):
    return rate_headers.read({f"x-ratelimit-{name}-{kind}": value for name, value in values.items()})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360.0),
        ("20ms", 0.02),
        ("1.5s", 1.5),
        ("1h2m3s", 3723.0),
        ("2d", 172_800.0),
        ("12", 12.0),
        ("0", 0.0),
        ("-1", None),
        ("", None),
        ("soon", None),
        ("6m 0s", None),
        ("nan", None),
        ("1e400", None),
    ],
)
def test_durations_are_read_as_they_are_written(text, seconds):
    assert rate_headers.seconds(text) == seconds


@pytest.mark.parametrize("limit", ["-1", "0", "", "many", "nan", "inf", "1e400", "9" * 40])
def test_a_limit_that_makes_no_sense_is_none(limit):
    assert told(limit=limit, remaining="0", reset="1m0s") == rate_headers.Told(Limits())


@pytest.mark.parametrize(
    ("values", "per_minute"),
    [
        ({"limit": "500", "remaining": "499", "reset": "120ms"}, 500),
        ({"limit": "500"}, 500),
        ({"limit": "500", "remaining": "-1", "reset": "6m0s"}, 500),
        # What takes longer than a minute to fill is the limit of something longer: of a day here.
        ({"limit": "200", "remaining": "199", "reset": "7m12s"}, 1),
        ({"limit": "14400", "remaining": "14399", "reset": "6s"}, 14400),
        ({"limit": "14400", "remaining": "14370", "reset": "3m0s"}, 10),
    ],
)
def test_a_limit_is_that_of_a_minute_unless_it_fills_more_slowly(values, per_minute):
    assert told(**values).limits == Limits(requests_per_minute=per_minute)


def test_both_kinds_are_read():
    headers = {"x-ratelimit-limit-requests": "60", "x-ratelimit-limit-tokens": "150000"}

    assert rate_headers.read(headers).limits == Limits(requests_per_minute=60, tokens_per_minute=150_000)


@pytest.mark.parametrize(("reset", "seconds"), [("59s", 6.0), ("250ms", 0.25), ("", 0.0), ("-1", 0.0)])
def test_an_empty_bucket_is_left_alone_until_a_tenth_of_it_is_back(reset, seconds):
    assert told("tokens", limit="1000", remaining="0", reset=reset).empty_seconds == seconds
