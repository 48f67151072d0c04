"""Headers of a request to somewhere else: which may be set, and that none of them says more than itself."""

import re

#: What a connection is made of is not for others to say, and nothing is asked for that has to be unpacked.
_OURS = frozenset({
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
})
# A token of RFC 9110.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def check_name(name: str) -> None:
    """ValueError where a header of this name cannot be set."""
    if not _NAME.fullmatch(name):
        raise ValueError("a header's name has a character in it that it cannot have")
    if name.lower() in _OURS:
        raise ValueError(f"the header {name} cannot be set")


def check_value(value: str) -> None:
    """ValueError where a value would end its header, or cannot be sent; it is not quoted, it may be secret."""
    if _CONTROL.search(value):
        raise ValueError("a header's value has a line break or another control character in it")
