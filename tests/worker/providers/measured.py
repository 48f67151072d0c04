"""Asks models in a process of its own, and tells what came of each: reason, seconds, and how far the memory rose.

`python -m tests.worker.providers.measured BASE_URL < cases.json > outcomes.json`; a case has `model`, `output`,
`stream`, `attempts` and `seconds`.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from shared import broker, kinds, outside
from shared.errors import LayerFailed, Parked
from shared.executions import Claim
from shared.plan import Answer
from shared.settings import Settings
from tests.worker.providers.notebook import Notebook
from worker.alarms import Alarms
from worker.providers.asking import Asking
from worker.providers.credentials import Credentials
from worker.providers.models import Models
from worker.providers.pacing import Pacing
from worker.running import Run

_MEGABYTE = 1024.0


class _Tools:
    """The tools of a prompt layer with so many seconds."""

    def __init__(self, models: Models, run: Run, seconds: float) -> None:
        self._models = models
        self._run = run
        self._until = time.monotonic() + seconds

    def ask(self, question: outside.Question) -> Answer:
        left = self._until - time.monotonic()
        asking = Asking(self._run, "a/0", left, {}, Notebook(), self._run.claim.organization_id)
        return self._models.ask(question, asking)

    def history(self, channel: str | None) -> outside.History:
        return outside.History()


def measure(models: Models, number: int, case: dict[str, Any]) -> dict[str, Any]:
    """Run a prompt layer; each has an organization, and so a key, of its own."""
    names = {"id": number, "uuid": uuid4(), "organization_id": number, "version_id": 1, "origin_id": None}
    run = Run(
        Claim(**names, queue="normal", attempt=1, deaths=0, inputs={}, pins={}, seconds_left=60, seconds_queued=0)
    )
    settings = {
        "kind": "prompt",
        "prompt": "Say JSON.",
        "model": case["model"],
        "output": case["output"],
        "stream": case["stream"],
    }
    layer = kinds.kinds()["prompt"]
    loaded = layer.Settings().load({**settings, "retry": {"attempts": case["attempts"]}})
    Path("/proc/self/clear_refs").write_text("5")
    before, started = _memory("VmRSS"), time.monotonic()
    try:
        calls, outcome = layer.run(loaded, outside.Scope({}), _Tools(models, run, case["seconds"])).calls, "answered"
    except LayerFailed as error:
        calls, outcome = error.calls, error.reason
    except Parked as parked:
        calls, outcome = parked.calls, "parked"
    return {
        "outcome": outcome,
        "calls": len(calls),
        "uncertain": sum(each.uncertain for each in calls),
        "seconds": time.monotonic() - started,
        "megabytes": (_memory("VmHWM") - before) / _MEGABYTE,
    }


def _memory(name: str) -> int:
    # The peak is that of this program's memory alone; getrusage tells the parent's too.
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{name}:"))


def main() -> None:
    """Measure every case of the standard input."""
    # Nobody listens there: hints and events are dropped.
    settings = Settings(openai_base_url=sys.argv[1], redis_url="redis://127.0.0.1:1/0")
    broker.connect(settings)
    pacing = Pacing(settings.redis_url)
    models = Models(settings, Alarms(), Credentials(lambda organization, _: f"key-{organization}"), pacing)
    measure(models, 0, {"model": "demo", "output": "text", "stream": True, "attempts": 1, "seconds": 10})
    cases = enumerate(json.load(sys.stdin), start=1)
    sys.stdout.write(json.dumps([measure(models, number, case) for number, case in cases]))
    models.close()
    pacing.close()
    broker.close()


if __name__ == "__main__":
    main()
