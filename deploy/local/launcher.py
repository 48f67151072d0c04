"""A program that becomes a command, after tying it to its parent's life and perhaps giving it another user.

    python -I -S launcher.py SIGNAL PARENT UID:GID COMMAND…

SIGNAL reaches the command when its parent (the thread that started it) is gone, even by SIGKILL. With
`UID:GID` (else `-`) root becomes that user and keeps the capability to pass closed folders, because the
checkout or the data may lie under a folder that only root enters. It imports nothing of ours, to start soon.
"""

import ctypes
import os
import struct
import sys
from pathlib import Path

# Numbers of linux/prctl.h, linux/capability.h and linux/securebits.h.
PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
SECBIT_NO_SETUID_FIXUP = 1 << 2
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522

libc = ctypes.CDLL(None, use_errno=True)


def main(arguments: list[str]) -> None:
    """Prepare this process and become the command; a refusal ends it with one line on stderr."""
    death_signal, parent, owner, *command = arguments
    if owner != "-":
        user, group = (int(number) for number in owner.split(":"))
        try:
            become(user, group, needed_capabilities(command[0]))
        except OSError as error:
            sys.exit(f"root may not become the user {user} that {command[0]} needs: {error}")
    # After the change of user, which forgets it.
    prctl(PR_SET_PDEATHSIG, int(death_signal))
    if os.getppid() != int(parent):
        sys.exit(1)
    try:
        # The folder that it starts in is the data's, and its absolute path has to be open to the user.
        Path.cwd().stat()
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        sys.exit(f"{command[0]} cannot be run by user {os.geteuid()}: {error}{advice(owner)}")


def advice(owner: str) -> str:
    """Say what to do where root could not keep a capability."""
    if owner == "-" or permitted():
        return ""
    return (
        "; root lacks CAP_SETPCAP, with which it would let this user pass closed folders: put the checkout "
        "and the data where everybody may enter, start as another user, or set DATABASE_URL"
    )


def needed_capabilities(program: str) -> list[int]:
    """Passing and reading is enough, unless the program is its owner's alone, or root lacks just that."""
    everybody_may_run_it = Path(program).stat().st_mode & 0o001
    if everybody_may_run_it and permitted() & 1 << CAP_DAC_READ_SEARCH:
        return [CAP_DAC_READ_SEARCH]
    # Containers commonly leave root this one and not the other.
    return [number for number in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH) if permitted() & 1 << number]


def become(user: int, group: int, capabilities: list[int]) -> None:
    """Change to the user and keep these capabilities over exec, or none where root may not.

    NO_SETUID_FIXUP, and not KEEPCAPS, because it also makes access(2) respect the capabilities, and Postgres
    looks for its own program with access(2).
    """
    try:
        prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
    except PermissionError:
        capabilities = []
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
    restrict(capabilities)
    for number in capabilities:
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number)


def permitted() -> int:
    """Return the capabilities that this process may use, a bit each."""
    return int(Path("/proc/self/status").read_text().partition("CapPrm:")[2].split()[0], 16)


def restrict(capabilities: list[int]) -> None:
    """Drop every capability but these, which become inheritable."""
    mask = sum(1 << number for number in capabilities)
    header = struct.pack("=Ii", CAPABILITY_VERSION_3, 0)
    wanted = struct.pack("=6I", mask, mask, mask, 0, 0, 0)
    check(libc.capset(header, wanted), "capset")


def prctl(option: int, *values: int) -> None:
    """Set an option of this process; the call reads five words whatever the option."""
    words = [ctypes.c_ulong(value) for value in (*values, *[0] * (4 - len(values)))]
    check(libc.prctl(option, *words), "prctl")


def check(result: int, name: str) -> None:
    """Raise what a C function that answered -1 has left in errno."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    main(sys.argv[1:])
