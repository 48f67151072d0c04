"""Looks whether a URL that we are to call one day may be called at all, while somebody is there to be told.

What a name stands for may change, so a worker looks again whenever it calls; a name that stands for nothing now passes.
"""

import ipaddress
import socket
import threading
from collections.abc import Iterable

from shared import addresses, urls
from shared.errors import Fault
from shared.urls import Url

#: How long a name is asked for, in seconds.
_SECONDS = 2.0


def faults(field: str, text: str, allowed: Iterable[str]) -> list[Fault]:
    """What is wrong with a URL: how it is written, or an address that is neither public nor in an allowed network."""
    try:
        url = urls.read(text)
    except ValueError as error:
        return [Fault(field, str(error))]
    networks = addresses.networks(allowed)
    if all(addresses.may_reach(ipaddress.ip_address(each), networks) for each in _addresses(url)):
        return []
    # Which address it is would tell a stranger how the network looks from inside.
    return [Fault(field, "has an address that may not be reached from here")]


def _addresses(url: Url) -> list[str]:
    try:
        return _resolved(url, socket.AI_NUMERICHOST)
    except OSError:
        pass
    found: list[str] = []
    # The resolver knows no deadline, and whoever waits for the answer does.
    asking = threading.Thread(target=lambda: found.extend(_tried(url)), name="reaching", daemon=True)
    asking.start()
    asking.join(_SECONDS)
    return list(found)


def _tried(url: Url) -> list[str]:
    try:
        return _resolved(url, 0)
    except OSError:
        return []


def _resolved(url: Url, flags: int) -> list[str]:
    # As bytes, or Python would write it in another alphabet first.
    found = socket.getaddrinfo(url.host.encode("ascii"), url.port, type=socket.SOCK_STREAM, flags=flags)
    return [str(sockaddr[0]) for *_, sockaddr in found]
