"""gunicorn's settings: threads, because a request that waits holds one and nothing else."""

import os

bind = f"{os.environ.get('HOST', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"
worker_class = "gthread"
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
