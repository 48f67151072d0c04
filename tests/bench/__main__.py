"""Measure and print the table: `python -m tests.bench [--runs 3] [NAME…]`."""

import argparse
import platform
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable

from tests.bench import measurements, skeleton, streaming, telling
from tests.bench.stack import CORES, Bench, bench

#: Figure → what is promised, and which way is better.
PROMISES = {
    "executions_per_second": (">=", 165),
    "cpu_ms_per_execution": ("<=", 6),
    "wait_p50_ms": ("<=", 10),
    "wait_p99_ms": ("<=", 25),
    "calls_in_flight": (">=", 500),
    "worker_memory_mb": ("<=", 220),
    "accepted_per_second": (">=", 500),
    "accept_p99_ms": ("<=", 15),
    "accept_p99_ms_with_500_waiting": ("<=", 15),
    "streams_memory_mb": ("<=", 300),
    "token_delay_p50_ms": ("<=", 20),
    "deliveries_per_second": (">=", 200),
}
#: Figure → that of a bare asyncio client that makes the same calls of the model, or of the same parts without our work.
BESIDE = (
    ("executions_per_second", "bare_executions_per_second"),
    ("wait_p50_ms", "bare_wait_p50_ms"),
    ("wait_p50_ms", "skeleton_wait_p50_ms"),
)
NAMES = ("bare_client", "throughput", "skeleton", "latency", "in_flight", "accepting", "streams", "webhooks")


def main() -> int:
    """Run the measurements, print medians beside what is promised; 1 where a median misses its promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--runs", type=int, default=3, help="runs of each measurement (3)")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"there is no measurement {', '.join(sorted(unknown))}")
    found: dict[str, list[float]] = defaultdict(list)
    with bench() as stack:
        for run in range(options.runs):
            for name in options.names or NAMES:
                print(f"run {run + 1} of {options.runs}: {name}", file=sys.stderr, flush=True)
                for figure, value in _measurement(name)(stack).items():
                    found[figure].append(value)
    return _table(found)


def _measurement(name: str) -> Callable[[Bench], dict[str, float]]:
    module = {"skeleton": skeleton, "streams": streaming, "webhooks": telling}.get(name, measurements)
    found: Callable[[Bench], dict[str, float]] = getattr(module, name)
    return found


def _table(found: dict[str, list[float]]) -> int:
    # An interpreter that was built without profile-guided optimization takes a quarter longer for the same.
    python = f"{platform.python_implementation()} {platform.python_version()} of {sys.base_prefix}"
    print(f"{len(CORES)} cores, {python}; medians [least, most]")
    missed = 0
    for figure, values in found.items():
        median = statistics.median(values)
        row = f"{figure:34} {median:10.1f}  [{min(values):.1f}, {max(values):.1f}]"
        if figure in PROMISES:
            sign, bound = PROMISES[figure]
            holds = median >= bound if sign == ">=" else median <= bound
            missed += not holds
            row += f"  {sign} {bound} {'holds' if holds else 'MISSED'}"
        print(row)
    for ours, other_one in BESIDE:
        if {ours, other_one} <= set(found):
            # Of the same run: the machine may be another one a minute later.
            ratio = statistics.median(one / other for one, other in zip(found[ours], found[other_one], strict=True))
            print(f"{f'{ours} / {other_one}':54} {ratio:10.3f}")
    return 1 if missed else 0


sys.exit(main())
