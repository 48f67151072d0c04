"""What can be wrong with what a client sends."""


class Refused(ValueError):
    """It cannot be answered as asked; the client gets a 400 with this message, in OpenAI's shape."""


class Malformed(Exception):
    """The bytes are no request that can be read; the connection cannot go on."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)
