"""Choosing ports."""

import socket

from deploy.local.errors import LocalError

# An address to listen on, and none to connect to.
EVERYWHERE = "0.0.0.0"  # noqa: S104


def free(host: str = "127.0.0.1") -> int:
    """Return a port that nothing listens on now."""
    with socket.socket() as listener:
        listener.bind((host, 0))
        return int(listener.getsockname()[1])


def choose(name: str, given: str | None, *, host: str, first: int) -> int:
    """Return the port that the variable `name` gives, else the first free one from `first` on.

    LocalError if the given one is taken.
    """
    if not given:
        return next(port for port in range(first, 65536) if _is_free(host, port))
    try:
        port = int(given)
    except ValueError:
        raise LocalError(f"{name} is not a port: {given}") from None
    if port == 0:
        return free(host)
    if not _is_free(host, port):
        raise LocalError(f"port {port} of {host} is taken: set {name} to another one, or leave it out")
    return port


def answers(host: str, port: int) -> bool:
    """Say whether something accepts connections there."""
    try:
        socket.create_connection(("127.0.0.1" if host == EVERYWHERE else host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as listener:
        # As servers do, because a port whose connections have just ended is not taken.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
        return True
