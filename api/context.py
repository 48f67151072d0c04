"""What an API process holds besides its connections: settings, and who waits for what."""

from dataclasses import dataclass, field

from flask import current_app

from shared.doorbell import Waiters
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Context:
    """One per application."""

    settings: Settings
    waiters: Waiters = field(default_factory=Waiters)


def this() -> Context:
    """The context of the application that answers."""
    found: Context = current_app.extensions["strata"]
    return found
