"""Folders and documents over HTTP, and what is found in them."""

import io

import pytest
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.test import encode_multipart

from shared.settings import Settings

TEXT = "# Returns\n\nBroken lamps are replaced within ten days."


@pytest.fixture
def folder(client):
    assert client.put("/v2/knowledge/folders/guides", json={"name": "Guides"}).status_code == 201
    return "guides"


@pytest.fixture
def add(client, folder):
    def add(name="returns.md", text=TEXT, **details):
        answer = client.post("/v2/knowledge/documents", json={"folder": folder, "name": name, "text": text, **details})
        assert answer.status_code == 202, answer.json
        return answer.json["documents"][0]["uuid"]

    return add


@pytest.fixture
def ready(client, add, worker):
    """Hand a text in, and have it read."""

    def ready(*arguments, **details):
        uuid = add(*arguments, **details)
        worker.work("documents")
        assert client.get(f"/v2/knowledge/documents/{uuid}").json["status"] == "ready"
        return uuid

    return ready


def upload(client, *files, **fields):
    parts = {f"files[{place}]": FileStorage(io.BytesIO(body), name) for place, (name, body) in enumerate(files)}
    boundary, body = encode_multipart(MultiDict({**fields, **parts}))
    content_type = f"multipart/form-data; boundary={boundary}"
    return client.post("/v2/knowledge/documents", data=body, content_type=content_type)


def test_a_text_is_read_and_found(client, ready):
    uuid = ready(tags=["en"])

    (found,) = client.post("/v2/knowledge/search", json={"query": "Are lamps replaced?", "tags": ["en"]}).json["chunks"]
    assert (found["document"], found["name"], found["folder"]) == (uuid, "returns.md", "guides")
    assert found["heading"] == "Returns"
    assert client.get(f"/v2/knowledge/documents/{uuid}/text").text == TEXT


def test_a_folder_says_what_is_in_it(client, folder, add, ready):
    before = client.get(f"/v2/knowledge/folders/{folder}").json
    ready()
    add("other.txt")

    after = client.get("/v2/knowledge/folders").json["folders"][0]
    assert (before["status"], before["documents"]) == ("ready", 0)
    assert (after["status"], after["documents"], after["pending"], after["chunks"]) == ("pending", 2, 1, 1)


def test_files_are_handed_in_together(client, folder):
    answer = upload(client, ("a.txt", b"one"), ("b.md", b"# two"), folder=folder, tags=["x", "y"])

    assert answer.status_code == 202
    listed = client.get("/v2/knowledge/documents?folder=guides&tag=x&tag=y").json["documents"]
    assert {each["name"] for each in listed} == {"a.txt", "b.md"}
    assert {each["mime_type"] for each in listed} == {"text/plain", "text/markdown"}


@pytest.mark.parametrize(
    ("files", "fields", "status"),
    [
        ([], {"folder": "guides"}, 422),
        ([("a.txt", b"x")], {}, 422),
        ([("a.txt", b"x")], {"folder": "guides", "unknown": "x"}, 422),
        ([("a.txt", b"x"), ("b.exe", b"x")], {"folder": "guides"}, 422),
        ([("a.txt", b"")], {"folder": "guides"}, 422),
        ([("a.txt", b"x")], {"folder": "nowhere"}, 404),
        ([("a.txt", b"x")] * 21, {"folder": "guides"}, 422),
        ([("a.txt", b"x" * (Settings().max_document_bytes + 1))], {"folder": "guides"}, 413),
    ],
)
def test_of_a_bad_upload_nothing_stays(client, folder, files, fields, status):
    assert upload(client, *files, **fields).status_code == status

    assert client.get("/v2/knowledge/documents").json["documents"] == []


def test_tags_and_metadata_change(client, add):
    uuid = add()

    changed = client.patch(f"/v2/knowledge/documents/{uuid}", json={"tags": ["b", "a"], "metadata": {"k": [1]}})

    assert (changed.json["tags"], changed.json["metadata"]) == (["a", "b"], {"k": [1]})


def test_the_text_of_what_is_not_read_yet_is_a_conflict(client, add):
    assert client.get(f"/v2/knowledge/documents/{add()}/text").status_code == 409


def test_documents_are_listed_a_page_at_a_time(client, add):
    added = [add(f"{number}.txt") for number in range(3)]

    first = client.get("/v2/knowledge/documents?limit=2").json
    second = client.get(f"/v2/knowledge/documents?limit=2&cursor={first['next_cursor']}").json

    assert [each["uuid"] for each in first["documents"] + second["documents"]] == added[::-1]
    assert second["next_cursor"] is None


def test_what_is_deleted_is_gone(client, folder, ready):
    uuid = ready()

    assert client.delete(f"/v2/knowledge/documents/{uuid}").status_code == 204
    assert client.get(f"/v2/knowledge/documents/{uuid}").status_code == 404
    assert client.post("/v2/knowledge/search", json={"query": "lamps"}).json == {"chunks": []}
    assert client.delete(f"/v2/knowledge/folders/{folder}").status_code == 204
    assert client.get(f"/v2/knowledge/folders/{folder}").status_code == 404


def test_another_organization_finds_nothing(client, stranger, folder, ready):
    uuid = ready()

    assert stranger.get("/v2/knowledge/folders").json["folders"] == []
    assert stranger.get(f"/v2/knowledge/documents/{uuid}").status_code == 404
    assert stranger.patch(f"/v2/knowledge/documents/{uuid}", json={"tags": []}).status_code == 404
    assert stranger.delete(f"/v2/knowledge/documents/{uuid}").status_code == 404
    assert stranger.delete(f"/v2/knowledge/folders/{folder}").status_code == 404
    assert stranger.post("/v2/knowledge/search", json={"query": "lamps"}).json == {"chunks": []}
    assert stranger.post("/v2/knowledge/search", json={"query": "lamps", "folders": [folder]}).status_code == 404
    assert upload(stranger, ("a.txt", b"x"), folder=folder).status_code == 404


def test_every_change_is_noted(client, folder, add):
    uuid = add()
    client.patch(f"/v2/knowledge/documents/{uuid}", json={"tags": ["x"]})
    client.delete(f"/v2/knowledge/documents/{uuid}")
    client.delete(f"/v2/knowledge/folders/{folder}")

    noted = client.get("/v2/audit").json["changes"]
    assert [(each["action"], each["subject"]) for each in noted][::-1] == [
        ("folder.created", folder),
        ("document.added", uuid),
        ("document.changed", uuid),
        ("document.deleted", uuid),
        ("folder.deleted", folder),
    ]


def test_a_layer_retrieves_what_fits(client, folder, ready, worker, publish):
    ready()
    publish({
        "inputs": [{"name": "question"}],
        "properties": [
            {"name": "found", "layers": [{"kind": "retrieve", "folder": "guides", "query": "{{question}}"}]},
            {"name": "text", "layers": [{"kind": "retrieve", "query": "{{question}}", "output": "text"}]},
        ],
    })

    started = client.post(
        "/v2/pipelines/pipeline/versions/latest/executions", json={"inputs": {"question": "a broken lamp"}}
    )
    worker.work()

    report = client.get(f"/v2/executions/{started.json['id']}").json
    assert report["status"] == "succeeded", report["error"]
    assert report["output"]["found"][0]["name"] == "returns.md"
    assert report["output"]["text"] == f"[1] returns.md: Returns\n{TEXT}"


def test_a_layer_fails_for_a_folder_that_is_not_there(client, worker, publish):
    publish({"properties": [{"name": "p", "layers": [{"kind": "retrieve", "folder": "nowhere", "query": "x"}]}]})

    started = client.post("/v2/pipelines/pipeline/versions/latest/executions", json={})
    worker.work()

    assert client.get(f"/v2/executions/{started.json['id']}").json["error"] == {
        "reason": "config",
        "message": "folder nowhere not found",
    }
