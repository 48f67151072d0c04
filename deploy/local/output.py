"""Many processes' lines on one terminal, each with its process's name in front."""

import contextlib
import os
import threading
from typing import IO, TextIO

COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)


class Output:
    """Where lines go; safe to use from several threads."""

    def __init__(self, stream: TextIO, names: list[str]) -> None:
        self._stream = stream
        self._names = names
        self._width = max(map(len, names), default=0)
        self._coloured = stream.isatty() and not os.environ.get("NO_COLOR")
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        """Write a line of our own."""
        # Where nobody reads any more, the processes need not end.
        with self._lock, contextlib.suppress(OSError):
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def follow(self, name: str, lines: IO[bytes]) -> threading.Thread:
        """Write what a process writes, until nobody can write there any more."""
        thread = threading.Thread(target=self._copy, args=(name, lines), name=f"output of {name}", daemon=True)
        thread.start()
        return thread

    def _copy(self, name: str, lines: IO[bytes]) -> None:
        label = self._label(name)
        with lines:
            for line in lines:
                self.say(f"{label} {line.decode(errors='replace').rstrip()}")

    def _label(self, name: str) -> str:
        text = f"{name:<{self._width}} |"
        if not self._coloured:
            return text
        return f"\x1b[{COLOURS[self._names.index(name) % len(COLOURS)]}m{text}\x1b[0m"
