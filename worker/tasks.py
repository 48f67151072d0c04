"""What the broker can ask of a worker; nothing but glue."""

from shared import broker
from worker import upkeep
from worker.app import app, process, settings


# A permit is no task that anybody wants to see: Flower is told of the executions that it runs.
@app.task(name=broker.TASK, Strategy="worker.permits:strategy", send_events=False, ignore_result=True)
def work(queue: str) -> None:
    """Do what is queued or due in a queue, one after the other, while anything is left."""
    if process().work(queue):
        broker.permit(queue)


@app.task(name="strata.warn", send_events=False, ignore_result=True)
def warn() -> None:
    """Owe webhooks notice of what expires soon."""
    upkeep.warn(settings)


@app.task(name="strata.expire", send_events=False, ignore_result=True)
def expire() -> None:
    """Delete the content of what has expired."""
    upkeep.expire()


@app.task(name="strata.bury", send_events=False, ignore_result=True)
def bury() -> None:
    """Delete tombstones that nobody asks for any more."""
    upkeep.bury(settings)


@app.task(name="strata.fold", send_events=False, ignore_result=True)
def fold() -> None:
    """Fold the calls of days gone by into sums."""
    upkeep.fold()
