import pytest

from worker.providers.response import TooLarge
from worker.providers.server_sent import events


def read(body, size=None):
    pieces = [body[start : start + size] for start in range(0, len(body), size)] if size else [body]
    return list(events(pieces, max_bytes=100))


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"", []),
        (b"data: one\n\ndata: two\n\n", [b"one", b"two"]),
        (b"data:one\r\n\r\ndata:two\r\rdata:three\n\n", [b"one", b"two", b"three"]),
        (b"data: one\ndata: more\n\n", [b"one\nmore"]),
        (b"data:  a space\n\n", [b" a space"]),
        (b": a comment\n\nevent: x\nid: 7\nretry: 10\ndata: one\n\n", [b"one"]),
        (b"\n\n\ndata: one\n\n\n\n", [b"one"]),
        (b"data\n\n", [b""]),
        (b"dataset: one\n\n", []),
        (b"\xef\xbb\xbfdata: one\n\n", [b"one"]),
        (b"data: \xe2\x9c\x8e\n\n", "✎".encode()),
        (b'data: {"a": ":"}\n\n', [b'{"a": ":"}']),
        (b"data: one\n\ndata: cut off\n", [b"one"]),
        (b"data: one\n\ndata: cut o", [b"one"]),
        (b"data: one\r\r", [b"one"]),
    ],
)
@pytest.mark.parametrize("size", [None, 1, 2, 3, 7])
def test_events_are_read_however_they_are_cut_into_pieces(body, found, size):
    assert read(body, size) == (found if isinstance(found, list) else [found])


@pytest.mark.parametrize(
    "body", [b"x" * 101, b"data: " + b"x" * 101, b"data: xxxxxxxxx\n" * 10, b": " + b"x" * 101], ids=range(4)
)
def test_nothing_larger_than_the_cap_is_held(body):
    with pytest.raises(TooLarge):
        read(body, 16)


def test_a_stream_may_be_larger_than_the_cap_in_all():
    assert len(read(b"data: 12345678\n\n" * 1000)) == 1000
