"""Threads over HTTP."""

from uuid import uuid4

import pytest

from tests import factories
from tests.factories import prompt_layer, source

REMEMBERS = source(prompt_layer("Say {{word}}."), inputs=[{"name": "word"}], memory="read_write")


@pytest.fixture
def say(client, worker):
    """Have something said on a thread; the execution."""
    client.put("/v2/pipelines/talk", json=REMEMBERS)

    def say(thread, word="hello", *, works=True, **fields):
        body = {"inputs": {"word": word}, "thread": thread, **fields}
        started = client.post("/v2/pipelines/talk/versions/latest/executions", json=body).json
        while works and worker.work():
            pass
        return client.get(f"/v2/executions/{started['uuid']}").json

    return say


@pytest.fixture
def thread():
    return str(uuid4())


def test_a_thread_begins_with_its_first_execution(client, say, thread):
    execution = say(thread)

    found = client.get(f"/v2/threads/{thread}").json

    assert (execution["thread"], execution["channel"], execution["status"]) == (thread, "default", "succeeded")
    assert (found["uuid"], found["open_executions"]) == (thread, 0)
    assert [(each["name"], each["messages"]) for each in found["channels"]] == [("default", 2)]
    assert [each["uuid"] for each in client.get("/v2/threads").json["threads"]] == [thread]


def test_messages_are_read_page_by_page_and_by_channel(client, say, thread):
    say(thread, "one")
    execution = say(thread, "two", channel="aside")

    first = client.get(f"/v2/threads/{thread}/messages?limit=2").json
    second = client.get(f"/v2/threads/{thread}/messages?limit=2&cursor={first['next_cursor']}").json
    aside = client.get(f"/v2/threads/{thread}/messages?channel=aside").json

    assert [each["role"] for each in first["messages"]] == ["user", "assistant"]
    assert second["messages"] == aside["messages"]
    assert (second["next_cursor"], second["messages"][0]["content"]) == (None, "Say two.")
    assert {each["execution"] for each in aside["messages"]} == {execution["uuid"]}


def test_executions_are_listed_by_their_thread(client, say, thread):
    execution = say(thread)
    say(str(uuid4()))

    found = client.get(f"/v2/executions?thread={thread}").json["executions"]

    assert [(each["uuid"], each["thread"], each["channel"]) for each in found] == [
        (execution["uuid"], thread, "default")
    ]


def test_a_fork_is_a_thread_of_its_own(client, say, thread):
    say(thread, "one")
    until = client.get(f"/v2/threads/{thread}/messages").json["messages"][-1]["id"]
    say(thread, "two")

    answer = client.post(f"/v2/threads/{thread}/fork", json={"until": until})

    assert answer.status_code == 201
    assert answer.headers["Location"].endswith(f"/v2/threads/{answer.json['uuid']}")
    execution = say(answer.json["uuid"], "three")
    assert execution["properties"][0]["layers"][0]["details"]["history"]["messages"] == 2
    again = client.post(f"/v2/threads/{thread}/fork", json={"until": until, "thread": answer.json["uuid"]})
    assert again.status_code == 409


def test_a_thread_is_not_deleted_under_an_execution(client, say, thread):
    waiting = say(thread, works=False)

    assert client.delete(f"/v2/threads/{thread}").status_code == 409
    client.post(f"/v2/executions/{waiting['uuid']}/cancel")

    assert client.delete(f"/v2/threads/{thread}").status_code == 204
    assert client.get(f"/v2/threads/{thread}").status_code == 404
    assert client.get(f"/v2/executions/{waiting['uuid']}").json["thread"] is None


def test_changes_of_threads_are_noted(client, say, thread):
    say(thread)
    until = client.get(f"/v2/threads/{thread}/messages").json["messages"][-1]["id"]
    forked = client.post(f"/v2/threads/{thread}/fork", json={"until": until}).json["uuid"]
    client.delete(f"/v2/threads/{thread}")

    notes = factories.query("SELECT action, subject FROM audit WHERE action LIKE 'thread.%' ORDER BY id")

    assert [tuple(note) for note in notes] == [("thread.forked", forked), ("thread.deleted", thread)]


def test_what_waits_on_a_thread_is_told_whom_it_waits_for(client, say, thread):
    first, second, third = [say(thread, works=False) for _ in range(3)]

    cause = client.get(f"/v2/executions/{third['uuid']}/explain").json["cause"]

    assert (third["status"], third["blocked_by"]) == ("waiting", "thread")
    assert (cause["code"], cause["behind"], cause["thread_ahead"]) == ("thread", first["uuid"], 1)
    assert second["uuid"] not in cause["message"]


def test_a_batch_takes_no_thread(client, say, thread):
    answer = client.post("/v2/batches?pipeline=talk", json=[{"inputs": {"word": "one"}, "thread": thread}])

    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] == "lines[1].thread"


@pytest.mark.parametrize("body", [{"thread": "no uuid"}, {"thread": str(uuid4()), "channel": "two words"}])
def test_what_names_no_thread_or_channel_is_refused(client, say, body):
    answer = client.post("/v2/pipelines/talk/versions/latest/executions", json={"inputs": {"word": "one"}, **body})

    assert answer.status_code == 422


def test_a_dry_run_counts_what_may_be_read(client, say, thread):
    path = "/v2/pipelines/talk/versions/latest/executions?dry_run=true"
    alone, together = [
        client.post(path, json={"inputs": {"word": "one"}, **on}).json["bound"]["prompt_tokens"]
        for on in ({}, {"thread": thread})
    ]

    assert together - alone == 4 * 8000
    assert client.get(f"/v2/threads/{thread}").status_code == 404
