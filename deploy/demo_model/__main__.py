"""Run the model as a process: `python -m deploy.demo_model --port 0 --log calls.jsonl`."""

import argparse
import asyncio
import resource
import signal
from pathlib import Path

from deploy.demo_model.server import Server


def main() -> None:
    """Serve until TERM or INT; then exit with 0."""
    wanted = _parser().parse_args()
    _allow_connections()
    asyncio.run(_serve(wanted))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.demo_model",
        description="An OpenAI-compatible model for demos, tests and load. Directives go into the model's name: "
        "demo:latency=2000, demo:pace=50, demo:status=429,times=2,retry_after=1, demo:mode=silent, demo:tools=search.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=8001, help="port to listen on, 0 for a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--log", type=Path, metavar="FILE", help="append a JSON line for each call's arrival and end (default: no log)"
    )
    parser.add_argument(
        "--latency-ms",
        type=float,
        default=0,
        metavar="MS",
        help="wait this long before each answer (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="another seed gives other answers to the same messages (default: %(default)s)",
    )
    parser.add_argument(
        "--announce",
        type=Path,
        metavar="FILE",
        help="write the base URL to this file once listening (default: stdout only)",
    )
    return parser


def _allow_connections() -> None:
    """Thousands of clients need as many descriptors; the usual soft limit is 1,024."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _serve(wanted: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server = Server(log_file=wanted.log, latency_ms=wanted.latency_ms, seed=wanted.seed)
    await server.start(wanted.host, wanted.port)
    if wanted.announce is not None:
        _announce(wanted.announce, server.base_url)
    print(server.base_url, flush=True)
    await stopped.wait()
    await server.stop()


def _announce(file: Path, base_url: str) -> None:
    """Put the whole URL there at once, so that nobody who waits for the file reads half of it."""
    new = file.with_name(f".{file.name}.new")
    new.write_text(base_url + "\n")
    new.replace(file)


if __name__ == "__main__":
    main()
