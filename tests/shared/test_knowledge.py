"""Folders and documents, and what is found in them, on real Postgres."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

from shared import db, intake, knowledge, organizations, passages, webhooks
from shared.errors import Invalid, NotFound
from shared.intake import Chunk
from shared.sealing import Sealer
from tests.conftest import ROOT


@pytest.fixture
def folder(organization):
    with db.transaction() as connection:
        knowledge.put_folder(connection, organization, "guides", "Guides")
    return "guides"


@pytest.fixture
def add(organization, folder):
    """Hand a document in: `add("a.txt")`."""

    def add(name="a.txt", body=b"text", *, into=folder, owner=organization, **details):
        with db.transaction() as connection:
            return knowledge.add(connection, owner, into, name, None, body, **details)

    return add


@pytest.fixture
def read(add):
    """Hand a document in and have it read as chunks of these texts."""

    def read(*texts, **details):
        document = add(**details)
        with db.transaction() as connection:
            taken = intake.take(connection, lease_seconds=30)
            chunks = [Chunk(text, len(text) // 4, page=1, heading="Top") for text in texts]
            assert intake.end_ready(connection, taken, chunks, "\n".join(texts))
        return document

    return read


def search(organization, query, **details):
    with db.autocommit() as connection:
        return [each.text for each in passages.search(connection, organization, query, **details)]


def test_a_folder_is_made_once_and_named_anew(organization, folder):
    with db.transaction() as connection:
        assert not knowledge.put_folder(connection, organization, "guides", "All guides")

    with db.autocommit() as connection:
        found = knowledge.folder(connection, organization, "guides")
    assert (found.name, found.documents, found.status) == ("All guides", 0, "ready")


def test_a_folder_of_another_organization_is_not_there(organization, folder, add):
    with db.transaction() as connection:
        other = organizations.create(connection, "globex")
    document = add()

    with db.autocommit() as connection:
        assert knowledge.list_folders(connection, other) == []
        assert knowledge.list_documents(connection, other) == []
        for look in (
            lambda: knowledge.folder(connection, other, "guides"),
            lambda: knowledge.delete_folder(connection, other, "guides"),
            lambda: knowledge.document(connection, other, document.uuid),
            lambda: knowledge.delete_document(connection, other, document.uuid),
            lambda: knowledge.change(connection, other, document.uuid, tags=["x"]),
            lambda: knowledge.text(connection, other, document.uuid),
            lambda: passages.search(connection, other, "text", folders=["guides"]),
        ):
            with pytest.raises(NotFound):
                look()


def test_a_document_waits_until_it_is_read(organization, folder, add, read):
    document = read("the whole text", name="a.txt")

    with db.autocommit() as connection:
        found = knowledge.document(connection, organization, document.uuid)
        text = knowledge.text(connection, organization, document.uuid)
        status = knowledge.folder(connection, organization, folder).status

    assert (document.status, document.chunks) == ("pending", 0)
    assert (found.status, found.chunks, text, status) == ("ready", 1, "the whole text", "ready")


@pytest.mark.parametrize(("name", "body"), [("a.exe", b"MZ"), ("noend", b"x"), ("a.txt", b"")])
def test_what_nothing_reads_is_refused(add, name, body):
    with pytest.raises(Invalid):
        add(name, body)


def test_any_word_of_a_question_finds_and_rare_ones_count_more(organization, read):
    read("Refunds are paid in ten days.", "Items that are damaged are replaced.", "Items are sent on Mondays.")

    assert search(organization, "what about a refund of damaged items?") == [
        "Items that are damaged are replaced.",
        "Refunds are paid in ten days.",
        "Items are sent on Mondays.",
    ]


@pytest.mark.parametrize("query", ["", "the of and", "'", "\\", "a'b\\c & | ! (", "https://x.example/a\\b'c?d=e&f"])
def test_a_question_of_no_words_finds_nothing(organization, read, query):
    read("Refunds are paid in ten days.")

    assert search(organization, query) == []


def test_search_keeps_to_folders_and_tags(organization, add, read):
    with db.transaction() as connection:
        knowledge.put_folder(connection, organization, "other", "Other")
    read("red apples", tags=["fruit", "red"])
    read("green apples", tags=["fruit"])
    read("rotten apples", into="other")

    assert sorted(search(organization, "apples")) == ["green apples", "red apples", "rotten apples"]
    assert search(organization, "apples", folders=["guides"], tags=["red", "fruit"]) == ["red apples"]
    assert search(organization, "apples", folders=["other"]) == ["rotten apples"]
    assert search(organization, "apples", tags=["blue"]) == []


def test_chunks_of_a_deleted_document_are_found_no_more(organization, read):
    document = read("red apples")

    with db.transaction() as connection:
        knowledge.delete_document(connection, organization, document.uuid)

    assert search(organization, "apples") == []
    with db.autocommit() as connection, pytest.raises(NotFound):
        knowledge.document(connection, organization, document.uuid)


def test_a_document_is_taken_once_until_its_lease_is_over(add):
    add()

    with db.transaction() as connection:
        first = intake.take(connection, lease_seconds=0)
        second = intake.take(connection, lease_seconds=30)
        third = intake.take(connection, lease_seconds=30)

    assert (first.attempt, first.deaths, second.attempt, second.deaths, third) == (1, 0, 2, 1, None)


def test_who_has_lost_a_document_writes_nothing(organization, add):
    document = add()
    with db.transaction() as connection:
        lost = intake.take(connection, lease_seconds=0)
        intake.take(connection, lease_seconds=30)

        assert not intake.renew(connection, lost, lease_seconds=30)
        assert not intake.end_ready(connection, lost, [Chunk("x", 1)], "x")
        assert not intake.end_failed(connection, lost, "broken")

    with db.autocommit() as connection:
        assert knowledge.document(connection, organization, document.uuid).status == "pending"
    assert search(organization, "x") == []


def test_what_is_put_back_in_order_counts_as_no_death(add):
    add()

    with db.transaction() as connection:
        intake.put_back(connection, intake.take(connection, lease_seconds=30), pause_seconds=0)
        again = intake.take(connection, lease_seconds=30)

    assert (again.attempt, again.deaths) == (2, 0)


def test_a_document_deleted_while_it_is_read_leaves_nothing(organization, add):
    document = add()
    with db.transaction() as connection:
        taken = intake.take(connection, lease_seconds=30)
        knowledge.delete_document(connection, organization, document.uuid)

        assert not intake.end_ready(connection, taken, [Chunk("ghost", 1)], "ghost")

    assert search(organization, "ghost") == []


def test_an_unknown_folder_takes_no_document(add):
    with pytest.raises(NotFound):
        add(into="nowhere")


def test_tags_and_metadata_change_alone(organization, add):
    document = add(tags=["b", "a", "b"], metadata={"k": 1})

    with db.transaction() as connection:
        knowledge.change(connection, organization, document.uuid, tags=["c"])
        found = knowledge.document(connection, organization, document.uuid)
        with pytest.raises(NotFound):
            knowledge.change(connection, organization, uuid4(), tags=[])

    assert (document.tags, found.tags, found.metadata) == (["a", "b"], ["c"], {"k": 1})


@pytest.fixture
def owed(organization):
    """What a webhook is owed that wants to hear of knowledge, oldest first."""
    with db.transaction() as connection:
        webhooks.create(
            connection,
            organization,
            Sealer(("a key of the tests that seals secrets",)),
            url="https://example.com",
            dialect="standard",
            events=["document.ended", "knowledge.ended"],
        )

    def owed():
        with db.autocommit() as connection:
            return connection.execute(text("SELECT event, subject, data FROM deliveries ORDER BY id")).all()

    return owed


def test_the_end_of_a_document_and_of_its_folder_is_owed(organization, folder, add, owed):
    first, second = add("a.txt"), add("b.txt")

    with db.transaction() as connection:
        intake.end_ready(connection, intake.take(connection, lease_seconds=30), [Chunk("x", 1)], "x")
    with db.transaction() as connection:
        intake.end_failed(connection, intake.take(connection, lease_seconds=30), "broken")

    ready, failed, whole = owed()
    assert (ready.event, ready.subject, ready.data["status"]) == ("document.ended", first.uuid, "ready")
    assert (failed.subject, failed.data["status"], failed.data["error"]) == (second.uuid, "failed", "broken")
    assert (whole.event, whole.data["documents"], whole.data["chunks"]) == ("knowledge.ended", 2, 1)
    assert (whole.data["handle"], whole.data["status"]) == (folder, "ready")


def test_of_two_that_end_at_once_the_folder_is_told_of_once(organization, add, owed):
    add("a.txt"), add("b.txt")
    with db.autocommit() as connection:
        taken = [intake.take(connection, lease_seconds=30) for _ in range(2)]

    def end(one):
        with db.transaction() as connection:
            assert intake.end_ready(connection, one, [Chunk("x", 1)], "x")

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(end, taken))

    assert [each.event for each in owed()].count("knowledge.ended") == 1


def test_without_pgvector_everything_but_vectors_is_there(servers):
    """`template0` has no extension, and who runs the migrations may not make one."""
    url = make_url(servers["DATABASE_URL"])
    with create_engine(db.driver_url(servers["DATABASE_URL"]), isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE without_pgvector TEMPLATE template0")
    bare = url.set(database="without_pgvector").render_as_string(hide_password=False)

    alembic = [sys.executable, "-m", "alembic", "-c", "deploy/alembic.ini", "upgrade", "head"]
    subprocess.run(alembic, cwd=ROOT, env={**os.environ, "DATABASE_URL": bare}, check=True)

    with create_engine(db.driver_url(bare)).connect() as connection:
        assert not passages.has_vectors(connection)
        assert connection.exec_driver_sql("SELECT count(*) FROM chunks").scalar() == 0
