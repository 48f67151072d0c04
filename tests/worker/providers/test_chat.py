import json

import pytest

from shared.plan import Usage
from tests.worker.providers import raw_server
from tests.worker.providers.raw_server import answer, serving
from worker.providers import chat


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (None, None),
        ("many", None),
        ({}, Usage()),
        ({"prompt_tokens": 2, "completion_tokens": 3}, Usage(2, 3, 5)),
        ({"prompt_tokens": -2, "completion_tokens": True, "total_tokens": "7"}, Usage()),
        ({"prompt_tokens": 2.5, "completion_tokens": 3, "total_tokens": None}, Usage(0, 3, 3)),
        ({"prompt_tokens": 10**30, "completion_tokens": 3}, Usage(0, 3, 3)),
    ],
)
def test_usage_is_read_as_far_as_it_makes_sense(usage, read):
    found = {"choices": [{"message": {"content": "text"}}], "usage": usage}

    assert chat.read(found).usage == read


def test_what_is_not_set_is_not_sent(ask, make_client):
    sent = []

    def speak(connection):
        sent.append(json.loads(raw_server.read_request(connection).partition(b"\r\n\r\n")[2]))
        connection.sendall(answer())

    with serving(speak) as url:
        ask("m", client=make_client(openai_base_url=url), temperature=0.0)

    assert sent == [{"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.0}]
