"""`python -m deploy.local`: the local stack from the command line."""

import argparse
import os
import sys
from pathlib import Path

from deploy.local import commands, demo, stack
from deploy.local.errors import LocalError

DRAIN_SECONDS = "65"
PROCFILE_HELP = "which processes to run (default: Procfile)"


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says and return the exit code."""
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (LocalError, OSError) as error:
        print(f"strata: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """Return the command line's grammar; a command's `run` takes the parsed options, returns an exit code."""
    whole = argparse.ArgumentParser(
        prog="python -m deploy.local",
        description="Strata on this machine, with an embedded Postgres and Redis.",
    )
    names = whole.add_subparsers(required=True, metavar="COMMAND")
    _add_demo(names)
    _add_run(names)
    _add_worker(names)
    _add_servers(names)
    return whole


def _add_demo(names: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = names.add_parser(
        "demo",
        help="run everything from nothing, execute the examples, and show what came of them",
        description="Run everything from nothing, with data and ports of its own, execute deploy/examples, and show "
        "answers and timelines. OPENAI_API_KEY or OPENAI_BASE_URL replace the demo model.",
    )
    command.add_argument(
        "--data-dir",
        type=Path,
        default=os.environ.get("STRATA_DATA_DIR") or None,
        help="where its folder is made, which is removed when all has passed (default: STRATA_DATA_DIR, else where "
        "temporary files go)",
    )
    command.add_argument("--procfile", type=Path, default=stack.CHECKOUT / "Procfile", help=PROCFILE_HELP)
    command.add_argument(
        "--latency-ms",
        type=float,
        default=150.0,
        metavar="MS",
        help="how long the demo model thinks about each answer (default: %(default)g)",
    )
    command.set_defaults(
        run=lambda options: demo.run(
            options.data_dir, os.environ, procfile_path=options.procfile, latency_ms=options.latency_ms
        )
    )


def _add_run(names: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = names.add_parser(
        "run",
        help="run everything in the foreground until Ctrl-C",
        description="Run everything in the foreground until Ctrl-C. DATABASE_URL and REDIS_URL replace the "
        "embedded servers, OPENAI_API_KEY or OPENAI_BASE_URL the demo model.",
    )
    _add_stack_options(command)
    command.set_defaults(run=lambda options: commands.run(options.data_dir, options.procfile, options.grace))


def _add_worker(names: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = names.add_parser(
        "worker",
        help="run one more worker against the running stack",
        description="Run one more worker against the running stack; it ends when the stack does.",
    )
    _add_stack_options(command)
    command.set_defaults(run=lambda options: commands.worker(options.data_dir, options.procfile, options.grace))


def _add_servers(names: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = names.add_parser(
        "servers",
        help="run a command with an embedded Postgres and Redis",
        description="Run a command with an embedded Postgres and Redis, which it finds in DATABASE_URL and "
        "REDIS_URL, and exit with its exit code.",
    )
    command.add_argument(
        "--data-dir",
        type=Path,
        help="where they keep their data (default: a fresh folder, removed at the end)",
    )
    command.add_argument("command", nargs="+", metavar="COMMAND", help="the command and its arguments, after --")
    command.set_defaults(run=lambda options: commands.servers(options.data_dir, options.command))


def _add_stack_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--data-dir",
        type=lambda text: Path(text).absolute(),
        default=stack.data_directory(os.environ),
        help="where the stack keeps its data (default: STRATA_DATA_DIR, else .data in the checkout)",
    )
    command.add_argument(
        "--procfile",
        type=Path,
        default=stack.CHECKOUT / "Procfile",
        help=PROCFILE_HELP,
    )
    command.add_argument(
        "--grace",
        type=float,
        metavar="SECONDS",
        default=5 + float(os.environ.get("STRATA_DRAIN_SECONDS") or DRAIN_SECONDS),
        help="how long processes may take to stop before they are killed (default: a little more than "
        "STRATA_DRAIN_SECONDS); a second Ctrl-C kills at once",
    )


if __name__ == "__main__":
    sys.exit(main())
