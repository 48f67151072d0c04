"""`/v2/pipelines/{handle}/diff`: two versions compared."""

import pytest

from tests.api.definitions import REVIEW, asks, pipeline

NEXT = {
    "inputs": [{"name": "film", "required": True}, {"name": "year", "type": "integer", "required": True}],
    "properties": [{"name": "review", "layers": [{"kind": "prompt", "prompt": "Review {{film}} of {{year}}."}]}],
}


@pytest.fixture
def versions(client):
    """Two versions of `films`, the first one tagged `live`; returns their answers."""
    first, second = (client.put("/v2/pipelines/films", json=each).json for each in (REVIEW, NEXT))
    client.put("/v2/pipelines/films/tags/live", json={"version": 1})
    return first, second


def test_two_versions_are_compared(client, versions):
    answer = client.get("/v2/pipelines/films/diff?from=1&to=2").json

    assert [(each["change"], each["place"]) for each in answer["changes"]] == [
        ("added", "inputs[year]"),
        ("changed", "properties[review].layers[0].prompt"),
    ]
    assert (answer["same"], answer["breaking"]) == (False, True)
    assert [each["place"] for each in answer["compatibility"] if each["breaking"]] == ["inputs[year]"]


def test_versions_are_named_as_anywhere(client, versions):
    first, second = versions
    expected = client.get("/v2/pipelines/films/diff?from=1&to=2").json

    for query in (f"from={first['version_uuid']}&to={second['version_uuid']}", "from=live&to=latest", "from=live"):
        assert client.get(f"/v2/pipelines/{first['uuid']}/diff?{query}").json == expected


def test_a_version_is_the_same_as_itself(client, versions):
    answer = client.get("/v2/pipelines/films/diff?from=1&to=live").json

    assert (answer["same"], answer["changes"], answer["compatibility"]) == (True, [], [])


def test_what_is_missing_is_named(client, versions):
    client.put("/v2/pipelines/other", json=pipeline(asks("Other.")))

    assert client.get("/v2/pipelines/films/diff").json["errors"][0]["field"] == "from"
    assert client.get("/v2/pipelines/films/diff?from=9").status_code == 404
    assert client.get("/v2/pipelines/nothing/diff?from=1").status_code == 404
