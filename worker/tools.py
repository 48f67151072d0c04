"""What a layer may ask of the worker that runs it."""

import time

from shared import kinds
from shared.plan import Answer, Layer
from worker.providers.openai import OpenAI
from worker.running import Run


class Tools:
    """What a layer may ask of the worker."""

    def __init__(self, models: OpenAI, run: Run, layer: Layer, started: float) -> None:
        self._models = models
        self._run = run
        self._layer = layer
        self._started = started

    def ask(self, question: kinds.Question) -> Answer:
        """Ask a model within what is left of the layer's time, naming the layer to the provider."""
        claim = self._run.claim
        return self._models.ask(
            question,
            run=self._run,
            seconds=self._layer.timeout_seconds - (time.monotonic() - self._started),
            headers={
                "X-Strata-Execution": str(claim.uuid),
                "X-Strata-Layer": self._layer.path,
                "X-Strata-Attempt": str(claim.attempt),
            },
        )
