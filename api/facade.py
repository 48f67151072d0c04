"""A facade: one vendor's wire over the core."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flask import Blueprint, Response
from werkzeug.exceptions import HTTPException

from shared.errors import Invalid, StrataError


@dataclass(frozen=True, slots=True)
class Failure:
    """An error on its way out: its HTTP status, and headers that belong to it in every shape."""

    error: Exception
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What may be told of it; nothing of an error that nobody expected."""
        if isinstance(self.error, Invalid):
            return "the request has faults" if len(self.error.faults) > 1 else str(self.error)
        if isinstance(self.error, StrataError):
            return str(self.error)
        if isinstance(self.error, HTTPException):
            return self.error.description or self.error.name
        return "an internal error; it has been logged"


@dataclass(frozen=True, slots=True)
class Facade:
    """A vendor's wire: its routes, the paths that are its own, and the shape of every error on them."""

    name: str
    paths: re.Pattern[str]
    blueprint: Blueprint
    error: Callable[[Failure], Response]

    def owns(self, path: str) -> bool:
        """True for the paths on which this vendor answers, unknown ones too."""
        return self.paths.match(path) is not None
