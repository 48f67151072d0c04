"""The interpreter's collector of garbage in circles, set up for a process that serves."""

import gc

#: New objects until the youngest are looked through, and how often each generation is before the next; Python's own
#: are 700, 10, 10. Hardly anything of ours is in a circle.
_THRESHOLDS = (10_000, 20, 50)


def settle() -> None:
    """Leave out of every later look what is loaded by now; call it once a process is ready to serve.

    Most of a process is code that never goes away, and looking through it takes as long as several executions.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
