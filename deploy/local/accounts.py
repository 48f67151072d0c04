"""The user that Postgres runs as, which refuses to be root."""

import contextlib
import os
import pwd
from pathlib import Path

from deploy.local.errors import LocalError

# To give data away, and still to read it, and to become its owner; containers may take these from root.
NEEDED = {"CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_SETGID": 6, "CAP_SETUID": 7}


def unprivileged(place: Path) -> pwd.struct_passwd | None:
    """Return an existing user for root to be in Postgres: the data's owner, else nobody; None if not root."""
    if os.geteuid() != 0:
        return None
    _check_capabilities()
    if place.exists():
        with contextlib.suppress(KeyError):
            return pwd.getpwuid(place.stat().st_uid)
    # initdb asks for the user's name, so a bare number would not do; no user is made for it.
    accounts = [account for account in pwd.getpwall() if account.pw_uid]
    if not accounts:
        raise LocalError(
            "Postgres refuses to run as root and this machine knows no other user: "
            "add one, or set DATABASE_URL to the address of a Postgres 15 or newer"
        )
    return next((account for account in accounts if account.pw_name == "nobody"), accounts[0])


def _check_capabilities() -> None:
    status = Path("/proc/self/status").read_text()
    permitted = int(status.partition("CapPrm:")[2].split()[0], 16)
    missing = [name for name, number in NEEDED.items() if not permitted & 1 << number]
    if missing:
        raise LocalError(
            f"Postgres refuses to run as root, and this root may not run it as another user: it lacks "
            f"{', '.join(missing)}. Start as another user, or set DATABASE_URL"
        )


def give(path: Path, user: pwd.struct_passwd | None) -> None:
    """Make a file or folder of ours the user's."""
    if user is not None:
        os.chown(path, user.pw_uid, user.pw_gid)
