"""What keeps the local stack from starting."""


class LocalError(Exception):
    """The stack cannot start or go on; the message is for the person at the terminal."""
