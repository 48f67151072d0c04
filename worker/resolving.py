"""Asks for the addresses of a host, in a call that can be cut; the system's resolver alone knows no deadline.

Whoever asks waits on a socket, as it would for an answer, while a thread asks the resolver. A thread whose call was cut
ends when the resolver answers; there are only so many of them.
"""

import ipaddress
import socket
import threading
from typing import Any, NamedTuple

from shared.addresses import Address
from worker.calls import Call

#: Hosts that are asked for at once in a process; a resolver that does not answer holds each for half a minute.
MOST_AT_ONCE = 100
_places = threading.BoundedSemaphore(MOST_AT_ONCE)


class Place(NamedTuple):
    """An address of a host, and what to give to a socket to connect there."""

    family: socket.AddressFamily
    sockaddr: Any

    @property
    def address(self) -> Address:
        """The address alone."""
        return ipaddress.ip_address(self.sockaddr[0])


def resolve(host: str, port: int, call: Call) -> list[Place]:
    """The addresses of a host, asked for once; OSError where there are none, or the call was cut."""
    try:
        # An address in any of its notations needs nobody to ask.
        return _looked_up(host, port, socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass
    if not _places.acquire(blocking=False):
        raise OSError(f"{MOST_AT_ONCE} other hosts are being asked for")
    ours, theirs = socket.socketpair()
    found: list[Place | OSError] = []
    threading.Thread(target=_look, args=(host, port, found, theirs), name="resolver", daemon=True).start()
    with ours:
        call.attach(ours)
        try:
            ours.recv(1)
        finally:
            call.detach()
    if call.cut_by is not None:
        raise TimeoutError("the call was cut")
    return [_raised(each) for each in found]


def _look(host: str, port: int, found: list[Place | OSError], told: socket.socket) -> None:
    try:
        found += _looked_up(host, port, 0)
    except OSError as error:
        found.append(error)
    finally:
        # Closing wakes whoever waits at the other end.
        told.close()
        _places.release()


def _looked_up(host: str, port: int, flags: int) -> list[Place]:
    # As bytes, or Python would write it in another alphabet first.
    found = socket.getaddrinfo(
        host.encode("ascii"), port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=flags
    )
    return [Place(family, sockaddr) for family, _, _, _, sockaddr in found]


def _raised(each: Place | OSError) -> Place:
    if isinstance(each, OSError):
        raise each
    return each
