"""Executions whose models do not answer at once: waits that free the slot, other models, keys of their own."""

import pytest

from shared import db, definition, executions, organizations, pipelines, provider_keys
from shared.sealing import Sealer
from tests import factories
from tests.factories import prompt_layer, source

SECRET = "a-key-of-thirty-two-characters-or-more"


@pytest.fixture
def start(organization, publish):
    """Accept an execution of one prompt layer: `start(model="demo:status=500")`."""

    def start(**layer):
        publish(source(prompt_layer(**layer)))
        return factories.accept(organization)

    return start


@pytest.fixture
def end(organization, worker, eventually):
    """Let an execution be taken up again whenever its wait is over, until it has ended; its report."""

    def ended(accepted):
        with db.transaction() as connection:
            executions.promote(connection)
        worker.work()
        return factories.report(organization, accepted).status in ("succeeded", "failed")

    def end(accepted):
        eventually(lambda: ended(accepted), seconds=20)
        return factories.report(organization, accepted)

    return end


def test_a_long_wait_frees_the_slot_and_goes_on_when_it_is_over(organization, start, worker, model, end):
    accepted = start(model="demo:status=429,retry_after=5.5,times=1", retry={"attempts": 2})

    worker.work()

    assert (factories.report(organization, accepted).status, len(model.calls())) == ("waiting", 1)
    ended = end(accepted)
    assert (ended.status, ended.properties[0].layers[0].calls, len(model.calls())) == ("succeeded", 2, 2)


def test_attempts_are_counted_over_all_waits(start, model, end):
    accepted = start(model="demo:status=429,retry_after=5.1", retry={"attempts": 2})

    ended = end(accepted)

    assert (ended.reason, len(model.calls())) == ("provider_rate_limited", 2)


def test_the_report_names_the_model_that_has_answered(organization, start, worker):
    accepted = start(model="demo:status=404", fallback=["demo"])

    worker.work()

    (layer,) = factories.report(organization, accepted).properties[0].layers
    assert layer.details == {"model": "default/demo", "fallback_from": "default/demo:status=404"}


def test_an_answer_that_does_not_fit_is_asked_for_again_and_paid_for(organization, start, worker, model):
    accepted = start(model="demo:mode=bad_json,times=1", output="json", retry={"attempts": 2})

    worker.work()

    (layer,) = factories.report(organization, accepted).properties[0].layers
    assert (layer.calls, layer.spent.retried_usage.total_tokens > 0) == (2, True)
    assert layer.usage.total_tokens == sum(call["usage"]["total_tokens"] for call in model.calls())


def test_a_refused_key_of_one_organization_does_not_stop_another(organization, start, start_worker):
    with db.transaction() as connection:
        provider_keys.put(connection, organization, "default", "their-own-key", Sealer((SECRET,)))
        other = organizations.create(connection, "other")
        pipelines.publish(connection, other, "pipeline", definition.read(source(prompt_layer(model="demo"))))
    worker = start_worker(secret_keys=(SECRET,))
    refused = start(model="demo:status=401")
    worker.work()

    accepted = factories.accept(other)
    worker.work()

    assert factories.report(other, accepted).status == "succeeded"
    assert factories.report(organization, refused).reason == "provider_auth"
