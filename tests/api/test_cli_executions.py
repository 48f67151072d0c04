"""The operators' commands on executions: find, explain, requeue, fail, cancel."""

import json
import os
import subprocess
import sys
from uuid import uuid4

import pytest
import redis

from shared import db, doorbell, organizations, pipelines
from shared.definition import read
from tests import factories
from tests.conftest import ROOT
from tests.factories import source


@pytest.fixture
def run(app):
    """Run a command: exit code and output."""

    def run(*words, **options):
        result = app.test_cli_runner().invoke(args=[str(word) for word in ("executions", *words)], **options)
        return result.exit_code, result.output

    return run


@pytest.fixture
def listed(run):
    """The ids that `list` finds with these filters."""

    def listed(*words):
        code, output = run("list", "--json", *words)
        assert code == 0, output
        return [json.loads(line)["id"] for line in output.splitlines()]

    return listed


@pytest.fixture
def pipeline(publish):
    return publish(source())


@pytest.fixture
def other(database):
    with db.transaction() as connection:
        other = organizations.create(connection, "globex")
        pipelines.publish(connection, other, "elsewhere", read(source()))
        return other


def status(execution_id):
    return factories.row(execution_id).status


def test_a_list_has_executions_of_all_organizations_newest_first(listed, organization, other, pipeline):
    ids = [factories.accept(organization).id, factories.accept(other, "elsewhere").id]

    assert listed() == ids[::-1]
    assert listed("--limit", 1) == ids[1:]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--organization", "acme"], "old low running"),
        (["--organization", "globex"], "other"),
        (["--status", "running"], "running"),
        (["--status", "queued", "--status", "running"], "old low running other"),
        (["--status", "failed"], ""),
        (["--pipeline", "elsewhere"], "other"),
        (["--queue", "low"], "low"),
        (["--older-than", "10m"], "old"),
        (["--older-than", "2h"], ""),
        (["--worker", "here"], "running"),
        (["--worker", str(uuid4())], ""),
        (["--organization", "acme", "--queue", "low", "--status", "queued"], "low"),
    ],
)
def test_a_list_is_what_every_filter_lets_through(listed, organization, other, pipeline, words, found):
    names = {factories.running(organization).id: "running"}
    names |= {factories.accept(organization, queue="low").id: "low", factories.accept(other, "elsewhere").id: "other"}
    names[factories.accept(organization).id] = "old"
    factories.change(
        "UPDATE executions SET accepted_at = accepted_at - interval '1 hour' WHERE id = :id", id=max(names)
    )

    assert {names[each] for each in listed(*words)} == set(found.split())


def test_a_list_tells_what_an_operator_asks_first(run, organization, pipeline):
    claim = factories.running(organization)

    columns, line = (each.split() for each in run("list")[1].splitlines())

    told = dict(zip(columns, line, strict=True))
    assert told | {"age": ""} == {
        "id": str(claim.id), "uuid": str(claim.uuid), "organization": "acme", "pipeline": "pipeline@1",
        "status": "running", "attempt": "1", "deaths": "0", "age": "", "worker": "here",
    }  # fmt: skip


def test_a_list_says_what_holds_back_and_what_failed(run, organization, pipeline):
    factories.finish(factories.running(organization), "failed", reason="deadline", error="late")
    with db.transaction() as connection:
        organizations.limit(connection, "acme", max_running=0)
    factories.accept(organization)

    assert [line.split()[4] for line in run("list")[1].splitlines()[1:]] == ["waiting/cap", "failed/deadline"]


@pytest.mark.parametrize("words", [["--organization", "nobody"], ["--older-than", "soon"], ["--status", "lost"]])
def test_a_filter_that_makes_no_sense_is_told(run, organization, words):
    code, output = run("list", *words)

    assert code > 0
    assert words[1] in output


def test_one_is_shown_by_id_or_uuid_of_whatever_organization(run, other, organization):
    found = factories.accept(other, "elsewhere")

    assert [json.loads(run("show", name)[1])["id"] for name in (found.id, found.uuid)] == [found.id] * 2
    assert run("show", "--organization", "acme", found.id) == (1, "Error: execution not found\n")


def test_a_tombstone_is_shown(run, organization, pipeline):
    claim = factories.running(organization)
    factories.finish(claim, keep_seconds=-1)

    code, output = run("show", claim.id)

    assert (code, json.loads(output)["status"], "inputs" in json.loads(output)) == (0, "succeeded", False)


def test_what_a_terminal_would_act_on_is_escaped_in_a_report(run, organization, pipeline):
    found = factories.accept(organization, tags={"note": "a\x1b[2J\x9b\u202e\x7fü"})

    output = run("show", found.id)[1]

    assert json.loads(output)["tags"] == {"note": "a\x1b[2J\x9b\u202e\x7fü"}
    assert not set("\x1b\x9b\u202e\x7f") & set(output)


def test_a_cause_is_explained(run, organization, pipeline):
    with db.transaction() as connection:
        organizations.limit(connection, "acme", max_running=0)
    found = factories.accept(organization)

    assert run("explain", found.id)[1].startswith("cap: ")
    assert json.loads(run("explain", "--json", found.uuid)[1])["cause"]["limit"] == 0


def test_what_runs_is_queued_again(run, organization, pipeline):
    claim = factories.running(organization)

    assert run("requeue", claim.id) == (0, f"execution {claim.id} is queued again\n")
    assert (status(claim.id), factories.finish(claim)) == ("queued", False)


def test_what_is_queued_or_waits_is_told_as_such(run, organization, pipeline):
    queued = factories.accept(organization)
    with db.transaction() as connection:
        organizations.limit(connection, "acme", max_running=0)
    waiting = factories.accept(organization)

    assert run("requeue", queued.uuid, waiting.id) == (
        0, f"execution {queued.uuid} is queued already\nexecution {waiting.id} is waiting already\n"
    )  # fmt: skip


def test_what_has_ended_is_not_queued_again_and_the_others_are(run, organization, pipeline):
    done, cancelling, mine = (factories.running(organization) for _ in range(3))
    factories.finish(done)
    factories.cancel(organization, cancelling.uuid)

    code, output = run("requeue", done.id, cancelling.id, 10**15, mine.id)

    assert (code, status(mine.id), status(done.id)) == (1, "queued", "succeeded")
    assert output.splitlines() == [
        f"execution {mine.id} is queued again",
        f"Error: execution {done.id}: has succeeded already",
        f"execution {cancelling.id}: is to be cancelled, and is not queued again",
        f"execution {10**15} not found",
    ]


def test_an_operator_fails_executions_with_words(run, client, organization, pipeline):
    ended = factories.running(organization)
    factories.finish(ended)
    mine = [factories.running(organization).id, factories.accept(organization).id]

    code, output = run("fail", *mine, ended.id, "--reason", "stuck since noon")

    assert (code, [status(each) for each in mine]) == (1, ["failed", "failed"])
    assert f"execution {ended.id}: has succeeded already" in output
    error = client.get(f"/v2/executions/{mine[0]}").json["error"]
    assert error == {"reason": "operator", "message": "stuck since noon"}


def test_named_executions_are_cancelled(run, organization, pipeline):
    ended, running = factories.running(organization), factories.running(organization)
    factories.finish(ended)
    queued = factories.accept(organization)

    code, output = run("cancel", queued.id, running.uuid, ended.id)

    assert (code, status(queued.id)) == (1, "cancelled")
    assert output.splitlines() == [
        f"execution {queued.id} is cancelled",
        f"execution {running.uuid} is cancelling",
        f"Error: execution {ended.id}: the execution has succeeded already",
    ]


def test_all_that_filters_find_are_cancelled(run, organization, other, pipeline):
    running = factories.running(organization)
    mine = [factories.accept(organization).id for _ in range(205)]
    others = factories.accept(other, "elsewhere")

    code, output = run("cancel", "--organization", "acme", "--yes")

    assert (code, output.splitlines()) == (
        0, ["100 of 206", "200 of 206", "206 of 206", "cancelled 205, cancelling 1, had ended 0"]
    )  # fmt: skip
    assert {status(each) for each in mine} == {"cancelled"}
    assert (status(others.id), factories.row(running.id).cancel_requested_at is None) == ("queued", False)


def test_a_cancel_of_many_asks_before(run, organization, pipeline):
    mine = factories.accept(organization)

    assert run("cancel", "--queue", "normal", input="n\n")[0] == 1
    assert run("cancel", "--queue", "normal")[0] == 1
    assert status(mine.id) == "queued"
    assert run("cancel", "--queue", "normal", input="y\n")[0] == 0
    assert status(mine.id) == "cancelled"


def test_a_cancel_of_nothing_is_told(run, organization):
    assert run("cancel", "--organization", "acme") == (0, "cancelled 0, cancelling 0, had ended 0\n")


@pytest.mark.parametrize(
    "words",
    [["cancel"], ["cancel", "1", "--queue", "low"], ["cancel", "--status", "failed"], ["requeue"], ["fail", "1"]],
)
def test_a_command_that_says_too_little_or_too_much_is_refused(run, organization, words):
    code, output = run(*words)

    assert (code, "Usage: " in output) == (2, True)


@pytest.mark.parametrize("name", ["x", "1.5", "-1", "9" * 19])
def test_what_is_no_id_is_refused(run, database, name):
    assert run("explain", "--", name)[0] == 2


def test_workers_are_listed(app, organization, pipeline):
    claim = factories.running(organization)
    worker = factories.row(claim.id).worker

    output = app.test_cli_runner().invoke(args=["workers", "--json"]).output

    found = next(each for each in map(json.loads, output.splitlines()) if each["id"] == str(worker))
    assert (found["running"], found["slots"], found["queues"]) == (1, 4, ["onsite", "normal", "low"])
    assert 0 < found["lease_seconds"] <= 60


def test_commands_need_no_redis_and_say_nothing_of_it(settings, organization, pipeline):
    found = factories.accept(organization)
    words = [sys.executable, "-m", "flask", "--app", "api.app", "executions", "cancel", str(found.id)]
    environment = {**os.environ, "DATABASE_URL": settings.database_url, "REDIS_URL": "redis://127.0.0.1:1/0"}

    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout, done.stderr) == (0, f"execution {found.id} is cancelled\n", "")
    assert status(found.id) == "cancelled"


def test_workers_are_rung_when_a_command_cancels(settings, organization, pipeline, until):
    claim = factories.running(organization)
    words = [sys.executable, "-m", "flask", "--app", "api.app", "executions", "cancel", str(claim.id)]
    urls = {"DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url}

    with redis.Redis.from_url(settings.redis_url) as client, client.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe(doorbell.CANCEL)
        until(lambda: heard.subscribed)
        subprocess.run(words, cwd=ROOT, env={**os.environ, **urls}, check=True, timeout=60)
        rung = []
        until(lambda: rung.append(heard.get_message(timeout=0.1)) or rung[-1])

    assert rung[-1]["data"].decode() == str(claim.uuid)
