"""Flower's settings: `celery --app worker.app flower --conf=deploy/flowerconfig.py`.

Every name here that is one of Flower's options sets it, over the environment. Flower only looks: who may change
anything has a key and the API.
"""

import os
import sys
from logging import ERROR, getLogger
from typing import Any

from flower.views.monitor import Metrics
from tornado.web import authenticated


def logins() -> list[str]:
    """The `user:password` pairs of FLOWER_BASIC_AUTH, commas between them; ends the process where there are none."""
    pairs = [pair.strip() for pair in os.environ.get("FLOWER_BASIC_AUTH", "").split(",")]
    if not all(user and password for user, _, password in (pair.partition(":") for pair in pairs)):
        sys.exit("FLOWER_BASIC_AUTH is required: user:password, or several of them with commas between")
    return pairs


def format_task(task: Any) -> Any:
    """Blank what could hold a task's content. Executions are told without any; this is for whatever else comes by."""
    task.args = task.kwargs = task.result = task.traceback = ""
    return task


# Flower itself shows these to everybody, and their labels are the names of all tenants' pipelines.
Metrics.get = authenticated(Metrics.get)

# While no worker is up yet, each question to the workers is a warning; the pages show as much.
getLogger("flower.inspector").setLevel(ERROR)

address = os.environ.get("FLOWER_HOST") or "127.0.0.1"
port = int(os.environ.get("FLOWER_PORT") or "5555")
basic_auth = logins()
read_only = True
max_tasks = 5000
# A worker that was started again has a new name; the old one is shown as offline for these seconds.
purge_offline_workers = 60
natural_time = True
logging = "warning"
tasks_columns = "name,uuid,state,received,started,runtime,worker"
