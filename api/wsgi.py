"""The application that gunicorn serves: `gunicorn --config deploy/gunicorn.conf.py api.wsgi:app`."""

import atexit
import os
import signal
from types import FrameType

from api.app import create_app, serve
from shared import garbage, log

log.configure(os.environ.get("STRATA_LOG_LEVEL", "INFO"))
app = create_app()
atexit.register(serve(app))
garbage.settle()
_stop = signal.getsignal(signal.SIGTERM)


def _let_go(number: int, frame: FrameType | None) -> None:
    app.extensions["strata"].let_go()
    if callable(_stop):
        _stop(number, frame)


# gunicorn waits for every answer before it ends, so those that only wait are given at once.
signal.signal(signal.SIGTERM, _let_go)
signal.siginterrupt(signal.SIGTERM, False)
