"""The Responses API of the demo model, whole and in the background, seen through the real client."""

import json

import openai
import pytest

SCHEMA = {"type": "object", "properties": {"score": {"type": "integer"}}, "required": ["score"]}


def begin(client, model="demo", **wanted):
    return client.responses.create(model=model, input="Review Hamlet.", background=True, store=True, **wanted)


@pytest.fixture
def ended(demo_model, client):
    """Wait until a background response has ended, and fetch it."""

    def ended(begun):
        demo_model.wait_for(lambda totals: totals["in_flight"] == 0)
        return client.responses.retrieve(begun.id)

    return ended


def test_a_response_is_what_a_chat_would_have_been(client):
    chat = client.chat.completions.create(model="demo", messages=[{"role": "user", "content": "Review Hamlet."}])

    answer = client.responses.create(model="demo", input="Review Hamlet.")

    assert answer.status == "completed"
    assert answer.output_text == chat.choices[0].message.content
    assert answer.usage.total_tokens == chat.usage.total_tokens


def test_a_background_response_is_one_call_however_often_it_is_fetched(demo_model, client, ended):
    begun = begin(client, "demo:duration=200")
    states = {client.responses.retrieve(begun.id).status for _ in range(3)}

    answer = ended(begun)

    assert begun.status == "queued"
    assert states <= {"queued", "in_progress"}
    assert (answer.status, demo_model.polls()) == ("completed", [4])
    assert [call["usage"]["total_tokens"] for call in demo_model.calls()] == [answer.usage.total_tokens]


def test_a_background_response_may_be_cancelled_again_and_again(demo_model, client, ended):
    begun = begin(client, "demo:duration=60000")

    states = [client.responses.cancel(begun.id).status for _ in range(2)]

    assert [*states, ended(begun).status] == ["cancelled"] * 3
    assert [(call["cut"], call["usage"]) for call in demo_model.calls()] == [(True, None)]


@pytest.mark.parametrize(
    ("mode", "status", "detail"),
    [
        ("failed", "failed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
        ("refusal", "completed", None),
    ],
)
def test_a_background_response_ends_as_it_is_told(client, ended, mode, status, detail):
    answer = ended(begin(client, f"demo:mode={mode}"))

    assert answer.status == status
    assert (answer.incomplete_details and answer.incomplete_details.reason) == detail
    assert bool(answer.error) is (mode == "failed")


def test_an_answer_in_a_format_is_an_instance_of_it(client):
    wanted = {"format": {"type": "json_schema", "name": "review", "schema": SCHEMA, "strict": True}}

    answer = client.responses.create(model="demo", input="Review Hamlet.", text=wanted)

    assert isinstance(json.loads(answer.output_text)["score"], int)


def test_what_was_forgotten_is_not_found(demo_model, client):
    begun, lost = begin(client, "demo:duration=60000"), begin(client, "demo:mode=forgotten")

    demo_model.forget_responses()

    for each in (begun, lost):
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(each.id)
    demo_model.wait_for(lambda totals: totals["in_flight"] == 0)


def test_an_unsteady_response_is_fetched_at_the_third_try(client):
    begun = begin(client, "demo:mode=unsteady")

    for _ in range(2):
        with pytest.raises(openai.InternalServerError):
            client.responses.retrieve(begun.id)
    assert client.responses.retrieve(begun.id).id == begun.id


@pytest.mark.parametrize("body", [{}, {"input": []}, {"input": "hi", "text": {"format": {"type": "json_schema"}}}])
def test_a_request_that_makes_no_sense_is_refused(client, body):
    with pytest.raises(openai.BadRequestError):
        client.post("/responses", body={"model": "demo", **body}, cast_to=object)
