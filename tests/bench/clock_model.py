"""A model that streams what time it is: `python -m tests.bench.clock_model PORT WORDS PAUSE_SECONDS`.

Each word of its answers is the nanosecond, on the clock that all processes of a machine share, at which it was sent.
"""

import asyncio
import json
import sys
import time

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


async def serve(port: int, words: int, pause: float) -> None:
    """Answer every request with a stream of so many words."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        await reader.readexactly(length)
        writer.write(_HEAD)
        for _ in range(words):
            await asyncio.sleep(pause)
            writer.write(_chunk({"content": f"{time.monotonic_ns()} "}, None))
        writer.write(_chunk({}, "stop") + b"data: [DONE]\n\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


def _chunk(delta: dict[str, str], finish: str | None) -> bytes:
    body = {"id": "clock", "model": "clock", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
