"""Reads server-sent events as the WHATWG's HTML standard has them; only their data, which is all that models send."""

from collections.abc import Iterable, Iterator

from worker.providers.response import TooLarge

_MARK = b"\xef\xbb\xbf"


def events(pieces: Iterable[bytes], *, max_bytes: int) -> Iterator[bytes]:
    """The data of each event in a body that comes in pieces; TooLarge where one of them has more bytes.

    An event that the end of the body cuts off is none.
    """
    found: list[bytes] = []
    size = 0
    for line in _lines(pieces, max_bytes):
        name, _, value = line.partition(b":")
        if not line:
            if found:
                yield b"\n".join(found)
            found, size = [], 0
        elif name == b"data":
            found.append(value.removeprefix(b" "))
            size += len(line)
        if size > max_bytes:
            raise TooLarge(f"an event of the answer is larger than {max_bytes} bytes")


def _lines(pieces: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    """Lines without their ends, which are a line feed, a carriage return, or both; the last one must have its end."""
    rest = b""
    first = True
    for piece in pieces:
        lines = (rest + piece).splitlines(keepends=True)
        # What has no end yet goes on in the next piece; a carriage return may be half of an end.
        rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        if len(rest) > max_bytes:
            raise TooLarge(f"a line of the answer is larger than {max_bytes} bytes")
        for line in lines:
            yield line.rstrip(b"\r\n").removeprefix(_MARK if first else b"")
            first = False
    if rest.endswith(b"\r"):
        yield rest.rstrip(b"\r")
