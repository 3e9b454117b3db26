"""Nested values with tensors in two files, safetensors and JSON: no pickle, so no code inside."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from kinoscope.errors import UsageError
from kinoscope.libraries import imported

_TENSORS, _SKELETON = ".safetensors", ".json"
_PLAIN = (str, int, float, bool, type(None))


def write_state(folder: Path, name: str, tree: Any) -> None:
    """Writes NAME.json, and NAME.safetensors with the tensors that it names.

    Dictionaries may have any plain keys; lists and tuples stay what they are; floats come back bit
    for bit. Raises `OSError` when the disk refuses.
    """
    tensors: dict[str, Any] = {}
    skeleton = _flat(tree, "", tensors)
    write_tensors(folder / f"{name}{_TENSORS}", tensors)
    (folder / f"{name}{_SKELETON}").write_text(json.dumps(skeleton))


def read_state(folder: Path, name: str) -> Any:
    """The reverse; `UsageError` for a file that is absent, damaged or not ours."""
    place = folder / f"{name}{_SKELETON}"
    tensors = read_tensors(folder / f"{name}{_TENSORS}")
    try:
        return _whole(json.loads(place.read_bytes()), tensors)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"{place} is damaged ({error}): delete its folder") from error


def write_tensors(path: Path, tensors: Mapping[str, Any]) -> None:
    """Safetensors of detached copies on the processor; `OSError` when the disk refuses."""
    library = imported("safetensors.torch")
    values = {name: _storable(value) for name, value in tensors.items()}
    try:
        library.save_file(values, path)
    except imported("safetensors").SafetensorError as error:
        raise OSError(str(error)) from error


def read_tensors(path: Path) -> dict[str, Any]:
    """Tensors by name; `UsageError` for a file that is absent or damaged."""
    try:
        found: dict[str, Any] = imported("safetensors.torch").load_file(path)
    except (OSError, imported("safetensors").SafetensorError) as error:
        raise UsageError(f"{path} is damaged or absent ({error}): delete its folder") from error
    return found


def _storable(value: Any) -> Any:
    """With memory of its own, as the format demands."""
    value = value.detach().cpu().contiguous()
    whole = value.untyped_storage().nbytes() == value.numel() * value.element_size()
    return value if whole else value.clone()


def _flat(tree: Any, place: str, tensors: dict[str, Any]) -> Any:
    if isinstance(tree, torch.Tensor):
        tensors[place] = tree
        return {"tensor": place}
    if isinstance(tree, Mapping):
        pairs = [[key, _flat(value, f"{place}/{key}", tensors)] for key, value in tree.items()]
        assert all(isinstance(key, _PLAIN) for key, _ in pairs), place
        return {"mapping": pairs}
    if isinstance(tree, list | tuple):
        parts = [_flat(value, f"{place}/{nth}", tensors) for nth, value in enumerate(tree)]
        return {"list" if isinstance(tree, list) else "tuple": parts}
    assert isinstance(tree, _PLAIN), f"{place} is {type(tree).__name__}"
    return tree


def _whole(skeleton: Any, tensors: Mapping[str, Any]) -> Any:
    if not isinstance(skeleton, dict):
        return skeleton
    ((kind, inner),) = skeleton.items()
    if kind == "tensor":
        return tensors[inner]
    if kind == "mapping":
        return {key: _whole(value, tensors) for key, value in inner}
    parts = [_whole(value, tensors) for value in inner]
    return tuple(parts) if {"list": False, "tuple": True}[kind] else parts
