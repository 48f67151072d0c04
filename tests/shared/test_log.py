import json
import logging
import sys
from decimal import Decimal

import pytest
import redis
from sqlalchemy import exc, text

from shared import db, log
from shared.errors import LayerFailed
from shared.redaction import Redactor
from tests import factories

CANARY = "canary-of-a-prompt-0123456789"


def written(message="something happened", *arguments, error=None, **extra):
    """The line of a record, read again."""
    raised = (type(error), error, error.__traceback__) if error else None
    record = logging.getLogger("tests").makeRecord("tests", 20, "f", 1, message, arguments, raised, extra=extra or None)
    return json.loads(log.Formatter().format(record))


def raised(error):
    """An error that has been raised, from another one."""
    error.__cause__ = ValueError(CANARY)
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


def test_a_line_has_time_level_logger_event_and_fields():
    line = written("execution ended", seconds=1.5)

    assert (line["level"], line["logger"], line["event"], line["seconds"]) == ("info", "tests", "execution ended", 1.5)


def test_a_line_has_the_ids_at_hand():
    with log.context(execution="e"), log.context(attempt=2):
        inside = written()

    assert (inside["execution"], inside["attempt"], "execution" in written()) == ("e", 2, False)


def test_a_line_is_without_what_is_to_be_hidden():
    secret = 'canary "of a variable"'

    with log.hiding(Redactor({"TOKEN": secret}).text):
        inside = written("told of %s", secret, found={secret: [secret]})

    assert (inside["event"], inside["found"]) == ("told of [TOKEN]", {"[TOKEN]": ["[TOKEN]"]})
    assert secret in written(secret)["event"]


def test_an_event_of_several_lines_is_one_line():
    record = logging.makeLogRecord({"msg": "a\nb\u2028c"})

    assert len(log.Formatter().format(record).splitlines()) == 1


@pytest.mark.parametrize("found", [object(), {1, 2}, Decimal(1), b"x", ValueError("x")])
def test_a_field_of_any_type_can_be_written(found):
    assert written(found=found)["found"]


@pytest.mark.parametrize(
    "error",
    [
        ValueError(CANARY),
        KeyError(CANARY),
        LayerFailed("provider_bad_request", json.dumps({"error": {"message": CANARY}})),
        exc.IntegrityError("INSERT INTO contents …", {"inputs": CANARY}, Exception(f"DETAIL: {CANARY}")),
        exc.DataError("SELECT :name", {"name": CANARY}, Exception(f'invalid input syntax: "{CANARY}"')),
        exc.OperationalError("SELECT :name", {"name": CANARY}, Exception("server closed"), hide_parameters=True),
        json.JSONDecodeError("Expecting value", CANARY, 0),
        UnicodeEncodeError("utf-8", CANARY, 0, 1, "surrogates not allowed"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_never_shows_a_text_of_users(error):
    line = written(error=raised(error))

    assert CANARY not in json.dumps(line)
    assert line["error"]["class"] == type(error).__name__


def test_an_error_of_postgres_shows_its_state_and_no_parameter(database):
    with pytest.raises(exc.DataError) as caught:
        factories.query("SELECT CAST(:name AS integer)", name=CANARY)

    line = written(error=caught.value)

    assert (line["error"]["sqlstate"], CANARY in json.dumps(line)) == ("22P02", False)


def test_a_statement_that_postgres_cut_shows_no_parameter(database):
    with db.transaction() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 20"))
        with pytest.raises(exc.OperationalError) as caught:
            connection.execute(text("SELECT pg_sleep(5), :name"), {"name": CANARY})

    assert CANARY not in json.dumps(written(error=caught.value))


def test_an_error_shows_where_it_was_raised():
    frames = written(error=raised(ValueError("x")))["error"]["frames"]

    assert any(frame.endswith(" raised") for frame in frames)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "[Errno 111] Connection refused"),
        (redis.ConnectionError("Error 111 connecting to redis://:swordfish99@h:1"), "connecting to redis://***@h:1"),
        (OSError(), ""),
    ],
)
def test_an_error_of_the_outside_shows_its_message(error, message):
    assert message in written(error=raised(error))["error"]["message"]


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-0123456789abcdef",
        "strata_0123456789abcdefghijklmnopqrstuv",
        "whsec_0123456789",
        "Bearer 0123456789abcdef.x",
        "postgres://strata:hunter2hunter2@h/d",
        "redis://:hunter2hunter2@h",
    ],
)
def test_what_looks_like_a_secret_is_blanked(secret):
    line = json.dumps([written("failed with %s", secret), written("failed", cause=f"x {secret}")])

    assert "0123456789" not in line
    assert "hunter2hunter2" not in line


@pytest.fixture
def root():
    """The root logger, as it was before once the test is over."""
    logger = logging.getLogger()
    before = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:], level = before
    logger.setLevel(level)


def test_a_configured_process_writes_json_lines_to_standard_error(root, capsys, monkeypatch):
    monkeypatch.setattr(log.sys, "stderr", sys.stderr)
    log.configure("INFO")

    logging.getLogger("tests").info("execution %s", "ended", extra={"seconds": 1})

    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["seconds"]) == ("execution ended", 1)


def test_what_the_clients_say_of_each_request_is_left_out(root, capsys):
    log.configure("DEBUG")

    logging.getLogger("openai").debug("Request options: %s", CANARY)
    logging.getLogger("openai._base_client").debug("Request options: %s", CANARY)

    assert CANARY not in capsys.readouterr().err
