"""The Procfile: which processes there are, a `name: command` a line."""

import re
from pathlib import Path

from deploy.local.errors import LocalError

LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(\S.*)")


def read(path: Path) -> dict[str, str]:
    """Return the commands by name, in the file's order. LocalError for no file or a senseless line."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        raise LocalError(f"there is no {path}") from None
    commands = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = LINE.fullmatch(line.strip())
        if match is None:
            raise LocalError(f"{path}, line {number} is not a name, a colon and a command: {line}")
        commands[match[1]] = match[2]
    return commands
