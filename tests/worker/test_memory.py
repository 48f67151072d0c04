"""What prompts read of a thread and add to it, as a model is told it and as the thread has it."""

import json
from uuid import uuid4

import pytest

from tests import factories
from tests.factories import prompt_layer, source
from tests.worker.providers import raw_server

THREAD = uuid4()
REMEMBERS = {"memory": "read_write", "inputs": [{"name": "word"}]}
SAYS = prompt_layer("Say {{word}}.", system="Be kind.")


class Listener:
    """A model that answers `answer 1`, `answer 2`, …, and remembers what it was told."""

    def __init__(self):
        self.told = []

    def __call__(self, connection):
        while request := raw_server.read_request(connection):
            self.told.append(json.loads(request.partition(b"\r\n\r\n")[2])["messages"])
            completion = json.loads(raw_server.COMPLETION)
            completion["choices"][0]["message"]["content"] = f"answer {len(self.told)}"
            connection.sendall(raw_server.answer(json.dumps(completion).encode()))

    def texts(self, number):
        """What it was told in a call: the roles' first letters, and the texts."""
        return [f"{each['role'][0]}: {each['content']}" for each in self.told[number]]


@pytest.fixture
def listener():
    return Listener()


@pytest.fixture
def work(listener, start_worker):
    """Run everything that is queued on a worker whose model is the listener."""
    with raw_server.serving(listener) as url:
        worker = start_worker(openai_base_url=url)

        def work():
            while worker.work():
                pass

        yield work


def say(organization, word, **details):
    return factories.accept(organization, inputs=(("word", word),), **{"thread": THREAD, **details})


def messages():
    return [
        f"{row.channel} {row.role[0]}: {row.content}"
        for row in factories.query("SELECT channel, role, content FROM messages ORDER BY id")
    ]


def test_what_was_said_comes_between_the_system_message_and_the_layer_s_own(organization, publish, work, listener):
    publish(source(SAYS, **REMEMBERS))
    say(organization, "one")
    second = say(organization, "two")

    work()

    assert listener.texts(0) == ["s: Be kind.", "u: Say one."]
    assert listener.texts(1) == ["s: Be kind.", "u: Say one.", "a: answer 1", "u: Say two."]
    assert messages() == ["default u: Say one.", "default a: answer 1", "default u: Say two.", "default a: answer 2"]
    (layer,) = factories.report(organization, second).properties[0].layers
    assert layer.details["history"] == {"messages": 2, "tokens": 12, "left_out": 0}


@pytest.mark.parametrize(
    ("mode", "reads", "writes"),
    [("stateless", False, False), ("read_only", True, False), ("write_only", False, True), ("read_write", True, True)],
)
def test_a_mode_says_what_is_read_and_what_is_written(organization, publish, work, listener, mode, reads, writes):
    publish(source(SAYS, **REMEMBERS))
    publish(source(SAYS, **{**REMEMBERS, "memory": mode}), "other")
    say(organization, "one")
    say(organization, "two", pipeline="other")

    work()

    assert (len(listener.told[1]) == 4) == reads
    assert (len(messages()) == 4) == writes


def test_without_a_thread_nothing_is_remembered(organization, publish, work, listener):
    publish(source(SAYS, **REMEMBERS))
    accepted = say(organization, "one", thread=None)

    work()

    assert messages() == []
    assert "history" not in factories.report(organization, accepted).properties[0].layers[0].details


def test_what_has_failed_is_not_remembered(organization, publish, work):
    publish(source(SAYS, {"kind": "assert", "value": "{{previous}}", "condition": "`false`"}, **REMEMBERS))
    accepted = say(organization, "one")

    work()

    assert factories.report(organization, accepted).status == "failed"
    assert messages() == []


def test_channels_do_not_hear_each_other(organization, publish, work, listener):
    publish(source(SAYS, **REMEMBERS))
    say(organization, "one", channel="left")
    say(organization, "two", channel="right")

    work()

    assert [len(told) for told in listener.told] == [2, 2]


def test_a_layer_may_have_a_channel_of_its_own(organization, publish, work, listener):
    publish(source(SAYS, {**SAYS, "channel": "aside"}, **REMEMBERS))
    say(organization, "one")
    say(organization, "two")

    work()

    assert listener.texts(3)[1:3] == ["u: Say one.", "a: answer 2"]
    assert [each.split()[0] for each in messages()] == ["default", "default", "aside", "aside"] * 2


def test_a_conversation_of_a_layer_is_remembered_by_what_it_asks(organization, publish, work, listener):
    shots = [("user", "2?"), ("assistant", "4."), ("user", "Say {{word}}.")]
    layer = {"kind": "prompt", "messages": [{"role": role, "content": text} for role, text in shots]}
    publish(source(layer, **REMEMBERS))
    say(organization, "one")

    work()

    assert messages() == ["default u: 2?\n\nSay one.", "default a: answer 1"]


def test_a_pipeline_inside_follows_its_own_memory(organization, publish, work, listener):
    publish(source(SAYS, **REMEMBERS), "inside")
    inside = {"kind": "pipeline", "handle": "inside", "inputs": {"word": "{{word}}"}}
    publish(source(SAYS, inside, inputs=[{"name": "word"}]))
    say(organization, "one")
    say(organization, "two")

    work()

    assert [len(told) for told in listener.told] == [2, 2, 2, 4]
    assert messages() == [f"default {each}" for each in ("u: Say one.", "a: answer 2", "u: Say two.", "a: answer 4")]


def test_the_newest_that_fit_are_read_and_never_an_answer_without_its_question(organization, publish, work, listener):
    publish(source(SAYS, **REMEMBERS, history_tokens=20))
    for word in ("one", "two", "three"):
        say(organization, word)
    last = say(organization, "four")

    work()

    assert listener.texts(3) == ["s: Be kind.", "u: Say three.", "a: answer 3", "u: Say four."]
    (layer,) = factories.report(organization, last).properties[0].layers
    assert layer.details["history"] == {"messages": 2, "tokens": 13, "left_out": 4}


def test_a_worker_that_dies_between_layers_leaves_what_was_said(organization, publish, work, listener):
    publish(source(SAYS, prompt_layer("And then?"), **REMEMBERS))
    say(organization, "one")
    claim = factories.claim(factories.enter_worker(lease_seconds=-1.0))
    said = {"channel": "default", "user": "Say one.", "assistant": "before"}
    factories.record(claim, factories.result(output="before", said=said))
    say(organization, "two")

    factories.rescue()
    work()

    # Another attempt of the first goes on from its checkpoint, and only then comes the second.
    assert listener.texts(0) == ["u: And then?"]
    assert listener.texts(1)[1:-1] == ["u: Say one.", "a: before", "u: And then?", "a: answer 1"]
    assert len(messages()) == 8


def test_a_repair_adds_what_the_first_could_not(organization, publish, work, client, listener):
    checked = {"kind": "assert", "value": "{{previous}}", "condition": "`false`", "name": "check"}
    publish(source(SAYS, checked, **REMEMBERS))
    failed = say(organization, "one")
    work()
    publish(source(SAYS, {**checked, "condition": "`true`"}, **REMEMBERS))

    answer = client.post(f"/v2/executions/{failed.uuid}/repair", json={"version": "latest"})
    work()

    assert (answer.status_code, answer.json["thread"]) == (202, str(THREAD))
    assert messages() == ["default u: Say one.", "default a: answer 1"]
    assert len(listener.told) == 1
