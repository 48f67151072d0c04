"""Files that only their owner reads."""

import os
from collections.abc import Callable
from pathlib import Path


def kept(path: Path, make: Callable[[], str]) -> str:
    """Return the file's line; where there is no file, make the line and keep it."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        text = make()
        write(path, f"{text}\n")
        return text


def write(path: Path, text: str) -> None:
    """Write a file with mode 0600, whole or not at all."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)
