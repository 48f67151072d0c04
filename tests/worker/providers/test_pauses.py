import pytest

from worker.providers import pauses
from worker.providers.faults import ProviderFault
from worker.providers.pauses import Pauses


@pytest.mark.parametrize(
    ("code", "reason"), [("credit_balance_exhausted", "provider_quota"), ("invalid_api_key", "provider_auth")]
)
def test_a_key_without_money_or_rights_is_left_alone_for_every_model(failure, model, code, reason):
    first = failure(f"demo:code={code}")

    second = failure("demo")

    assert (second.reason, str(second), second.calls) == (reason, str(first), ())
    assert model.totals()["count"] == 1


def test_the_keys_of_others_are_used(make_client, ask, failure):
    client = make_client(own_keys={(2, "default"): "their-own-key"})
    failure("demo:code=insufficient_quota", client=client, organization_id=1)

    assert ask("demo", client=client, organization_id=2).output


def test_another_provider_is_asked_instead_at_once(make_client, ask, failure, model):
    client = make_client(providers=f'{{other: {{base_url: "{model.base_url}", api_key: else}}}}')
    failure("demo:code=insufficient_quota", client=client)

    answer = ask("demo", client=client, fallback=("other/demo",))

    assert (answer.details["model"], len(answer.calls)) == ("other/demo", 1)


def test_an_answer_takes_the_pause_back(make_client, ask, failure, monkeypatch):
    monkeypatch.setattr(pauses, "PAUSE_SECONDS", 0.0)
    failure("demo:code=insufficient_quota")
    ask("demo")
    monkeypatch.setattr(pauses, "PAUSE_SECONDS", 60.0)

    assert [len(ask("demo").calls) for _ in range(2)] == [1, 1]


def test_one_call_finds_out_when_the_time_is_over(monkeypatch):
    known = Pauses()
    monkeypatch.setattr(pauses, "PAUSE_SECONDS", 0.0)
    known.begin("key", ProviderFault("provider_quota", "no money"))
    monkeypatch.setattr(pauses, "PAUSE_SECONDS", 60.0)

    known.check("key")

    with pytest.raises(ProviderFault, match="no money"):
        known.check("key")
