"""A process that reads one document: `python -m worker.documents TYPE`, the file on its input, JSON on its output.

What it reads may be made to hurt. It has bounds of its own for time, memory and files, no secrets in its environment,
and ends by itself when whoever has started it is gone.
"""

import json
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module

from worker.documents import chunking
from worker.documents.blocks import Block, Unreadable

#: Seconds of wall clock and of processor, and bytes of memory.
SECONDS = 60
MEMORY_BYTES = 1 << 30
MOST_CHARACTERS = 20_000_000
_MOST_CHUNKS = 50_000


def _reader(mime_type: str) -> Callable[[bytes], Iterator[Block]]:
    # The packages are imported where they are needed alone: they take longer than a small document.
    name, function = {
        "text/plain": ("plain", "read"),
        "text/markdown": ("plain", "read_markdown"),
        "text/csv": ("plain", "read_rows"),
        "text/tab-separated-values": ("plain", "read_rows"),
        "text/html": ("html", "read"),
        "application/pdf": ("pdf", "read"),
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ("docx", "read"),
    }[mime_type]
    found: Callable[..., Iterator[Block]] = getattr(import_module(f"worker.documents.{name}"), function)
    return partial(found, delimiter="\t") if mime_type == "text/tab-separated-values" else found


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The default of the signal is the end, whatever is in the middle of what.
    signal.alarm(SECONDS)


def _bounded(blocks: Iterator[Block]) -> Iterator[Block]:
    left = MOST_CHARACTERS
    for each in blocks:
        left -= len(each.text)
        if left < 0:
            raise Unreadable(f"it has more than {MOST_CHARACTERS:,} characters of text")
        yield each


def _found(mime_type: str, body: bytes) -> dict[str, object]:
    try:
        blocks = list(_bounded(_reader(mime_type)(body)))
        chunks = list(chunking.cut(blocks))
    except Unreadable as error:
        return {"error": str(error)}
    except (MemoryError, RecursionError):
        return {"error": "it needs more memory than a document may"}
    except Exception as error:
        return {"error": f"it cannot be read: {error!r}"[:300]}
    if not chunks:
        return {"error": "there is no text in it"}
    if len(chunks) > _MOST_CHUNKS:
        return {"error": f"it comes to more than {_MOST_CHUNKS} chunks"}
    return {"text": "\n\n".join(each.text for each in blocks), "chunks": chunks}


def main() -> None:
    """Read what is on the input."""
    body = sys.stdin.buffer.read()
    _limit()
    sys.setrecursionlimit(2000)
    json.dump(_found(sys.argv[1], body), sys.stdout, ensure_ascii=True)


if __name__ == "__main__":
    main()
