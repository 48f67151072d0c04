"""What an API process holds besides its connections: settings, who waits for what and watches it, what may come in."""

from dataclasses import dataclass

from flask import current_app

from api.admission import Admission
from api.open_streams import OpenStreams
from api.watchers import Watchers
from shared.doorbell import Waiters
from shared.providers import Providers
from shared.sealing import Sealer
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Context:
    """One per application."""

    settings: Settings
    watchers: Watchers
    admission: Admission
    providers: Providers
    sealer: Sealer
    open_streams: OpenStreams
    waiters: Waiters

    def let_go(self) -> None:
        """Answer everybody who waits or watches now, because this process is told to end."""
        self.waiters.close()
        self.watchers.let_go()


def this() -> Context:
    """The context of the application that answers."""
    found: Context = current_app.extensions["strata"]
    return found
