"""Runs scenarios and prints the scorecard: a row for each, with what it counted and whether every promise held."""

import time
import traceback
from collections.abc import Iterable, Sequence
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from tests.chaos import scenarios
from tests.chaos.processes import ROOT
from tests.chaos.scores import Scores, percentile, say
from tests.chaos.stack import chaos_stack

#: Where the logs of a scenario are kept that did not hold.
LOGS = ROOT / ".data" / "chaos"
COLUMNS = (
    "scenario", "submitted", "accepted", "ended", "lost", "doubles", "crashes", "excess calls", "excused",
    "stale writes", "effects twice", "misbooked", "recovery p50", "p99", "seed", "verdict",
)  # fmt: skip


def names() -> list[str]:
    """Every scenario: a file each."""
    return sorted(module.name for module in iter_modules(scenarios.__path__))


def load(name: str) -> ModuleType:
    """The scenario of this name."""
    return import_module(f"{scenarios.__name__}.{name}")


def run(name: str, *, seed: int, size: float) -> Scores:
    """Run a scenario on a stack of its own, with the settings that it asks for; where it is broken, keep the logs.

    `size` 1 is the length of `make chaos`; a part of it is that part of the kills, pauses or points.
    """
    scenario = load(name)
    with chaos_stack(**getattr(scenario, "SETTINGS", {})) as stack:
        try:
            scores: Scores = scenario.run(stack, seed=seed, size=size)
        except Exception:
            stack.keep_logs(LOGS / name)
            raise
        if scores.broken:
            stack.keep_logs(LOGS / name)
            scores.notes["logs"] = LOGS / name
    return scores


def run_all(chosen: Sequence[str], *, seed: int, size: float) -> list[Scores]:
    """Run scenarios one after the other, and say meanwhile what is going on. One that breaks down is broken."""
    found = []
    for name in chosen:
        started = time.monotonic()
        try:
            say(f"{name}: {load(name).PROMISE}")
            scores = run(name, seed=seed, size=size)
        except Exception as error:
            traceback.print_exc()
            scores = Scores(name, seed, broken=[f"broke down: {type(error).__name__}: {error}"])
        say(f"{name}: {scores.verdict} after {time.monotonic() - started:.0f} s{details(scores)}")
        found.append(scores)
    return found


def details(scores: Scores) -> str:
    """What the row has no column for."""
    told = [scores.skipped] if scores.skipped else [*scores.broken]
    told += [f"{name} {value}" for name, value in scores.notes.items()]
    return "".join(f"\n  {each}" for each in told)


def table(found: Iterable[Scores], *, markdown: bool = False) -> str:
    """The scorecard as aligned text, or as Markdown."""
    rows = [COLUMNS, *(_row(each) for each in found)]
    if markdown:
        rows.insert(1, ("---",) * len(COLUMNS))
        return "".join(f"| {' | '.join(row)} |\n" for row in rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return "".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows
    )


def _row(each: Scores) -> tuple[str, ...]:
    if each.skipped:
        return (each.scenario, *("",) * (len(COLUMNS) - 3), str(each.seed), each.verdict)
    counts = (
        each.submitted, each.accepted, each.ended, each.lost, each.doubles, each.crashes, each.excess_calls,
        each.excused, each.stale_writes, each.duplicate_effects, each.misbooked,
    )  # fmt: skip
    times = (f"{percentile(each.recoveries, of):.1f} s" if each.recoveries else "" for of in (50, 99))
    return (each.scenario, *(str(count) for count in counts), *times, str(each.seed), each.verdict)
