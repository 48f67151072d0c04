"""What runs inside of layers, as the API tells it."""

import pytest

from tests.api.definitions import asks, pipeline

START = "/v2/pipelines/pipeline/versions/latest/executions"
WORDS = {"name": "words", "type": "array"}


def mapped(*inner, **settings):
    layers = [{"name": "each", "kind": "map", "items": "{{words}}", "layers": list(inner), **settings}]
    return pipeline({"name": "all", "layers": layers}, inputs=[WORDS])


@pytest.fixture
def run(client, publish, worker):
    """Publish, start, run to the end, and read the report."""

    def run(definition, **inputs):
        publish(definition)
        started = client.post(START, json={"inputs": inputs})
        assert started.status_code == 202, started.text
        worker.work()
        return client.get(f"/v2/executions/{started.json['uuid']}").json

    return run


def test_a_map_shows_the_layers_of_each_item(run):
    report = run(mapped({"kind": "text", "value": "<{{item}}>", "name": "put"}), words=["a", "b"])

    (layer,) = report["properties"][0]["layers"]
    assert report["output"] == {"all": ["<a>", "<b>"]}
    assert [(each["path"], each["name"], each["kind"], each["output"]) for each in layer["inner"]["layers"]] == [
        ("all/each[0]/put", "put", "text", "<a>"),
        ("all/each[1]/put", "put", "text", "<b>"),
    ]
    assert (layer["inner"]["passed"], layer["inner"]["failed"]) == (2, 0)


def test_what_a_report_leaves_out_is_listed_page_by_page(run, client):
    report = run(mapped({"kind": "text", "value": "<{{item}}>"}), words=list(range(7)))

    found, cursor = [], None
    while cursor or not found:
        query = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        page = client.get(f"/v2/executions/{report['uuid']}/layers", query_string=query).json
        found += [layer["path"] for layer in page["layers"]]
        cursor = page["next_cursor"]

    assert found == [f"all/each[{number}]/0" for number in range(7)]
    under = client.get(f"/v2/executions/{report['uuid']}/layers?under=all/each[3]").json
    assert [layer["output"] for layer in under["layers"]] == ["<3>"]


def test_layers_of_nobody_are_not_found(client):
    assert client.get("/v2/executions/4711/layers").status_code == 404


def test_the_layers_of_another_pipeline_are_told_with_their_kinds(run, client, publish):
    publish(pipeline(asks("x {{word}}", name="answer"), inputs=[{"name": "word"}]), handle="leaf")
    inner = {"kind": "pipeline", "handle": "leaf", "inputs": {"word": "{{item}}"}, "name": "sub"}

    report = run(mapped(inner), words=["a", "b"])

    (layer,) = report["properties"][0]["layers"]
    told = {each["path"]: each["kind"] for each in layer["inner"]["layers"]}
    assert told == {
        f"all/each[{number}]/sub{more}": kind
        for number in (0, 1)
        for more, kind in (("", "pipeline"), ("/answer/0", "prompt"))
    }


def test_a_repair_runs_only_the_items_that_failed(run, client, publish, worker, model):
    ask = {"kind": "prompt", "prompt": "{{item}}", "model": "demo:status=400", "when": "item == 'bad'"}
    good = {"kind": "prompt", "prompt": "{{item}}", "when": "item != 'bad'"}
    report = run(mapped(good, ask, concurrency=1), words=["a", "b", "bad"])
    assert report["status"] == "failed"
    model.reset()

    repaired = client.post(f"/v2/executions/{report['id']}/repair", json={})
    worker.work()

    assert repaired.status_code == 202, repaired.text
    assert [call["layer"] for call in model.calls()] == ["all/each[2]/1"]
