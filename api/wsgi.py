"""The application that gunicorn serves: `gunicorn --config deploy/gunicorn.conf.py api.wsgi:app`."""

import atexit
import os

from api.app import create_app, serve
from shared import log

log.configure(os.environ.get("STRATA_LOG_LEVEL", "INFO"))
app = create_app()
atexit.register(serve(app))
