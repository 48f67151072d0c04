"""gunicorn's settings: threads, because a request that waits holds one and nothing else."""

import os
import shutil
import tempfile
from typing import Any

bind = f"{os.environ.get('HOST', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"
worker_class = "api.lingering.LingeringWorker"
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
threads = int(os.environ.get("STRATA_API_THREADS", "1000"))
worker_connections = 2 * threads
backlog = 2048
keepalive = 30
timeout = 60
graceful_timeout = 30
# Each process connects for itself, after the fork.
preload_app = False
max_requests = 0
limit_request_line = 4094
limit_request_fields = 50
limit_request_field_size = 8190
control_socket_disable = True
accesslog = None
errorlog = "-"
loglevel = "warning"

shared_numbers = None
if workers > 1 and "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
    # Before prometheus_client is imported: it then keeps its numbers in files that all processes share.
    shared_numbers = os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="strata-metrics-")


def on_exit(_: Any) -> None:
    """Take the shared numbers away with the server that made their folder."""
    if shared_numbers is not None:
        shutil.rmtree(shared_numbers, ignore_errors=True)


def child_exit(_: Any, worker: Any) -> None:
    """Forget the gauges of a process that has ended."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)
