"""`retrieve` layers of executions, with a model that makes vectors."""

import pytest

from shared import db, knowledge
from tests import factories
from tests.factories import source

EMBEDDINGS = "text-embedding-3-small"
PRICE = f'{{"default/{EMBEDDINGS}": {{"prompt": 1000000, "completion": 0}}}}'
FIND = {"kind": "retrieve", "folder": "guides", "query": "what it was", "limit": 1}


@pytest.fixture
def worker(start_worker):
    return start_worker(embeddings_model=EMBEDDINGS, prices=PRICE)


@pytest.fixture
def read(organization, worker):
    """Hand texts in, and have them read."""

    def read(*texts):
        with db.transaction() as connection:
            knowledge.put_folder(connection, organization, "guides", "Guides")
            for place, body in enumerate(texts):
                knowledge.add(connection, organization, "guides", f"{place}.txt", None, body.encode())
        worker.work("documents")

    return read


@pytest.fixture
def executed(organization, publish, worker):
    """Execute one layer, and report it."""

    def executed(layer, **details):
        publish(source(layer))
        accepted = factories.accept(organization, **details)
        worker.work()
        return factories.report(organization, accepted)

    return executed


def test_the_question_is_looked_up_by_meaning_and_paid_for(read, executed):
    read("lamps", "it is what it was")

    report = executed(FIND)

    (found,) = report.output["answer"]
    assert found["text"] == "it is what it was"
    assert report.spent.cost == report.usage.prompt_tokens > 0
    assert report.properties[0].layers[0].calls == 1


def test_without_a_vector_words_decide(read, executed, model):
    read("lamps", "shades")
    model.script([{"model": EMBEDDINGS, "status": 400}])

    report = executed({**FIND, "query": "a lamp"})

    assert [each["text"] for each in report.output["answer"]] == ["lamps"]
    assert report.usage.prompt_tokens == 0


def test_a_budget_that_is_too_small_is_kept(read, executed, model):
    read("lamps")
    model.reset()

    report = executed(FIND, max_tokens=1)

    assert (report.status, report.reason, len(model.calls())) == ("failed", "budget_exceeded", 0)


def test_what_has_no_match_is_an_empty_list(read, executed):
    read()

    assert executed(FIND).output == {"answer": []}
