"""Stream tokens: good for one thread of one organization, for their time, and only where they were signed."""

import time
from uuid import uuid4

import pytest

from shared import stream_tokens
from shared.errors import Conflict, Unauthorized

OLD, NEW = "an old key of thirty-two characters", "a newer key of thirty-two characters"


def test_a_token_grants_what_it_was_made_for():
    thread = uuid4()

    token, grant = stream_tokens.mint([NEW], 7, thread, seconds=300)

    assert stream_tokens.read([NEW], token) == grant
    assert (grant.organization_id, grant.thread) == (7, thread)
    assert 298 < grant.expires_at.timestamp() - time.time() <= 300


def test_a_token_stays_good_while_its_key_is_among_the_keys():
    token, grant = stream_tokens.mint([OLD], 7, uuid4(), seconds=300)

    assert stream_tokens.read([NEW, OLD], token) == grant
    with pytest.raises(Unauthorized):
        stream_tokens.read([NEW], token)


def test_a_token_whose_time_is_over_grants_nothing():
    token, _ = stream_tokens.mint([NEW], 7, uuid4(), seconds=-1)

    with pytest.raises(Unauthorized, match="expired"):
        stream_tokens.read([NEW], token)


def test_every_character_is_guarded():
    token, _ = stream_tokens.mint([NEW], 7, uuid4(), seconds=300)

    for index, character in enumerate(token):
        # Of the last one not all bits count.
        for other in (chr(ord(character) ^ 1), "A", "B"):
            if other != character:
                with pytest.raises(Unauthorized):
                    stream_tokens.read([NEW], token[:index] + other + token[index + 1 :])


@pytest.mark.parametrize(
    "token", ["", "strata_stream_", "strata_stream_é", "strata_stream_AAAA", "x" * 10_000, "====="]
)
def test_what_is_no_token_grants_nothing(token):
    with pytest.raises(Unauthorized):
        stream_tokens.read([NEW], token)


def test_without_a_key_nothing_is_signed_and_nothing_is_good():
    token, _ = stream_tokens.mint([NEW], 7, uuid4(), seconds=300)

    with pytest.raises(Conflict):
        stream_tokens.mint([], 7, uuid4(), seconds=300)
    with pytest.raises(Unauthorized):
        stream_tokens.read([], token)
