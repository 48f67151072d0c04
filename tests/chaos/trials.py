"""One death at one point: what a situation needs to bring it about and to wait for it."""

import os
from collections.abc import Callable
from typing import Any

from shared import broker
from shared.settings import Settings
from tests.chaos import books
from tests.chaos.crashing import LAUNCHER, deaths
from tests.chaos.points import Point
from tests.chaos.processes import Process
from tests.chaos.scores import Scores
from tests.chaos.stack import Stack
from tests.waiting import until

#: Executions that meet the death together.
EXECUTIONS = 3
#: From the start of a process that will die to its death, in seconds.
REACH_SECONDS = 20.0


class Trial:
    """A try on a cleared stack whose API runs; the situation starts the process that dies, and what comes after."""

    def __init__(self, stack: Stack, point: Point, passing: int) -> None:
        self.stack = stack
        self.point = point
        self.mark = stack.directory / "mark"
        self.mark.unlink(missing_ok=True)
        self._crashing = {"CHAOS_POINT": point.name, "CHAOS_PASSING": passing, "CHAOS_MARK": self.mark}
        self._doomed: Process | None = None
        self.broken: list[str] = []

    def run(self, situation: Callable[["Trial"], None], seed: int) -> Scores:
        """Run a situation and check the books; a point that is not reached is broken too."""
        try:
            situation(self)
        except TimeoutError as error:
            self.broken.append(str(error))
        scores = books.check(self.stack, self.point.name, seed, releases_excuse=self.point.situation == "drain")
        scores.broken += self.broken
        scores.require(not scores.failed or self.point.situation == "overdue", f"{scores.failed} executions failed")
        return scores

    def worker(self, **settings: object) -> Process:
        """Start the worker of this trial: the one that dies, if a worker does."""
        if self.point.process == "api":
            return self.stack.start("worker", **settings)
        self._doomed = self.stack.start("worker", wait=False, launcher=LAUNCHER, **settings, **self._crashing)
        return self._doomed

    def api(self) -> None:
        """Put the API of this trial in the place of the one that runs, if it is the API that dies."""
        if self.point.process == "api":
            self.end_apis()
            self._doomed = self.stack.start_api(launcher=LAUNCHER, **self._crashing)

    def end_apis(self) -> None:
        """End the API, which keeps accepted work going too, so that a worker has to do it."""
        for each in [each for each in self.stack.processes if each.name.startswith("api")]:
            self.stack.end(each)

    def dies(self, during: Callable[[], object] = lambda: None) -> None:
        """Wait until the process is dead by its own hand, doing something again and again meanwhile; TimeoutError."""
        until(lambda: (during(), self._dead())[1], REACH_SECONDS, what=f"the death at {self.point.name}")
        self.stack.own_crashes += [crash for _, crash in deaths(self.mark)]

    def submit(self, handle: str = "short", count: int = EXECUTIONS, **fields: Any) -> list[str]:
        """Submit until so many are accepted; returns their uuids."""
        accepted: list[str] = []
        until(lambda: self._submit_one(accepted, handle, fields) >= count, what="acceptance")
        return accepted

    def send(self, task: str) -> None:
        """Send a task as beat does, its slot being free."""
        self.stack.rows("DELETE FROM duties WHERE duty <> 'liveness'")
        settings = Settings(redis_url=self.stack.environment["REDIS_URL"])
        with broker.celery_app(settings) as app:
            app.send_task(task, queue="normal")

    def require(self, holds: object, promise: str) -> None:
        """Note a promise as broken unless it holds."""
        if not holds:
            self.broken.append(promise)

    def _submit_one(self, accepted: list[str], handle: str, fields: dict[str, Any]) -> int:
        uuid = self.stack.client.submit(handle, **fields)
        accepted += [uuid] if uuid else []
        return len(accepted)

    def _dead(self) -> bool:
        for pid, _ in deaths(self.mark):
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return True
            # A child of ours stays a zombie until it is asked for.
            return self._doomed is not None and not self._doomed.alive
        return False
