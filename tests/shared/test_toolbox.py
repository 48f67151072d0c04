"""Tools in a definition: what can be said of them, what is refused, and what they read."""

import pytest

from shared import definition, inside, nesting, questions
from shared.errors import Invalid, LayerFailed
from shared.outside import Question
from shared.plan import Reference
from shared.provider_settings import read as providers
from tests.factories import prompt_layer, source

EMIT = {"type": "emit", "name": "note", "params_schema": {"type": "object"}}
SEARCH = {"type": "web_search"}


def asks(*tools, **settings):
    inputs = [{"name": "city"}]
    return definition.read(source(prompt_layer(tools=list(tools), **settings), inputs=inputs))


def faults_of(*tools, **settings):
    with pytest.raises(Invalid) as caught:
        asks(*tools, **settings)
    return {fault.field.removeprefix("properties[0].layers[0]."): fault.message for fault in caught.value.faults}


@pytest.mark.parametrize(
    ("tools", "place"),
    [
        ([{"type": "magic"}], "tools[0].type"),
        ([{"type": ["http"]}], "tools[0].type"),
        (["http"], "tools[0]"),
        ([EMIT, EMIT], "tools[1].name"),
        ([SEARCH, SEARCH], "tools[1].name"),
        ([{**EMIT, "name": "web_search"}], "tools[0].name"),
        ([{**EMIT, "name": "two words"}], "tools[0].name"),
        ([{**EMIT, "params_schema": {"type": "array"}}], "tools[0].params_schema"),
        ([{**EMIT, "params_schema": {"properties": {"a": {"pattern": "("}}}}], "tools[0].params_schema"),
        ([{"type": "http", "name": "get", "url": "ftp://x"}], "tools[0].url"),
        ([{"type": "http", "name": "get", "url": "http://x/{{nowhere}}"}], "tools[0].url"),
        ([{"type": "http", "name": "get", "url": "http://x", "headers": {"Host": "y"}}], "tools[0].headers"),
        ([{"type": "mcp", "name": "m"}], "tools[0].url"),
        ([{"type": "pipeline", "name": "p"}], "tools[0].handle"),
    ],
)
def test_what_is_wrong_with_a_tool_is_told_at_its_place(tools, place):
    assert list(faults_of(*tools)) == [place]


def test_code_is_refused_with_what_to_do_instead():
    told = faults_of({"type": "script", "name": "x", "language": "python", "code": "1"})

    assert "serve it over HTTP" in told["tools[0].type"]


@pytest.mark.parametrize("setting", [{"cache": {"seconds": 60}}, {"background": True}])
def test_what_does_not_go_with_tools_is_refused(setting):
    assert list(faults_of(EMIT, **setting)) == list(setting)


def test_what_a_tool_refers_to_its_layer_needs():
    tool = {"type": "http", "name": "get", "url": "https://x/{{city}}", "headers": {"Authorization": "Bearer ${TOKEN}"}}
    server = {"type": "mcp", "name": "m", "url": "https://y", "authorization_token": "${OTHER}"}

    plan = asks(tool, server).plan

    assert plan.properties[0].layers[0].reads == {"city"}
    assert plan.variables == ("OTHER", "TOKEN")


def test_a_pipeline_that_is_a_tool_is_one_that_the_plan_runs():
    found = asks({"type": "pipeline", "name": "p", "handle": "reviews", "version": 3}, EMIT)

    assert found.plan.pipelines == (Reference("reviews", "3"),)


def test_a_pipeline_that_is_a_tool_of_its_own_is_refused():
    found = asks({"type": "pipeline", "name": "p", "handle": "mine"})

    (fault,) = nesting.faults("mine", found, lambda reference: pytest.fail("nobody is looked up"))

    assert (fault.field, "run each other: mine → mine" in fault.message) == ("properties[0].layers[0].tools[0]", True)


def test_pieces_of_a_layer_s_work_are_known_by_their_paths():
    inner = definition.read(source(prompt_layer(name="write"))).plan
    tools = [
        EMIT,
        {"type": "pipeline", "name": "p", "handle": "reviews"},
        {"type": "mcp", "name": "m", "url": "http://x"},
    ]
    plan = asks(*tools).plan

    def kind(path):
        found = inside.layer_at(plan, f"answer/0/{path}", lambda reference: inner)
        return found.kind if found else None

    assert [kind(each) for each in ("rounds[0]", "rounds[1]/note[0]", "rounds[0]/m_any[1]", "tools[2]")] == [
        "round", "emit", "mcp", "tools"
    ]  # fmt: skip
    assert [kind(f"rounds[0]/p[0]{each}") for each in ("", "/answer/write", "/answer/no")] == [
        "pipeline",
        "prompt",
        None,
    ]


def test_rounds_are_bounded_with_all_that_was_said_before():
    known = providers("", "default/m: {prompt: 1, completion: 1}", default_model="m")
    once = Question([{"role": "user", "content": "x"}], max_tokens=10, attempts=1)
    thrice = Question([{"role": "user", "content": "x"}], max_tokens=10, attempts=1, rounds=3, more_tokens=100)

    one, three = (questions.bounds_of(each, 0, known).bound for each in (once, thrice))

    assert (three.calls, three.completion_tokens) == (3, 30)
    assert three.prompt_tokens == 3 * one.prompt_tokens + 3 * (100 + 4 * 10)


def test_a_search_in_the_web_wants_a_provider_that_has_it():
    question = Question([{"role": "user", "content": "x"}], domains=())

    with pytest.raises(LayerFailed, match="default does not search the web"):
        questions.targets(question, providers("", "", default_model="m"))
    (found,) = questions.targets(question, providers("default: {web_search: true}", "", default_model="m"))
    assert found.provider.web_search
