"""Takes inputs, wakes a worker, waits for the ring, answers with what was written down."""

import json
import os
import threading
from uuid import uuid4

import redis
from flask import Flask, Response, request

from shared import broker
from shared.settings import Settings
from tests.bench.skeleton import database

_REPORT = """
    SELECT e.status, e.output, (SELECT json_agg(r) FROM skeleton_results r WHERE r.execution = e.id)
      FROM skeleton_executions e WHERE e.uuid = $1
"""
broker.connect(Settings.from_environment(os.environ, needs=("broker",)))
_redis = redis.Redis.from_url(os.environ["REDIS_URL"])
_bells: dict[str, threading.Event] = {}
app = Flask("skeleton")


def _listen(ready: threading.Event) -> None:
    with _redis.pubsub() as subscription:
        subscription.subscribe("ended")
        for message in subscription.listen():
            ready.set()
            bell = _bells.get(message["data"].decode()) if message["type"] == "message" else None
            if bell is not None:
                bell.set()


_ready = threading.Event()
threading.Thread(target=_listen, args=(_ready,), daemon=True).start()
_ready.wait(10)


@app.post("/run")
def run() -> Response:
    """Run the pipeline, and answer with its results."""
    uuid, inputs = str(uuid4()), json.loads(request.get_data())
    bell = _bells[uuid] = threading.Event()
    accept = "INSERT INTO skeleton_executions (uuid, status, inputs) VALUES ($1, 'queued', $2)"
    database.run("accept", accept, uuid, json.dumps(inputs))
    broker.permit("normal")
    bell.wait(30)
    del _bells[uuid]
    status, output, results = database.run("report", _REPORT, uuid) or (None, None, None)
    text = json.dumps({"status": status, "output": output, "results": results})
    return Response(text, 200 if status == "succeeded" else 500, content_type="application/json")
