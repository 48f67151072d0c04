import pytest

from shared.errors import Invalid
from shared.settings import Settings

GOOD = {
    "DATABASE_URL": "postgres://u:hunter2hunter2@h/d",
    "REDIS_URL": "redis://:swordfish99@h",
    "OPENAI_API_KEY": "sk-x",
}


def faults(environment, *needs):
    with pytest.raises(Invalid) as caught:
        Settings.from_environment(environment, needs=needs)
    return [fault.field for fault in caught.value.faults]


def test_nothing_set_gives_the_defaults():
    assert Settings.from_environment({}) == Settings()


def test_all_faults_are_told_at_once():
    environment = {"PORT": "http", "STRATA_LEASE_SECONDS": "nan", "STRATA_QUEUES": "fast", "STRATA_BOOTSTRAP_KEY": "x"}

    assert set(faults(environment, "database", "broker", "models")) == {
        *environment,
        "DATABASE_URL",
        "REDIS_URL",
        "OPENAI_API_KEY",
    }


def test_a_process_asks_only_for_what_it_needs():
    assert faults({}, "broker") == ["REDIS_URL"]


def test_a_base_url_does_without_a_key():
    assert Settings.from_environment({"OPENAI_BASE_URL": "http://x"}, needs=("models",)).openai_api_key == ""


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("PORT", " 8080 ", "port", 8080),
        ("STRATA_LEASE_SECONDS", "7.5", "lease_seconds", 7.5),
        ("STRATA_LEASE_SECONDS", "5", "lease_seconds", 5.0),
        ("STRATA_TASK_EVENTS", "0", "task_events", False),
        ("STRATA_TASK_EVENTS", "True", "task_events", True),
        ("STRATA_QUEUES", "low, onsite,", "queues", ("low", "onsite")),
        ("STRATA_DRAIN_SECONDS", "0", "drain_seconds", 0.0),
        ("STRATA_ALLOWED_NETWORKS", "10.0.0.0/8, ::1", "allowed_networks", ("10.0.0.0/8", "::1")),
        ("STRATA_DEFAULT_MODEL", "  ", "default_model", "gpt-4o-mini"),
    ],
)
def test_a_setting_is_read_as_its_type(variable, text, name, value):
    assert getattr(Settings.from_environment({variable: text}), name) == value


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("PORT", "-1"),
        ("PORT", "80.5"),
        ("PORT", "65536"),
        ("PORT", "9" * 400),
        ("STRATA_WORKER_PORT", "70000"),
        ("STRATA_WORKER_CONCURRENCY", "0"),
        ("STRATA_WORKER_CONCURRENCY", "1e3"),
        ("STRATA_LEASE_SECONDS", "nan"),
        ("STRATA_LEASE_SECONDS", "inf"),
        ("STRATA_LEASE_SECONDS", "0.5"),
        ("STRATA_RESULT_SECONDS", "-inf"),
        ("STRATA_TOMBSTONE_DAYS", "30 days"),
        ("STRATA_TASK_EVENTS", "yes"),
        ("STRATA_QUEUES", ","),
        ("STRATA_QUEUES", "normal,express"),
        ("STRATA_ALLOWED_NETWORKS", "10.0.0.0/8,10.0.0.1/8"),
        ("STRATA_ALLOWED_NETWORKS", "example.com"),
        ("STRATA_LOG_LEVEL", "debug!"),
        ("STRATA_BOOTSTRAP_KEY", "23-characters-of-a-key-"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(variable, text):
    assert faults({variable: text}) == [variable]


@pytest.mark.parametrize("secret", ["hunter2hunter2", "swordfish99", "sk-x", "a-bootstrap-key-of-ours-1234"])
def test_settings_that_are_printed_show_no_secret(secret):
    found = Settings.from_environment({**GOOD, "STRATA_BOOTSTRAP_KEY": "a-bootstrap-key-of-ours-1234"})

    assert secret not in repr(found)
