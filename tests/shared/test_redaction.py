"""Secrets taken out of what is told, whatever they were turned into on the way, and however it comes in pieces."""

import base64
import json
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import redaction
from shared.redaction import Redactor

#: What every form of it has to escape in its own way.
SECRET = 's3cr3t/+"näher"\\ ~&\n€'
KEY = Redactor({"KEY": SECRET})


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        json.dumps(SECRET)[1:-1].replace("/", "\\/"),
        json.dumps(json.dumps(SECRET)[1:-1])[1:-1],
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        re.sub("%..", lambda match: match[0].lower(), quote(SECRET, safe="")),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
    ],
)
def test_a_secret_is_found_in_every_form(written):
    assert KEY.text(f"before {written} after") == "before [KEY] after"


@pytest.mark.parametrize("before", [b"", b"a", b"ab", b"user:", b"a:b:"])
@pytest.mark.parametrize("after", [b"", b"z", b"zz", b"zzz"])
def test_a_secret_is_found_wherever_it_stands_in_base64(before, after):
    found = KEY.text(base64.b64encode(before + SECRET.encode() + after).decode())

    assert "[KEY]" in found
    # Of its first and last character there may be half of one left.
    assert base64.b64encode(SECRET.encode()[1:-1]).decode()[:8] not in found
    assert len(found) <= len("[KEY]") + 4 * len(before + after) + 4


def test_a_short_value_is_a_word():
    assert Redactor({"SHORT": "seven77"}).text("seven77") == "seven77"
    assert Redactor({"LONG": "eight888"}).text("eight888") == "[LONG]"


def test_a_value_is_found_without_the_line_break_at_its_end():
    assert Redactor({"PEM": "the-secret-in-a-file\n"}).text("the-secret-in-a-file!") == "[PEM]!"


def test_secrets_that_overlap_leave_nothing_of_either():
    both = Redactor({"ONE": "abcdefgh1234", "TWO": "1234ijklmnop"})

    assert both.text("x abcdefgh1234ijklmnop y") == "x [ONE] y"


def test_the_longest_secret_gives_the_name():
    assert Redactor({"PART": "abcdefgh", "WHOLE": "abcdefghijkl"}).text("abcdefghijkl") == "[WHOLE]"


def test_names_texts_and_numbers_of_json_are_redacted_and_nothing_else():
    found = Redactor({"A": "some-secret", "N": "1234567890"})
    value = {"x some-secret": [1234567890, 12, 1.5, True, None, {"deep": "some-secret"}]}

    assert found.value(value) == {"x [A]": ["[N]", 12, 1.5, True, None, {"deep": "[A]"}]}


def test_without_secrets_the_very_value_comes_back():
    value = {"a": ["b"]}

    assert redaction.NOTHING.value(value) is value


SECRETS = st.dictionaries(st.sampled_from("ABC"), st.text("ab/", min_size=8, max_size=10), min_size=1)


@given(values=SECRETS, pieces=st.lists(st.text("ab/", max_size=12), max_size=20), index=st.integers(0, 19))
def test_pieces_leave_as_the_whole_would(values, pieces, index):
    redactor = Redactor(values)
    pieces.insert(min(index, len(pieces)), next(iter(values.values())))
    stream = redactor.stream()

    left = [stream.add(each) for each in pieces]

    assert "".join(left) + stream.rest() == redactor.text("".join(pieces))


def test_a_stream_holds_back_no_more_than_what_may_become_a_secret():
    stream = Redactor({"KEY": "swordfish!"}).stream()

    assert [stream.add(each) for each in ("the ", "sword", "fis", "herman", " swordfish", "! ok")] == [
        *("the ", "", "", "swordfisherman", " ", "[KEY] ok")
    ]
