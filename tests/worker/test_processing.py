"""Documents from their folder to what is found in them, with the process that reads them."""

import io
import os
import signal
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

import docx
import pytest
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from shared import db, intake, knowledge, passages
from shared.passages import Vector
from tests.conftest import ROOT
from worker.alarms import Alarms
from worker.documents import reading
from worker.processing import Processing
from worker.providers.credentials import Credentials
from worker.providers.embeddings import Embeddings
from worker.vectors import DocumentVectors


@pytest.fixture
def add(organization):
    with db.transaction() as connection:
        knowledge.put_folder(connection, organization, "guides", "Guides")

    def add(name, body):
        with db.transaction() as connection:
            return knowledge.add(connection, organization, "guides", name, None, body).uuid

    return add


@pytest.fixture
def make_processing(settings):
    """What a worker processes documents with: `make_processing(embeddings_model="m")`."""
    with ExitStack() as made:

        def make(**changes):
            alarms = Alarms()
            embeddings = Embeddings(replace(settings, **changes), alarms, Credentials(lambda *_: None))
            made.callback(embeddings.close)
            return Processing(DocumentVectors(embeddings))

        yield make


@pytest.fixture
def processing(make_processing):
    return make_processing()


@pytest.fixture
def processed(organization, processing, add):
    """Hand a document in, and process it."""

    def processed(name, body):
        uuid = add(name, body)
        assert processing.one()
        with db.autocommit() as connection:
            return knowledge.document(connection, organization, uuid)

    return processed


def word(*paragraphs):
    document, written = docx.Document(), io.BytesIO()
    document.add_heading("Returns", 1)
    for each in paragraphs:
        document.add_paragraph(each)
    document.save(written)
    return written.getvalue()


def pdf(*texts, password=None):
    writer, written = PdfWriter(), io.BytesIO()
    font = DictionaryObject({
        NameObject("/Type"): NameObject("/Font"),
        NameObject("/Subtype"): NameObject("/Type1"),
        NameObject("/BaseFont"): NameObject("/Helvetica"),
    })
    for text in texts:
        page = writer.add_blank_page(200, 200)
        page[NameObject("/Resources")] = DictionaryObject({
            NameObject("/Font"): DictionaryObject({NameObject("/F1"): writer._add_object(font)})
        })
        content = DecodedStreamObject()
        content.set_data(f"BT /F1 12 Tf 10 100 Td ({text}) Tj ET".encode())
        page[NameObject("/Contents")] = writer._add_object(content)
    if password is not None:
        writer.encrypt(password, algorithm="RC4-128")
    writer.write(written)
    return written.getvalue()


def bomb():
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as package:
        for number in range(3):
            package.writestr(f"word/{number}.xml", b"\0" * (100 << 20))
    return written.getvalue()


@pytest.mark.parametrize(
    ("name", "body", "page", "heading"),
    [
        ("a.txt", b"Broken lamps are replaced.", None, None),
        ("a.md", b"# Returns\n\nBroken lamps are replaced.", None, "Returns"),
        ("a.csv", b"item;rule\nlamps;are replaced\n", None, None),
        ("a.tsv", b"item\trule\nlamps\tare replaced\n", None, None),
        ("a.html", b"<h1>Returns</h1><p>Broken <b>lamps</b> are replaced.", None, "Returns"),
        ("a.docx", word("Broken lamps are replaced."), None, "Returns"),
        ("a.pdf", pdf("Contents", "Broken lamps are replaced."), 1, None),
    ],
)
def test_every_type_is_found_by_what_it_says(organization, processed, name, body, page, heading):
    document = processed(name, body)

    with db.autocommit() as connection:
        (found,) = passages.search(connection, organization, "What about a lamp?")
    assert (document.status, document.chunks, document.error) == ("ready", 1, None)
    assert (found.document, found.page, found.heading) == (document.uuid, page, heading)
    assert "are replaced" in found.text


@pytest.mark.parametrize(
    ("name", "body", "error"),
    [
        ("a.pdf", b"%PDF-1.7 and then nothing", "no PDF"),
        ("a.pdf", pdf("secret", password="secret"), "locked with a password"),
        ("a.pdf", pdf(""), "no text"),
        ("a.docx", b"PK\x03\x04 and then nothing", "no Word document"),
        ("a.docx", bomb(), "unpacks to more than"),
        ("a.txt", b"\0\1\2\3", "not a text"),
        ("a.txt", b" \n\n ", "no text"),
        ("a.html", b"<script>alert(1)</script>", "no text"),
    ],
)
def test_a_bad_file_fails_and_says_why(processed, name, body, error):
    document = processed(name, body)

    assert (document.status, document.chunks) == ("failed", 0)
    assert error in document.error


def test_a_file_that_wants_too_much_memory_fails_alone(processed):
    rows = b",".join([b"x"] * 4_000_000) + b"\n"

    assert processed("a.csv", rows * 2).status == "failed"


def test_what_a_dead_worker_was_reading_is_read_by_another(organization, processing, add, servers):
    uuid = add("a.txt", b"lamps")
    script = (
        "import os, sys; from shared import broker, db, intake; from shared.settings import Settings;"
        "settings = Settings.from_environment(os.environ); db.connect(settings.database_url);"
        "c = db.transaction(); connection = c.__enter__(); intake.take(connection, lease_seconds=1);"
        "c.__exit__(None, None, None); print('taken', flush=True); sys.stdin.read()"
    )
    dying = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | servers,
    )
    assert dying.stdout.readline() == b"taken\n"
    assert not processing.one()

    dying.send_signal(signal.SIGKILL)
    dying.communicate()

    deadline = time.monotonic() + 10
    while not processing.one():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with db.autocommit() as connection:
        assert knowledge.document(connection, organization, uuid).status == "ready"


def test_a_document_that_takes_its_readers_down_is_given_up(organization, processing, add):
    uuid = add("a.txt", b"lamps")
    with db.transaction() as connection:
        for _ in range(intake.MOST_DEATHS):
            assert intake.take(connection, lease_seconds=0)

    assert processing.one()

    with db.autocommit() as connection:
        found = knowledge.document(connection, organization, uuid)
    assert (found.status, found.error) == ("failed", "3 workers have died while they read it")


def test_a_reader_that_takes_too_long_is_stopped(processed, monkeypatch):
    monkeypatch.setattr(reading, "SECONDS", 0.5)

    document = processed("a.html", b"<p>some words</p>" * 1_000_000)

    assert document.status == "failed"
    assert "took longer" in document.error


def test_a_process_that_ends_gives_back_what_it_was_reading(organization, processing, add, eventually):
    uuid = add("a.html", b"<p>some words</p>" * 1_000_000)
    with ThreadPoolExecutor(1) as threads:
        working = threads.submit(processing.one)
        eventually(lambda: processing._reading)

        processing.close()

        assert working.result(10)
    with db.autocommit() as connection:
        taken = intake.take(connection, lease_seconds=30)
    assert (taken.uuid, taken.deaths) == (uuid, 0)


def test_the_original_is_not_kept_once_it_is_read(organization, processed):
    processed("a.txt", b"lamps")

    with db.autocommit() as connection:
        assert connection.exec_driver_sql("SELECT body, text FROM document_bodies").one() == (None, "lamps")


def test_with_a_model_for_it_meaning_finds_too(organization, make_processing, add):
    processing = make_processing(embeddings_model="text-embedding-3-small")
    for name, text in (("a.txt", b"it is what it was"), ("b.txt", b"lamps")):
        add(name, text)
        assert processing.one()

    with db.autocommit() as connection:
        vector = connection.exec_driver_sql(
            "SELECT v.model, CAST(v.embedding AS text) FROM chunk_vectors v JOIN chunks c ON c.id = v.chunk_id"
            " WHERE c.text = 'it is what it was'"
        ).one()
        by_words = passages.search(connection, organization, "what it was")
        by_meaning = passages.search(connection, organization, "what it was", vector=Vector(*vector))
    # English has nothing in it that a search by words would look for.
    assert by_words == []
    assert [each.name for each in by_meaning] == ["a.txt", "b.txt"]


def test_a_question_is_held_against_vectors_of_its_own_model_alone(organization, make_processing, add):
    add("a.txt", b"lamps")
    make_processing(embeddings_model="text-embedding-3-small").one()

    with db.autocommit() as connection:
        for vector in (Vector("default/other", "[1,0]"), Vector("default/text-embedding-3-small", "[1,0]")):
            assert passages.search(connection, organization, "what", vector=vector) == []


def test_a_document_waits_for_a_model_that_is_away(organization, make_processing, add, model):
    uuid = add("a.txt", b"lamps")
    model.script([{"status": 503, "retry_after": "60"}])

    assert make_processing(embeddings_model="text-embedding-3-small").one()

    with db.autocommit() as connection:
        assert knowledge.document(connection, organization, uuid).status == "pending"
        due_in, deaths = connection.exec_driver_sql(
            "SELECT extract(epoch FROM due_at - now()), deaths FROM documents"
        ).one()
    assert 0 < due_in <= 10
    assert deaths == 0
