"""The agent's own rule, imported by its name: what version 0 of its policy is."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from envs.errors import SpecificationError


def load_rule(text: str, folder: Path, *, where: str = "") -> Callable[..., Any]:
    """The function that ``module:function`` names.

    Args:
        text: the name, such as ``myrules:scale``.
        folder: a folder (the home) that is searched for the module first.
        where: the agent, for messages.

    Raises:
        SpecificationError: the module or function is not there, or fails when it is imported.
    """
    module_name, _, attribute = text.partition(":")
    try:
        found: Any = _module(module_name, folder)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        problem = f"rule: {text!r} cannot be imported ({reason})"
        remedy = f"check the module; {folder} is on its search path"
        raise SpecificationError(problem, where=where, remedy=remedy) from error
    if not callable(found):
        raise SpecificationError(f"rule: {text!r} is not a function", where=where, remedy='write "module:function"')
    return found


def _module(name: str, folder: Path) -> ModuleType:
    file = folder.joinpath(*name.split(".")).with_suffix(".py")
    sys.path.insert(0, str(folder))
    try:
        importlib.invalidate_caches()
        loaded = sys.modules.get(name)
        if file.is_file() and loaded is not None and Path(loaded.__file__ or "").absolute() != file:
            # Another home's module of the same name came first; this home's own must not be mistaken for it.
            return _load(f"{name}@{folder}", file)
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))


def _load(name: str, file: Path) -> ModuleType:
    if name in sys.modules:
        return sys.modules[name]
    specification = importlib.util.spec_from_file_location(name, file)
    if specification is None or specification.loader is None:
        raise ImportError(f"{file} is not a module")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    try:
        specification.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
