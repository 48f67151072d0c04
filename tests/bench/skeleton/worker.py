"""Claims what is queued, asks the model layer by layer, writes each answer down."""

import json
import os

import redis

from shared import broker
from shared.providers import Provider
from shared.settings import Settings
from tests.bench.measurements import LAYERS
from tests.bench.skeleton import database
from worker.calls import Call
from worker.providers import transport
from worker.providers.client import Client

_CLAIM = """
    UPDATE skeleton_executions SET status = 'running', attempt = attempt + 1
     WHERE id = (SELECT id FROM skeleton_executions WHERE status = 'queued' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING id, uuid, inputs, attempt
"""
_RECORD = """
    INSERT INTO skeleton_results SELECT id, $3, $4 FROM skeleton_executions
     WHERE id = $1 AND attempt = $2 AND status = 'running'
"""
_FINISH = """
    WITH ended AS (
        UPDATE skeleton_executions SET status = 'succeeded', output = $4
         WHERE id = $1 AND attempt = $2 AND status = 'running' RETURNING id
    )
    INSERT INTO skeleton_results SELECT id, $3, $4 FROM ended
"""
app = broker.celery_app(Settings.from_environment(os.environ, needs=("broker",)))
app.conf.update(task_queues=broker.queues(("normal",)), worker_pool="threads", worker_concurrency=100)
_redis = redis.Redis.from_url(os.environ["REDIS_URL"])
_client = Client(
    Provider(name="default", base_url=os.environ["OPENAI_BASE_URL"]),
    transport.Client(transport.Transport(max_bytes=1 << 23)),
)


@app.task(name=broker.TASK, send_events=False, ignore_result=True)
def work() -> None:
    """Run one execution, if one is queued."""
    claimed = database.run("claim", _CLAIM)
    if claimed is None:
        return
    execution, uuid, inputs, attempt = claimed
    prompt = f"Say {inputs['word']}."
    for number in range(LAYERS):
        said = _asked(prompt)
        statement = ("record", _RECORD) if number < LAYERS - 1 else ("finish", _FINISH)
        database.run(*statement, execution, attempt, number, json.dumps(said))
        prompt = f"Say it again: {said}"
    _redis.publish("ended", uuid)


def _asked(prompt: str) -> str:
    transport.exchange.set(transport.Exchange(Call(), 30.0))
    body = {"model": "demo", "messages": [{"role": "user", "content": prompt}]}
    answer = _client.ask("/chat/completions", body, {"Authorization": "Bearer demo"})
    assert isinstance(answer, dict), answer
    return str(answer["choices"][0]["message"]["content"])
