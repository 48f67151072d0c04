"""Reads the URL of a request to somewhere else, once: what was checked is what is sent, to whom it was checked for."""

import re
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

#: The longest URL, in characters.
MOST_CHARACTERS = 8_000
_LABEL = r"[a-z0-9_][a-z0-9_-]{0,62}"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*|(?=.*:)[0-9a-f:.]{{2,45}}")
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")
_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65535
#: What stays as it is in a path or a query, `%` of what is encoded already included; the rest is encoded as UTF-8.
_KEPT = "/%:?@!$&'()*+,;=-._~[]|"


class Url(NamedTuple):
    """Where a request goes, and what it asks for there: `target` is path and query as they are sent."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """What the `Host` header says: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def read(text: str) -> Url:
    """Read an absolute URL of `http` or `https`; ValueError says what is wrong with it, and never quotes it."""
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"the URL is longer than {MOST_CHARACTERS} characters")
    if _UNSAFE.search(text):
        raise ValueError("the URL has a space, a backslash or a control character in it")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("the URL has no host and port that can be read") from None
    if parts.scheme not in _PORTS:
        raise ValueError("the URL must begin with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("the URL has a user or a password in it; send them in a header")
    if not parts.hostname or not _HOST.fullmatch(parts.hostname):
        raise ValueError("the URL has no host, or one that is no ASCII host name or address")
    if any(segment in (".", "..") for segment in unquote(parts.path).split("/")):
        # Who renders a value into a path means one segment of it; servers would walk up.
        raise ValueError("the path of the URL has a segment of dots in it")
    target = quote(parts.path or "/", safe=_KEPT) + (f"?{quote(parts.query, safe=_KEPT)}" if parts.query else "")
    return Url(parts.scheme, parts.hostname, _port(port, parts.scheme), target)


def _port(named: int | None, scheme: str) -> int:
    port = _PORTS[scheme] if named is None else named
    if not 1 <= port <= _LAST_PORT:
        raise ValueError("the URL has an impossible port")
    return port
