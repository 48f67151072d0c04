"""Run the fault suite at length: `python -m tests.chaos [--seed N] [--size 1.0] [--only NAME…] [--markdown FILE]`."""

import argparse
import random
import sys
from pathlib import Path

from tests.chaos import scorecard


def main() -> int:
    """Run every scenario, or those that are named, and print the scorecard; 1 where a promise is broken."""
    known = scorecard.names()
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="of what is random (a new one)")
    parser.add_argument("--size", type=float, default=1.0, help="part of the full length (1)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"of {', '.join(known)}")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table to a file too")
    options = parser.parse_args()
    if unknown := set(options.only or ()) - set(known):
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}")
    found = scorecard.run_all(options.only or known, seed=options.seed, size=options.size)
    print(scorecard.table(found), end="")
    for each in found:
        if each.broken or each.skipped:
            print(f"{each.scenario}:{scorecard.details(each)}")
    if options.markdown:
        options.markdown.write_text(scorecard.table(found, markdown=True))
    return int(any(each.broken for each in found))


if __name__ == "__main__":
    sys.exit(main())
