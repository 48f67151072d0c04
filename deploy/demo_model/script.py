"""What decides a call's behaviour: the rules a test has set, else the directives in the model's name."""

import re
from dataclasses import dataclass, replace
from typing import Any

from deploy.demo_model import behaviour as behaviours
from deploy.demo_model.behaviour import Behaviour
from deploy.demo_model.errors import Refused

_MAX_COUNTED = 200_000
_WELL = Behaviour()


@dataclass(slots=True)
class Rule:
    """A behaviour for the calls that match; `left` is how often it may still apply, None for ever."""

    match: str
    pattern: re.Pattern[str] | None
    model: str | None
    layer: str | None
    behaviour: Behaviour
    left: int | None

    def applies(self, text: str, model: str, layer: str | None) -> bool:
        """Whether it has times left, and text, model (with or without directives) and layer fit."""
        if self.left == 0 or (self.layer is not None and self.layer != layer):
            return False
        if self.model is not None and self.model not in (model, model.partition(":")[0]):
            return False
        return self.match in text or bool(self.pattern and self.pattern.search(text))


class Script:
    """The rules in force, and how often a model's own directives were followed for an execution's layer."""

    def __init__(self, latency_seconds: float = 0.0) -> None:
        self._first_latency_seconds = latency_seconds
        self.reset()

    def reset(self) -> None:
        """Forget rules and counts; the latency is again the one of the start."""
        self._latency_seconds = self._first_latency_seconds
        self._rules: list[Rule] = []
        self._followed: dict[tuple[str, str | None, str | None], int] = {}

    def replace(self, wanted: Any) -> None:
        """Follow `{"latency_ms": n, "script": [rule, …]}` from now on. Raises Refused, changing nothing."""
        if not isinstance(wanted, dict) or not wanted.keys() <= {"latency_ms", "script"}:
            raise Refused("a behaviour is an object of latency_ms and script")
        rules = wanted.get("script", [])
        if not isinstance(rules, list):
            raise Refused("a script is a list of rules")
        read = [_rule(rule) for rule in rules]
        latency = behaviours.read({"latency_ms": wanted["latency_ms"]}) if "latency_ms" in wanted else _WELL
        self.reset()
        self._rules = read
        if latency.latency_seconds is not None:
            self._latency_seconds = latency.latency_seconds

    def choose(self, text: str, *, model: str, execution: str | None, layer: str | None) -> Behaviour:
        """The behaviour for a call with this last user message, its latency filled in. Raises Refused."""
        for rule in self._rules:
            if rule.applies(text, model, layer):
                if rule.left is not None:
                    rule.left -= 1
                return self._timed(rule.behaviour)
        directed = behaviours.from_model(model) if ":" in model else _WELL
        if directed.times is not None and not self._follow((model, execution, layer), directed.times):
            directed = Behaviour(latency_seconds=directed.latency_seconds)
        return self._timed(directed)

    def _timed(self, chosen: Behaviour) -> Behaviour:
        if chosen.latency_seconds is not None or not self._latency_seconds:
            return chosen
        return replace(chosen, latency_seconds=self._latency_seconds)

    def _follow(self, key: tuple[str, str | None, str | None], times: int) -> bool:
        followed = self._followed.get(key, 0)
        if followed >= times:
            return False
        self._followed[key] = followed + 1
        if len(self._followed) > _MAX_COUNTED:
            del self._followed[next(iter(self._followed))]
        return True


def _rule(wanted: Any) -> Rule:
    if not isinstance(wanted, dict):
        raise Refused("a rule is an object")
    conditions = {name: wanted.get(name) for name in ("match", "model", "layer")}
    for name, value in conditions.items():
        if not isinstance(value, str | None):
            raise Refused(f"a rule's {name!r} is text")
    behaviour = behaviours.read({name: value for name, value in wanted.items() if name not in conditions})
    match = conditions["match"] or ""
    try:
        pattern = re.compile(match)
    except re.error:
        # What is no regular expression is meant as text.
        pattern = None
    return Rule(match, pattern, conditions["model"], conditions["layer"], behaviour, behaviour.times)
