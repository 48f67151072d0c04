"""Runs one execution in a process of its own: `python -m worker.alone WORKER HOSTNAME`, started by a worker."""

import os
import signal
import sys
import threading
import time
from uuid import UUID

from shared import broker, db, executions, log
from shared.settings import Settings
from worker.runtime import Runtime


def main() -> None:
    """Run what was handed over to the worker id in the arguments; end when that has ended."""
    worker, hostname = UUID(sys.argv[1]), sys.argv[2]
    settings = Settings.from_environment(os.environ, needs=("database", "broker", "models"))
    log.configure(settings.log_level)
    runtime = Runtime(settings, worker, broker.celery_app(settings), hostname, slots=0)
    signal.signal(signal.SIGTERM, lambda *_: runtime.drain())
    runtime.start()
    threading.Thread(target=_leave_hung, args=(runtime, settings.stall_seconds), name="leaves", daemon=True).start()
    try:
        with db.transaction() as connection:
            claim = executions.handed_over(connection, worker)
        if claim is not None:
            runtime.run(claim)
    finally:
        runtime.close()


def _leave_hung(runtime: Runtime, seconds: float) -> None:
    """End the process once a layer has been hanging for so long: its execution has ended, and it has no other."""
    while runtime.overtime.seconds() <= seconds:
        time.sleep(1.0)
    try:
        runtime.close()
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
