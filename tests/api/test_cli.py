"""The operators' commands."""

import json

import pytest

from shared import db, keys, organizations
from tests.api.definitions import REVIEW


@pytest.fixture
def run(app):
    """Run a command: exit code and output."""

    def run(*words):
        result = app.test_cli_runner().invoke(args=list(words))
        return result.exit_code, result.output

    return run


@pytest.fixture
def acme(run):
    run("organizations", "create", "acme")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "films.json").write_text(json.dumps({"handle": "films", **REVIEW}))
    (tmp_path / "books.yaml").write_text(
        "handle: books\nproperties:\n- name: a\n  layers: [{kind: prompt, prompt: Hi}]"
    )
    (tmp_path / "notes.txt").write_text("not a definition")
    return tmp_path


def test_organizations_are_made_once(run):
    assert run("organizations", "create", "acme") == (0, "organization acme created\n")
    assert run("organizations", "create", "acme") == (1, "Error: there is an organization acme already\n")
    assert [line.split()[0] for line in run("organizations", "list")[1].splitlines()] == ["name", "acme"]


def test_a_made_key_is_good(run, acme, anonymous):
    code, output = run("keys", "create", "--organization", "acme", "--scope", "read", "--name", "ci")

    assert (code, keys.well_formed(output.strip())) == (0, True)
    assert anonymous.get("/v2/executions", headers={"x-api-key": output.strip()}).status_code == 200
    assert anonymous.get("/v2/queues", headers={"x-api-key": output.strip()}).status_code == 403


def test_a_list_of_keys_shows_none(run, acme):
    key = run("keys", "create", "--organization", "acme", "--name", "ci")[1].strip()

    code, output = run("keys", "list", "--organization", "acme")

    assert code == 0
    assert key not in output
    assert output.splitlines()[1].split() == [f"{key[:12]}…", "execute,read", "expires", "never", "-", "-", "ci"]


@pytest.mark.parametrize("named", [slice(None), slice(0, 12)])
def test_a_revoked_key_is_refused(run, acme, anonymous, named):
    key = run("keys", "create", "--organization", "acme")[1].strip()

    assert run("keys", "revoke", "--organization", "acme", key[named]) == (0, "1 key revoked\n")
    assert anonymous.get("/v2/executions", headers={"x-api-key": key}).status_code == 401
    assert run("keys", "revoke", "--organization", "acme", key[named])[0] == 1


def test_a_key_can_expire(run, acme, anonymous, until):
    key = run("keys", "create", "--organization", "acme", "--expires-in-days", "0.000005")[1].strip()

    until(lambda: anonymous.get("/v2/executions", headers={"x-api-key": key}).status_code == 401)


@pytest.mark.parametrize(
    "words",
    [
        ("keys", "create"),
        ("keys", "list"),
        ("pipelines", "list"),
        ("executions", "show", "1"),
    ],
)
def test_an_unknown_organization_is_told(run, words):
    assert run(*words, "--organization", "nobody") == (1, "Error: organization nobody not found\n")


def test_limits_of_an_organization_are_set_and_taken_back(run, acme):
    told = run("organizations", "limit", "acme", "--weight", "2", "--max-running", "5", "--per-minute", "60")
    assert told == (0, "organization acme: max_running 5, per_minute 60, weight 2\n")
    assert run("organizations", "limit", "acme", "--max-running", "none", "--max-queued", "0")[0] == 0

    assert run("organizations", "list")[1].splitlines()[1].split() == ["acme", "2", "-", "0", "60"]


def test_limits_of_a_key_are_set_and_shown(run, acme):
    key = run("keys", "create", "--organization", "acme", "--name", "ci")[1].strip()

    told = run("keys", "limit", "--organization", "acme", key[:12], "--max-queued", "7", "--per-minute", "none")

    assert told == (0, "key limited: max_queued 7, per_minute none\n")
    listed = json.loads(run("keys", "list", "--organization", "acme", "--json")[1])
    assert (listed["prefix"], listed["max_queued"], listed["per_minute"]) == (key[:12], 7, None)


@pytest.mark.parametrize(
    "words",
    [
        ("organizations", "limit", "nobody", "--weight", "1"),
        ("organizations", "limit", "acme"),
        ("organizations", "limit", "acme", "--max-running", "-1"),
        ("organizations", "limit", "acme", "--max-running", "99999999999"),
        ("organizations", "limit", "acme", "--weight", "0"),
        ("keys", "limit", "--organization", "acme", "strata_nobody", "--max-queued", "1"),
        ("keys", "limit", "--organization", "acme", "strata_nobody"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(run, acme, words):
    code, output = run(*words)

    assert code > 0
    assert "Error: " in output


def test_a_key_given_for_its_prefix_is_not_repeated(run, acme):
    key = run("keys", "create", "--organization", "acme")[1].strip()

    code, output = run("keys", "limit", "--organization", "acme", key, "--max-queued", "1")

    assert (code, key in output) == (1, False)


def test_what_a_terminal_would_act_on_is_not_printed(run):
    name = "ac\x1b[2Jme\u202e\x9b\r"
    with db.transaction() as connection:
        organizations.create(connection, name)

    assert run("organizations", "list")[1].splitlines()[1].split()[0] == "ac[2Jme"
    assert json.loads(run("organizations", "list", "--json")[1])["name"] == name
    assert run("organizations", "list", "--json")[1].isascii()


def test_definitions_are_pushed_from_a_folder(run, acme, folder):
    code, output = run("pipelines", "push", "--organization", "acme", "--tag", "live", str(folder))

    assert code == 0
    assert [line.partition(": ")[2] for line in output.splitlines()] == ["books version 1", "films version 1"]
    listed = run("pipelines", "list", "--organization", "acme")[1].splitlines()
    assert [(line.split()[0], line.split()[-1]) for line in listed] == [("books", "live=1"), ("films", "live=1")]


def test_a_push_again_changes_nothing(run, acme, folder):
    run("pipelines", "push", "--organization", "acme", str(folder))

    assert run("pipelines", "push", "--organization", "acme", str(folder / "films.json")) == (
        0, f"{folder / 'films.json'}: films version 1 (unchanged)\n"
    )  # fmt: skip


def test_a_push_with_a_fault_publishes_nothing_and_names_it(run, acme, folder, rows):
    (folder / "wrong.yaml").write_text("handle: wrong\nproperties: []\noutput: nothing")
    before = rows()

    code, output = run("pipelines", "push", "--organization", "acme", str(folder))

    assert code == 1
    assert {line.split(": ")[-2] for line in output.splitlines()} == {"properties", "output"}
    assert rows() == before


@pytest.mark.parametrize(
    "text", ["", "[", "[1]", "name: x", "handle: 5\nproperties: []", "handle: A B\nproperties: []", "a: &x 1\nb: *x"]
)
def test_a_file_that_makes_no_sense_is_told_in_a_line(run, acme, tmp_path, rows, text):
    (tmp_path / "wrong.yaml").write_text(text)
    before = rows()

    code, output = run("pipelines", "push", "--organization", "acme", str(tmp_path))

    assert (code, output.startswith("Error: "), "Traceback" in output) == (1, True, False)
    assert rows() == before


def test_a_draft_is_pushed_beside_the_latest(run, acme, folder):
    assert run("pipelines", "push", "--organization", "acme", "--draft", str(folder / "films.json"))[0] == 0
    assert "films  version (drafts only)" in run("pipelines", "list", "--organization", "acme")[1]


def test_an_execution_is_shown_as_the_api_tells_it(run, client, publish):
    publish(REVIEW)
    found = client.post("/v2/pipelines/pipeline/versions/1/executions", json={"inputs": {"film": "Ö"}}).json

    code, output = run("executions", "show", "--organization", "acme", str(found["id"]))

    assert (code, json.loads(output)) == (0, found)


def test_queues_are_shown(run, client, publish):
    publish(REVIEW)
    client.post("/v2/pipelines/pipeline/versions/1/executions", json={"inputs": {"film": "Ö"}, "priority": "low"})

    code, output = run("queues")

    assert code == 0
    assert [line for line in output.splitlines() if line.startswith("queue low  queued 1")]


@pytest.mark.parametrize(
    "words", [("organizations", "list"), ("queues",), ("workers",), ("executions", "fail", "1", "--reason", "x")]
)
def test_commands_fail_in_a_line_without_postgres(run, app, settings, words):
    db.connect("postgresql://nobody@127.0.0.1:1/nothing")
    try:
        code, output = run(*words)
        assert (code, output.count("\n"), "the database cannot be reached" in output) == (1, 1, True)
    finally:
        db.connect(settings.database_url)
