"""Three beats send the same duties at once, and one of them is frozen for a while."""

import time

from tests.chaos import books
from tests.chaos.hasty import LAUNCHER
from tests.chaos.processes import Process
from tests.chaos.scores import Scores
from tests.chaos.stack import Stack

NAME = "beats"
PROMISE = "of three beats, one frozen for a while, a duty runs once per slot"
SETTINGS = {"STRATA_RESULT_SECONDS": 1}
SECONDS = 60.0
_SENT = "Sending due task expire"


def run(stack: Stack, *, seed: int, size: float) -> Scores:
    """Let them beat for so long, every second; the second of them is frozen in the middle third."""
    third = max(4.0, SECONDS * size / 3)
    stack.start_api()
    stack.start_workers(2, launcher=LAUNCHER)
    beats = [stack.start("beat", wait=False, launcher=LAUNCHER) for _ in range(3)]
    stack.until(lambda: all(_sent(each) for each in beats), what="the first duty of each")
    stack.client.publish("short", "demo")
    for number in range(3):
        stack.client.submit("short")
        if number == 1:
            beats[1].freeze()
        rest = time.monotonic() + third
        stack.until(lambda rest=rest: time.monotonic() >= rest, 2 * third)
        beats[1].thaw()
    scores = books.check(stack, NAME, seed)
    stack.until(lambda: not stack.rows("SELECT 1 FROM contents LIMIT 1"), what="the expiry of all")
    tried = sum(_sent(each) for each in beats)
    runs, slots = stack.rows("SELECT count(*), count(DISTINCT slot) FROM duty_ledger WHERE duty = 'expiry'")[0]
    twice = stack.rows("SELECT duty, slot FROM duty_ledger GROUP BY 1, 2 HAVING count(*) > 1")
    scores.require(not twice, f"duties ran twice in a slot: {twice}")
    scores.require(runs == slots and runs >= 2 * third, f"{runs} runs in {slots} slots of {3 * third:.0f} s")
    scores.require(tried > 2 * runs, f"{tried} duties were sent, which is no competition for {runs} slots")
    scores.notes["duties"] = f"{tried} sent, {runs} ran, in as many slots"
    return scores


def _sent(beat: Process) -> int:
    return beat.output.read_text().count(_SENT)
