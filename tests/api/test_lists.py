"""`GET /v2/executions`: filters that must all hold, and pages without gaps or repeats."""

import pytest

from tests.api.definitions import asks, pipeline

OTHER = pipeline(asks("Other."))


@pytest.fixture
def start(client):
    def start(handle="films", version="latest", **body):
        return client.post(f"/v2/pipelines/{handle}/versions/{version}/executions", json=body).json

    return start


@pytest.fixture
def ids(client):
    """The ids of the executions that a query finds."""

    def ids(**query):
        return [each["id"] for each in client.get("/v2/executions", query_string=query).json["executions"]]

    return ids


@pytest.fixture(autouse=True)
def published(publish):
    publish(OTHER, "films")
    publish(pipeline(asks("Second.")), "films")
    publish(OTHER, "books")


def test_the_newest_come_first(start, ids):
    started = [start()["id"] for _ in range(3)]

    assert ids() == started[::-1]


def test_a_list_tells_no_content(start, client):
    start(tags={"a": "canary"}, metadata={"b": "canary"}, end_user="canary")

    answer = client.get("/v2/executions")

    assert "canary" not in answer.text
    assert set(answer.json["executions"][0]) == {
        "id", "uuid", "status", "reason", "pipeline", "queue", "accepted_at", "started_at", "ended_at", "expires_at",
        "expired", "usage", "cost", "thread", "channel", "environment",
    }  # fmt: skip


def test_status_narrows(start, ids, client, worker):
    done, waiting = start(), start(not_before="2199-01-01T00:00:00Z")
    worker.work()
    queued, cancelled = start(), start()
    client.post(f"/v2/executions/{cancelled['id']}/cancel")

    found = {status: ids(status=status) for status in ("succeeded", "waiting", "queued", "cancelled", "failed")}

    assert found == {
        "succeeded": [done["id"]],
        "waiting": [waiting["id"]],
        "queued": [queued["id"]],
        "cancelled": [cancelled["id"]],
        "failed": [],
    }


def test_pipeline_and_version_narrow(start, ids, client):
    first, second, book = start(version="1"), start(version="2"), start("books")
    client.put("/v2/pipelines/films/tags/live", json={"version": 1})
    shown = client.get("/v2/pipelines/films").json

    for name in ("films", shown["uuid"], shown["id"]):
        assert ids(pipeline=name) == [second["id"], first["id"]]
    assert ids(pipeline="books") == [book["id"]]
    assert ids(pipeline="films", version="1") == ids(pipeline="films", version="live") == [first["id"]]
    assert ids(pipeline="films", version="latest") == [second["id"]]


@pytest.mark.parametrize("query", [{"pipeline": "none"}, {"pipeline": "films", "version": "none"}])
def test_a_filter_that_names_nothing_is_404(client, query):
    assert client.get("/v2/executions", query_string=query).status_code == 404


def test_tags_metadata_and_end_user_narrow_and_must_all_hold(start, ids):
    both = start(tags={"a": "1", "b": "x:y"}, metadata={"m": "1"}, end_user="eve")["id"]
    one = start(tags={"a": "1"}, metadata={"m": 1}, end_user="bob")["id"]

    assert ids(tag="a:1") == [one, both]
    assert ids(tag=["a:1", "b:x:y"]) == [both]
    assert ids(metadata="m:1") == [both]
    assert ids(end_user="bob") == [one]
    assert ids(tag="a:1", end_user="eve", metadata="m:1", status="queued") == [both]
    assert ids(tag="a:1", end_user="nobody") == ids(tag="a:") == []


def test_times_narrow_from_the_first_moment_to_before_the_last(start, ids):
    first, second, third = start(), start(), start()

    assert ids(accepted_after=second["accepted_at"]) == [third["id"], second["id"]]
    assert ids(accepted_before=second["accepted_at"]) == [first["id"]]
    assert ids(accepted_after=second["accepted_at"], accepted_before=third["accepted_at"]) == [second["id"]]


@pytest.mark.parametrize("limit", [1, 2, 5, 6, 7, 200])
def test_pages_have_no_gaps_and_no_repeats(start, client, limit):
    started = [start(tags={"kept": str(number % 2)})["id"] for number in range(12)]

    seen, query = [], {"limit": limit, "tag": "kept:0"}
    while True:
        page = client.get("/v2/executions", query_string=query).json
        seen += [each["id"] for each in page["executions"]]
        assert len(page["executions"]) <= limit
        if page["next_cursor"] is None:
            break
        start(tags={"kept": "0"})
        query["cursor"] = page["next_cursor"]

    assert seen == started[0::2][::-1]
