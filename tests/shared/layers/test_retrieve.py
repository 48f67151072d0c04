import pytest
from marshmallow import ValidationError

from shared.plan import Answer
from tests.shared.layers.scripted import Tools, runner

retrieve = runner("retrieve")
FOUND = [
    {"text": "Lamps are replaced.", "name": "a.pdf", "page": 3, "heading": None, "tokens": 5},
    {"text": "Shades are not.", "name": "b.md", "page": None, "heading": "Lamps", "tokens": 4},
]


def test_folder_query_and_tags_are_filled():
    tools = Tools(Answer(FOUND))
    settings = {"query": "About {{thing}}", "folder": "{{where}}", "tags": ["en", "{{more}}"], "limit": 2}

    answer = retrieve(settings, {"thing": "lamps", "where": "guides", "more": ["a", "b"]}, tools)

    assert tools.searches == [(["guides"], "About lamps", 2, ["en", "a", "b"])]
    assert answer.output == FOUND


def test_without_a_folder_all_are_searched():
    tools = Tools(Answer([]))

    assert retrieve({"query": "x"}, {}, tools).output == []
    assert tools.searches[0][0] == []


@pytest.mark.parametrize(("most", "kept"), [(9, 2), (8, 1), (4, 0)])
def test_the_best_are_kept_that_go_into_the_tokens(most, kept):
    answer = retrieve({"query": "x", "max_tokens": most}, {}, Tools(Answer(FOUND)))

    assert answer.output == FOUND[:kept]
    assert answer.details == {"chunks": kept, "left_out": 2 - kept}


@pytest.mark.parametrize(
    ("found", "text"),
    [(FOUND, "[1] a.pdf, page 3\nLamps are replaced.\n\n[2] b.md: Lamps\nShades are not."), ([], "")],
)
def test_as_a_text_each_chunk_names_its_document(found, text):
    assert retrieve({"query": "x", "output": "text"}, {}, Tools(Answer(found))).output == text


@pytest.mark.parametrize(
    "settings",
    [{"folder": "a", "folders": ["b"]}, {"folders": "a"}, {"tags": [1]}, {"limit": 0}, {"limit": 101}, {"query": ""}],
)
def test_settings_that_say_nothing_good_are_refused(settings):
    with pytest.raises(ValidationError):
        retrieve({"query": "x", **settings})
