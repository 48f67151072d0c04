import pytest
from marshmallow import ValidationError

from shared.plan import SKIPPED
from tests.shared.layers.scripted import runner

merge = runner("merge")
BRANCHES = ["{{german}}", "{{english.text}}", "in {{language}}"]


@pytest.mark.parametrize(
    ("values", "output"),
    [
        ({"german": "Hallo"}, "Hallo"),
        ({"english": {"text": ["Hello"]}}, ["Hello"]),
        ({"german": "Hallo", "english": {"text": "Hello"}}, ["Hallo", "Hello"]),
        ({"german": None, "language": "German"}, [None, "in German"]),
        ({"german": None}, None),
        ({}, SKIPPED),
    ],
)
def test_what_was_not_skipped_is_kept(values, output):
    assert merge({"values": BRANCHES}, values).output == output


@pytest.mark.parametrize("values", [[], "{{a}}", [1], None])
def test_what_is_no_list_of_texts_is_refused(values):
    with pytest.raises(ValidationError):
        merge({"values": values})
