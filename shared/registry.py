"""Finds what was dropped into a folder: every module of a package, in the order of their names."""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType


def modules(package: ModuleType) -> list[ModuleType]:
    """Import and return the modules directly in a package; names that start with `_` are private to it."""
    return [
        import_module(f"{package.__name__}.{found.name}")
        for found in sorted(iter_modules(package.__path__), key=lambda found: found.name)
        if not found.name.startswith("_")
    ]
