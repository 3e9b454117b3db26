"""A function out of a Python file that somebody wrote: a recipe, or a mix of triplets."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kinoscope.errors import UsageError


def function_of(file: Path, name: str, argument: str) -> Callable[[Any], object]:
    """The function `name(argument)` of a file, which is run for it.

    Raises `UsageError` for a file that is not there or has no such function.
    """
    form = f"{name}({argument})"
    if not file.is_file() or file.suffix != ".py":
        raise UsageError(f"{file} is no {name}: name a Python file with a function {form}")
    found = importlib.util.spec_from_file_location(f"kinoscope_{name}_{file.stem}", file)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module  # dataclasses and pickle look there for what it defines
    found.loader.exec_module(module)
    function = getattr(module, name, None)
    if not callable(function):
        raise UsageError(f"{file} has no function {form}: write one that returns a {name.title()}")
    return function  # type: ignore[no-any-return]
