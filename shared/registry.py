"""Finds what was dropped into a folder: every module of a package, in the order of their names."""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType


def modules(package: str) -> list[ModuleType]:
    """Import and return the modules directly in a package; names that start with `_` are private to it."""
    found = iter_modules(import_module(package).__path__)
    names = sorted(each.name for each in found if not each.name.startswith("_"))
    return [import_module(f"{package}.{name}") for name in names]
