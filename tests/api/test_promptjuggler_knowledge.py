"""PromptJuggler's knowledge bases: upload, look, delete; and what a thread's stream is opened with."""

import io
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from shared import db, knowledge
from tests.factories import NOBODY


@pytest.fixture
def base(organization):
    """The handle of an empty knowledge base."""
    with db.transaction() as connection:
        knowledge.put_folder(connection, organization, "manuals", "Manuals")
    return "manuals"


@pytest.fixture
def upload(client, base):
    """Upload files, by part: `upload(("files[0]", "a.txt", b"text"))`."""

    def upload(*parts, name="kb_manuals"):
        fields = {part: (io.BytesIO(body), file) for part, file, body in parts}
        return client.post(f"/api/v1/knowledge-bases/{name}/documents", data=fields)

    return upload


def test_uploaded_documents_are_listed_as_an_array(upload):
    answer = upload(("files[0]", "one.txt", b"First text."), ("files[1]", "two.md", b"# Second"))

    assert answer.status_code == 200
    assert [set(each) for each in answer.json] == [{"id", "status", "fileName", "bytes", "chunkCount"}] * 2
    told = [(each["status"], each["fileName"], each["bytes"], each["chunkCount"]) for each in answer.json]
    assert told == [("pending", "one.txt", 11, 0), ("pending", "two.md", 8, 0)]


@pytest.mark.parametrize("name", ["manuals", "kb_manuals"])
def test_a_base_is_found_with_its_prefix_and_without(client, upload, name):
    upload(("files[0]", "one.txt", b"First text."))

    found = client.get(f"/api/v1/knowledge-bases/{name}").json

    assert set(found) == {"id", "status", "documentCount", "chunkCount", "documents"}
    assert (found["status"], found["documentCount"], found["chunkCount"]) == ("pending", 1, 0)
    [document] = found["documents"]
    assert set(document) == {"id", "status", "fileName", "bytes", "mimeType"}
    assert (document["fileName"], document["mimeType"]) == ("one.txt", "text/plain")


def test_a_document_is_shown_until_it_is_deleted(client, upload):
    [document] = upload(("files[0]", "one.txt", b"First text.")).json
    path = f"/api/v1/knowledge-documents/{document['id']}"

    before, deleted, after = client.get(path), client.delete(path), client.get(path)

    assert (before.status_code, before.json) == (200, document)
    assert (deleted.status_code, deleted.data) == (204, b"")
    assert (after.status_code, after.json) == (404, {"error": "Knowledge document not found"})


@pytest.mark.parametrize(
    ("part", "status"), [("files[0]", 200), ("files[]", 200), ("files", 422), ("file", 422), ("files[a]", 422)]
)
def test_parts_are_the_items_of_a_list(upload, part, status):
    answer = upload((part, "one.txt", b"First text."))

    assert answer.status_code == status
    assert status == 200 or set(answer.json) == {"error"}


def test_one_bad_document_refuses_them_all(client, upload):
    answer = upload(("files[0]", "one.txt", b"First text."), ("files[1]", "two.exe", b"MZ"))

    assert answer.status_code == 422
    assert "two.exe" in answer.json["error"]
    assert client.get("/api/v1/knowledge-bases/manuals").json["documentCount"] == 0


def test_an_upload_to_no_base_is_not_found(upload):
    answer = upload(("files[0]", "one.txt", b"First text."), name="kb_none")

    assert (answer.status_code, answer.json) == (404, {"error": "Knowledge base not found"})


def test_an_upload_that_is_no_form_is_refused(client, base):
    answer = client.post(f"/api/v1/knowledge-bases/{base}/documents", json={})

    assert (answer.status_code, set(answer.json)) == (415, {"error"})


def test_a_document_of_another_organization_is_nobodys(stranger, upload):
    [document] = upload(("files[0]", "one.txt", b"First text.")).json

    for method in ("GET", "DELETE"):
        answers = [
            stranger.open(f"/api/v1/knowledge-documents/{name}", method=method) for name in (document["id"], NOBODY)
        ]
        assert [(each.status_code, each.json) for each in answers] == [
            (404, {"error": "Knowledge document not found"})
        ] * 2
    assert stranger.get("/api/v1/knowledge-bases/manuals").status_code == 404


def test_a_stream_token_is_for_any_thread_and_short_lived(client):
    thread = uuid4()

    answer = client.post(f"/api/v1/threads/{thread}/stream-token")

    left = datetime.fromisoformat(answer.json["expiresAt"]) - datetime.now(UTC)
    assert (answer.status_code, set(answer.json)) == (200, {"token", "expiresAt", "url"})
    assert timedelta(0) < left <= timedelta(seconds=300)
    assert answer.json["url"].endswith(f"/stream/{thread}")
