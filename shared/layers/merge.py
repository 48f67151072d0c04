"""Brings branches together again: what there is of several values, of which some may have been skipped."""

from collections.abc import Mapping
from typing import Any

from marshmallow import validate

from shared.kinds import Alternatives, LayerSettings
from shared.outside import Scope, Tools
from shared.plan import SKIPPED, Answer

KIND = "merge"


class Settings(LayerSettings):
    """Settings of a `merge` layer."""

    values = Alternatives(
        required=True,
        validate=validate.Length(min=1, max=100),
        metadata={"description": "References, of which those count that were not skipped."},
    )


def run(settings: Mapping[str, Any], scope: Scope, tools: Tools) -> Answer:
    """One value as it is, more of them as a list in their order; without any, the layer is skipped too."""
    found = [scope.value(text) for text in settings["values"] if scope.has(text)]
    if not found:
        return Answer(SKIPPED)
    return Answer(found[0] if len(found) == 1 else found)
