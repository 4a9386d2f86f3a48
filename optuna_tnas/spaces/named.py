"""Spaces by name: those of the package, and the user's own by where they are imported from."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
import sys

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces.mobilenetv3 import MobileNetV3Space
from optuna_tnas.spaces.nasbench201 import NASBench201Space
from optuna_tnas.spaces.space import Space


SPACES: Mapping[str, Callable[[], Space]] = {
    "nasbench201": NASBench201Space,
    "mobilenetv3": MobileNetV3Space,
}


def space_named(name: str) -> Space:
    """Return a space of the package, or import ``module:attribute``.

    Modules are also looked for in the working directory, as ``python -m`` does. The attribute
    is a space, or a function or class that returns one when it is called without arguments.

    Raises:
        SpaceError: If there is no such space.
    """
    if name in SPACES:
        return SPACES[name]()
    module, _, attribute = name.partition(":")
    if not attribute:
        raise SpaceError(
            f"There is no space {name!r}; the package has {', '.join(SPACES)}, your own is "
            "named by where it is imported from, such as mypackage.search:space."
        )
    found = _imported(module, attribute)
    if not isinstance(found, Space) and callable(found):
        found = _called(name, found)
    if not isinstance(found, Space):
        raise SpaceError(
            f"{name} is a {type(found).__name__}, not a space; name a space, such as "
            "CellSpace([...]) or Space.from_define_by_run(build)."
        )
    return found


def _imported(module: str, attribute: str) -> object:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        there = find_spec(module) is not None
    except (ImportError, ValueError):  # a parent that does not exist, or no name of a module
        there = False
    if not there:
        raise SpaceError(
            f"There is no module {module!r} to import a space from; run the command where "
            f"python -c 'import {module}' works."
        )
    try:
        found: object = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        raise SpaceError(f"The module {module!r} has no {attribute!r}: {error}.") from error
    except Exception as error:  # whatever the user's module does when imported
        raise SpaceError(
            f"The module {module!r} cannot be imported: {type(error).__name__}: {error}."
        ) from error
    return found


def _called(name: str, function: Callable[[], object]) -> object:
    try:
        return function()
    except TypeError as error:
        raise SpaceError(
            f"{name} cannot be called without arguments: {error}. For a function that asks a "
            "trial, name a space that is made of it: space = Space.from_define_by_run(build)."
        ) from error
