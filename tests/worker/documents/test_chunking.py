"""How blocks are cut into chunks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.documents.blocks import Block
from worker.documents.chunking import OVERLAP_TOKENS, TARGET_TOKENS, cut, tokens

#: Whatever is put together, blanks and glue included.
MOST_TOKENS = TARGET_TOKENS + OVERLAP_TOKENS + 50
SENTENCE = "This is the sentence with the number {}. "


def text(sentences):
    return "".join(SENTENCE.format(number) for number in range(sentences)).strip()


def test_what_fits_is_one_chunk():
    (chunk,) = cut([Block("a", page=2, heading="H"), Block("b", page=3), Block("c", glue="\n")])

    assert (chunk.text, chunk.page, chunk.heading) == ("a\n\nb\nc", 2, "H")


def test_a_chunk_begins_with_the_end_of_the_one_before():
    first, second, *_ = cut([Block(text(100))])

    last = first.text.rpartition(". ")[2]
    assert last in second.text
    assert second.text.index(last) < OVERLAP_TOKENS * 4


def test_whole_paragraphs_are_kept_where_they_fit():
    paragraphs = [text(20), text(20).replace("This", "That")]

    chunks = list(cut([Block(each) for each in paragraphs]))

    assert [paragraph in chunk.text for paragraph, chunk in zip(paragraphs, chunks, strict=True)] == [True, True]


def test_a_heading_begins_a_chunk_where_the_one_before_is_half_full():
    blocks = [Block(text(25), heading="A"), Block("# B", heading="B", opens=True), Block("b", heading="B")]

    first, second = cut(blocks)

    assert (first.heading, second.heading, second.text) == ("A", "B", "# B\n\nb")


def test_lines_stay_lines():
    table = "\n".join(f"| row {number} | with some text in it |" for number in range(100))

    joined = "\n".join(chunk.text for chunk in cut([Block(table)]))

    assert set(joined.splitlines()) == set(table.splitlines())


@pytest.mark.parametrize("body", ["x" * 50_000, "語" * 20_000, "x " * 20_000, "\n" * 50_000 + "x", "." * 50_000])
def test_no_text_makes_a_chunk_too_large(body):
    chunks = list(cut([Block(body)]))

    assert chunks
    assert max(each.tokens for each in chunks) <= MOST_TOKENS


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=3000), max_size=5))
def test_nothing_is_lost(texts):
    blocks = [Block(each.strip()) for each in texts if each.strip()]

    chunks = list(cut(blocks))

    words = {word for each in blocks for word in each.text.split() if tokens(word) < TARGET_TOKENS // 4}
    assert words <= {word for each in chunks for word in each.text.split()}
    assert all(each.tokens <= MOST_TOKENS for each in chunks)
