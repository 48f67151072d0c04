"""The operators' page: its alarms watch what there is, and its queries run."""

import re

import pytest
from prometheus_client.registry import REGISTRY

from shared import db
from tests import factories
from tests.conftest import ROOT
from tests.factories import source
from worker import progress

PAGE = (ROOT / "deploy/README.md").read_text()
ALARMS = re.search(r"^## Alarms\n(.*?)^## ", PAGE, re.DOTALL | re.MULTILINE)[1]
EXPRESSIONS = {
    found[1]: found[2] for found in re.finditer(r"^### (.+?)\n\n```promql\n(.*?)^```", ALARMS, re.DOTALL | re.MULTILINE)
}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def told():
    """Every metric of a process, by the names that Prometheus is told, with the labels of its samples."""
    assert progress
    found = {}
    for metric in REGISTRY.collect():
        for sample in metric.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


def test_every_alarm_of_the_table_has_its_expression_and_steps():
    named = re.findall(r"^\| \[(.+?)\]", ALARMS, re.MULTILINE)

    assert sorted(named) == sorted(EXPRESSIONS) == sorted(re.findall(r"^### (.+)$", ALARMS, re.MULTILINE))


def test_what_the_alarms_watch_is_measured(app, told):
    scraped = set(re.findall(r"^(strata_\w+)", app.test_client().get("/metrics").text, re.MULTILINE))

    watched = {name: set(re.findall(r"\bstrata_\w+", each)) for name, each in EXPRESSIONS.items()}

    assert all(watched.values())
    assert {name: each - scraped - set(told) for name, each in watched.items() if each - scraped - set(told)} == {}


@pytest.mark.parametrize(
    ("metric", "label", "values"),
    sorted({
        found
        for each in EXPRESSIONS.values()
        for found in re.findall(r'\b(strata_\w+_total)\{(\w+)=~?"([^"]+)"\}', each)
    }),
)
def test_what_a_counter_is_narrowed_to_is_told_from_the_start(told, metric, label, values):
    assert set(values.split("|")) <= {labels[label] for labels in told[metric]}


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_an_expression_is_whole(expression):
    assert expression.count("(") == expression.count(")")
    assert re.search(r"[<>=]=? ?[\d.]+|absent", expression)


@pytest.mark.parametrize("query", blocks("sql"))
def test_the_queries_run_and_write_nothing(organization, publish, query):
    publish(source())
    factories.accept(organization)
    factories.claim(factories.enter_worker(lease_seconds=-1))
    factories.rescue()
    claim = factories.claim()
    factories.record(claim, factories.result())
    factories.accept(organization)

    with db.transaction() as connection:
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        rows = connection.exec_driver_sql(query.replace("%", "%%")).all()

    # What is alone on its server holds up nobody and is followed by none.
    assert rows or "xact_start" in query or "pg_replication_slots" in query


def test_there_are_commands_for_what_an_operator_does():
    shown = {tuple(each.split()[:2]) for each in re.findall(r"^flask --app api\.app (.+)$", PAGE, re.MULTILINE)}

    assert {("executions", verb) for verb in ("list", "show", "explain", "requeue", "fail", "cancel")} <= shown
