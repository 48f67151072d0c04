"""What layers are given: their texts and templates with the values that they refer to."""

import pytest

from shared import rendering
from shared.errors import LayerFailed
from shared.outside import Scope


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{{films}}", ["M", "Alien"]),
        ("{{films[0]}}!", "M!"),
        ({"a": "{{count}}", "b": ["{{films}}", 1, None, True]}, {"a": 3, "b": [["M", "Alien"], 1, None, True]}),
        ({"{{films}}": "x"}, {"{{films}}": "x"}),
    ],
)
def test_each_text_of_a_template_gets_its_value(template, filled):
    assert Scope({"films": ["M", "Alien"], "count": 3}).fill(template) == filled


def test_all_texts_of_a_template_together_have_a_bound():
    scope = Scope({"text": "x" * (rendering.MOST_CHARACTERS // 3 + 1)})

    assert scope.fill(["{{text}}", "{{text}}"])
    with pytest.raises(LayerFailed, match="renders to more") as caught:
        scope.fill(["{{text}}", {"a": "{{text}}"}, "{{text}}!"])

    assert caught.value.reason == "value_invalid"


def test_a_scope_knows_what_was_skipped():
    scope = Scope({"there": None})

    assert (scope.has("{{there}}"), scope.has("{{there}} {{skipped}}")) == (True, False)
