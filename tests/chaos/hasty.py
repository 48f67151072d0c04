"""Runs a program of the product with housekeeping every second: `python -m tests.chaos.hasty PROGRAM ARGUMENTS…`."""

import runpy
import sys

from worker import upkeep

LAUNCHER = (sys.executable, "-m", "tests.chaos.hasty")
PERIOD_SECONDS = 1

if __name__ == "__main__":
    upkeep.EXPIRY_SECONDS = PERIOD_SECONDS
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
