"""The situations in which a point is passed: who runs, who dies, who comes after, and what must be true then."""

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from shared.sealing import Sealer
from tests import sink
from tests.chaos import books
from tests.chaos.trials import EXECUTIONS, Trial
from tests.waiting import until


def submit(trial: Trial) -> None:
    """The API dies while a client submits; the client goes on until as many are accepted as it wants."""
    trial.api()
    trial.submit()
    trial.dies(during=lambda: trial.stack.client.submit("short"))
    trial.worker()


def repeat(trial: Trial) -> None:
    """The API dies while clients with keys submit; each repeats its request until it is answered."""
    trial.api()
    uuids = [
        until(lambda word=word: trial.stack.client.submit("short", word=word, key=word), what="acceptance")
        for word in ("one", "two", "three")
    ]
    trial.dies()
    trial.worker()
    found = {row[0] for row in trial.stack.rows("SELECT uuid::text FROM executions")}
    trial.require(found == set(uuids), f"{len(found)} executions for {len(uuids)} keys")


def wait(trial: Trial) -> None:
    """The API dies when it hears that what its client waits for has ended."""
    trial.api()
    trial.worker()
    trial.dies(during=lambda: trial.stack.client.submit("short", wait=5))
    trial.submit(wait=5)


def run(trial: Trial) -> None:
    """A worker dies while it runs what is queued."""
    trial.submit()
    trial.worker()
    trial.dies()
    trial.stack.start("worker")


def drain(trial: Trial) -> None:
    """A worker dies while it gives back what its drain was too short for."""
    trial.submit("long")
    worker = trial.worker(STRATA_DRAIN_SECONDS=1)
    until(lambda: trial.stack.in_flight() == EXECUTIONS, what="a call of each execution")
    worker.terminate()
    trial.dies()
    trial.stack.start("worker")


def rescue(trial: Trial) -> None:
    """A worker dies while it takes up what another has died with."""
    victim = trial.stack.start("worker")
    trial.submit("long")
    until(lambda: trial.stack.in_flight() == EXECUTIONS, what="a call of each execution")
    victim.kill()
    trial.end_apis()
    trial.worker()
    trial.dies()
    trial.stack.start("worker")


def schedule(trial: Trial) -> None:
    """A worker dies while it queues what is due."""
    due = datetime.now(UTC) + timedelta(seconds=1.5)
    trial.submit(not_before=due.isoformat())
    trial.end_apis()
    trial.worker()
    trial.dies()
    trial.stack.start("worker")


def pace(trial: Trial) -> None:
    """A worker dies while it puts aside, or takes up again, what its provider's limit makes wait."""
    address = {"base_url": trial.stack.environment["OPENAI_BASE_URL"], "api_key": "demo"}
    # A call every seven seconds: longer than anybody waits in a worker.
    told = {"STRATA_PROVIDERS": json.dumps({"paced": {**address, "limits": {"requests_per_minute": 9}}})}
    trial.stack.client.publish("paced", "paced/demo:latency=150")
    trial.submit("paced")
    trial.end_apis()
    trial.worker(**told)
    trial.dies()
    trial.stack.start("worker", **told)


def talk(trial: Trial) -> None:
    """A worker dies while executions follow each other on a thread: each is told what the one before it has said."""
    thread = str(uuid4())
    trial.stack.client.publish("talk", "demo:latency=150", "demo:latency=150", memory="read_write")
    uuids = trial.submit("talk", thread=thread)
    trial.worker()
    trial.dies()
    trial.stack.start("worker")
    trial.stack.settle()
    rows = trial.stack.rows("SELECT execution_uuid::text, path, role FROM messages ORDER BY id")
    turn = [
        ("said/layer1", "user"),
        ("said/layer1", "assistant"),
        ("said/layer2", "user"),
        ("said/layer2", "assistant"),
    ]
    trial.require(rows == [(uuid, *said) for uuid in uuids for said in turn], f"the thread has {rows}")
    heard = trial.stack.rows(
        "SELECT (SELECT count(*) FROM messages m WHERE m.thread_id = e.thread_id AND m.id <= e.history_until)"
        " FROM executions e ORDER BY e.id"
    )
    trial.require([count for (count,) in heard] == [0, 4, 8], f"the executions were told {heard}")


def tools(trial: Trial) -> None:
    """A worker dies while models call tools: each hands over once what it hands over."""
    note = {"type": "emit", "name": "note", "params_schema": {"properties": {"text": {"type": "string"}}}}
    trial.stack.client.publish("tools", "demo:latency=150", "demo:latency=150", layer={"tools": [note]})
    trial.submit("tools")
    trial.worker()
    trial.dies()
    trial.stack.start("worker")
    trial.stack.settle()
    handed = trial.stack.rows("SELECT count(*) FROM layer_results WHERE path LIKE '%/note[_]' AND passed")
    emitted = trial.stack.rows("SELECT sum(jsonb_array_length(details->'emitted')) FROM layer_results")
    trial.require([*handed, *emitted] == [(2 * EXECUTIONS,)] * 2, f"{handed} were handed over, {emitted} are told")


def tell(trial: Trial) -> None:
    """A worker dies while it tells a webhook what has ended: it is told of each, under one name."""
    key = "a key of the trial that seals secrets"
    settings = {"STRATA_QUEUES": "normal,webhooks", "STRATA_SECRET_KEYS": key, "STRATA_ALLOWED_NETWORKS": "127.0.0.0/8"}
    with sink.serving() as receiver, contextlib.ExitStack() as ends:
        ends.callback(trial.stack.rows, "DELETE FROM webhooks")
        ends.callback(trial.stack.rows, "DELETE FROM deliveries")
        _listen(trial, receiver.url, key)
        uuids = trial.submit()
        trial.worker(**settings)
        trial.dies()
        # As time would, but in less of it.
        trial.stack.rows("UPDATE deliveries SET lease_until = now() WHERE status = 'sending'")
        trial.stack.start("worker", **settings)
        owed = "SELECT uuid::text, subject::text FROM deliveries WHERE status = 'delivered' ORDER BY 2"
        until(lambda: len(trial.stack.rows(owed)) == EXECUTIONS, what="delivery")
        told = {(each.headers["webhook-id"], json.loads(each.body)["data"]["uuid"]) for each in receiver.heard}
        trial.require(told == set(trial.stack.rows(owed)), f"told was {told}")
        trial.require({uuid for _, uuid in told} == set(uuids), f"told was of {told}, ended have {uuids}")
        again = len(receiver.heard) - len(told)
        trial.require(again <= len(trial.stack.crashes) * EXECUTIONS, f"{again} were told again")


def _listen(trial: Trial, url: str, key: str) -> None:
    """Make a webhook as the API does, which would look at the address."""
    [(organization_id,)] = trial.stack.rows("SELECT organization_id FROM pipelines WHERE handle = 'short'")
    uuid = uuid4()
    sealed = Sealer([key]).seal(f"whsec_{'A' * 43}=", f"webhook:{organization_id}:{uuid}")
    trial.stack.rows(
        "INSERT INTO webhooks (uuid, organization_id, url, dialect, events, secret)"
        " VALUES (%s, %s, %s, 'standard', '{execution.ended}', %s)",
        str(uuid),
        organization_id,
        url,
        sealed,
    )


def overdue(trial: Trial) -> None:
    """A worker dies while it ends what is overdue, which it could not have run itself."""
    uuids = trial.submit(priority="low", deadline_seconds=1)
    trial.end_apis()
    trial.worker(STRATA_QUEUES="onsite")
    trial.dies()
    trial.stack.start("worker", STRATA_QUEUES="onsite")
    trial.stack.settle()
    trial.require(statuses(trial, uuids) == {"failed"}, "what was overdue has not failed")


def cancel_queued(trial: Trial) -> None:
    """The API dies while a client cancels what no worker has begun; the client asks until it is told."""
    trial.api()
    uuids = trial.submit()
    trial.dies(during=lambda: [trial.stack.client.cancel(uuid) for uuid in uuids])
    _insist(trial, uuids)


def cancel_running(trial: Trial) -> None:
    """The API or the worker dies while a client cancels what runs."""
    trial.api()
    trial.worker()
    uuids = trial.submit("endless")
    until(lambda: trial.stack.in_flight() == EXECUTIONS, what="a call of each execution")
    trial.dies(during=lambda: [trial.stack.client.cancel(uuid) for uuid in uuids])
    trial.stack.start("worker")
    _insist(trial, uuids)
    calls = sum(len(attempts) for attempts in books.read_calls(trial.stack).values())
    trial.require(calls == EXECUTIONS, f"{calls} calls of {EXECUTIONS} executions that were cancelled in their first")


def expire(trial: Trial) -> None:
    """A worker dies while it deletes what has expired."""
    uuids = trial.submit()
    settings = {"STRATA_RESULT_SECONDS": 1, "STRATA_TOMBSTONE_DAYS": 0}
    trial.worker(**settings)
    trial.stack.settle()
    trial.dies(during=lambda: (trial.send("strata.expire"), trial.send("strata.bury")))
    trial.stack.start("worker", **settings)
    try:
        until(lambda: _gone(trial, uuids), what="the expiry")
    except TimeoutError as error:
        trial.broken.append(str(error))


def suspect(trial: Trial) -> None:
    """A worker, or the process that it started, dies with what two workers have died with before."""
    trial.submit()
    trial.stack.rows("UPDATE executions SET deaths = 2")
    trial.worker()
    trial.dies()
    trial.stack.start("worker")


def statuses(trial: Trial, uuids: list[str]) -> set[str]:
    """The statuses of some executions."""
    return {row[0] for row in trial.stack.rows("SELECT status FROM executions WHERE uuid::text = ANY (%s)", uuids)}


def _insist(trial: Trial, uuids: list[str]) -> None:
    answers = [until(lambda uuid=uuid: trial.stack.client.cancel(uuid), what="an answer") for uuid in uuids]
    trial.require(set(answers) <= {200, 202}, f"cancel was answered {answers}")
    trial.stack.settle()
    trial.require(statuses(trial, uuids) == {"cancelled"}, "what was to be cancelled has ended otherwise")


def _gone(trial: Trial, uuids: list[str]) -> bool:
    trial.send("strata.expire")
    trial.send("strata.bury")
    return not statuses(trial, uuids) and not trial.stack.rows("SELECT 1 FROM contents LIMIT 1")


SITUATIONS: dict[str, Callable[[Trial], None]] = {
    "submit": submit,
    "repeat": repeat,
    "wait": wait,
    "run": run,
    "drain": drain,
    "rescue": rescue,
    "schedule": schedule,
    "pace": pace,
    "talk": talk,
    "tools": tools,
    "tell": tell,
    "overdue": overdue,
    "cancel queued": cancel_queued,
    "cancel running": cancel_running,
    "expire": expire,
    "suspect": suspect,
}
