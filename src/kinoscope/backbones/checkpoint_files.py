"""What lies in a checkpoint's folder: found here or on the hub, read, hashed, never unpickled."""

import json
import os
import re
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kinoscope.errors import SetupError, UsageError
from kinoscope.libraries import imported
from kinoscope.packages import cache_folder, sha256_of

SETTINGS = "kinoscope.json"
"""Our own file beside a checkpoint: template, layer and sampling that it was made for."""
THINKING = "thinking.safetensors"
"""What was learned about thinking, beside any model of ours; Transformers does not read it."""

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_KINDS = (".json", ".safetensors", ".txt", ".jinja", ".model")  # no pickles, no code
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_SHOWN = 3  # names in a message
_POINTER = b"version https://git-lfs"
_MEMORY = "hashes.json"
_REMEMBERED = 4096  # hashes; a file then takes about a megabyte
_SETTLED_S = 0.1  # a younger file may change again without its time of change telling
_DIGEST = re.compile("[0-9a-f]{64}")

Shapes = dict[str, tuple[int, ...]]
"""Of weights, by name."""


def checkpoint_folder(model: str, *, offline: bool) -> Path:
    """The local folder of a checkpoint; a hub name is looked up in the local cache first.

    Raises `UsageError` for what is neither a folder nor a hub name, `SetupError` if the hub's
    files are not here and cannot be fetched.
    """
    if model and Path(model).is_dir():
        return Path(model).resolve()
    if not _HUB_NAME.fullmatch(model) or Path(model).exists():
        raise UsageError(
            f"model {model!r} is unknown: choose concepts, mini, the folder of a checkpoint,"
            " or a hub name such as Qwen/Qwen3-VL-8B-Instruct"
        )
    hub = imported("huggingface_hub")
    errors = imported("huggingface_hub.errors")
    known = (OSError, ValueError, errors.HfHubHTTPError, errors.HFValidationError)
    wanted = [f"*{suffix}" for suffix in _KINDS]
    try:
        found = Path(hub.snapshot_download(model, local_files_only=True, allow_patterns=wanted))
        if _is_whole(found):
            return found
        state = "only in part"
    except known:
        state = "not"
    if offline:
        raise SetupError(f"{model} is {state} on this machine: run kinoscope setup {model}")
    try:
        return Path(hub.snapshot_download(model, allow_patterns=wanted))
    except known as error:
        raise SetupError(
            f"{model} is {state} on this machine and could not be fetched ({reason(error)}):"
            " connect, or name a folder"
        ) from error


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A JSON object of the folder; empty where there is no such file.

    Raises `UsageError` if the file is no JSON object.
    """
    path = folder / name
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read as JSON: fetch the checkpoint again") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path} is no JSON object: fetch the checkpoint again")
    return values


def weight_files(folder: Path) -> list[Path]:
    """The files with a checkpoint's weights, without a look inside.

    Raises `UsageError` if there are none, if only pickles are there, or if one is absent.
    """
    if (folder / _WEIGHTS).is_file():
        return [folder / _WEIGHTS]
    shards = _shards(folder)
    absent = [name for name in shards if not (folder / name).is_file()]
    if absent:
        raise UsageError(f"{folder} lacks its weight file {absent[0]}: fetch the checkpoint again")
    if shards:
        return [folder / name for name in shards]
    pickles = sorted(p.name for p in folder.iterdir() if p.suffix in _PICKLES)
    if pickles:
        raise UsageError(
            f"{folder} has its weights as a pickle ({pickles[0]}), which may run code: save them as"
            " safetensors"
        )
    raise UsageError(f"{folder} lacks its weights: fetch {_WEIGHTS}, or all shards of {_INDEX}")


def weight_shapes(paths: Iterable[Path]) -> Shapes:
    """Shapes of all weights in safetensors files, read from their headers alone.

    Raises `UsageError` for a file that is damaged or cut off.
    """
    found: Shapes = {}
    for path in paths:
        with opened(path) as stored:
            names = stored.keys()
            found |= {name: tuple(stored.get_slice(name).get_shape()) for name in names}
    return found


def misfit(
    absent: Iterable[str],
    unknown: Iterable[str],
    reshaped: Iterable[tuple[str, Sequence[int], Sequence[int]]] = (),
) -> str:
    """What is wrong with weights, in words that follow "it"; empty where nothing is.

    Args:
        absent: names that are needed and not there.
        unknown: names that are there and not needed.
        reshaped: names with the shape that they have, and the shape that is needed.
    """
    shapes = [f"{name} is {list(has)}, not {list(needs)}" for name, has, needs in reshaped]
    faults = (("lacks", absent), ("has unknown", unknown), ("has misshapen", shapes))
    said = ((verb, sorted(names)) for verb, names in faults)
    return " and ".join(f"{verb} weights ({listed(names)})" for verb, names in said if names)


def shape_misfit(found: Shapes, needed: Shapes, optional: Collection[str] = ()) -> str:
    """`misfit` of two sets of weights; those that are `optional` may be absent."""
    both = sorted(found.keys() & needed.keys())
    return misfit(
        needed.keys() - found.keys() - set(optional),
        found.keys() - needed.keys(),
        [(name, found[name], needed[name]) for name in both if found[name] != needed[name]],
    )


def opened(path: Path) -> Any:
    """A safetensors file open for reading torch tensors, as safetensors gives it, checked whole.

    Raises `UsageError` for a file that is damaged or cut off.
    """
    library = imported("safetensors")
    try:
        return library.safe_open(path, framework="pt")
    except (OSError, library.SafetensorError) as error:
        with path.open("rb") as stream:
            pointer = stream.read(len(_POINTER)) == _POINTER
        if pointer:
            raise UsageError(f"{path} is only a pointer: run git lfs pull there") from error
        raise UsageError(
            f"{path} is damaged or cut off ({reason(error)}): fetch the checkpoint again"
        ) from error


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 by name of every file that decides a vector, remembered while the file is unchanged.

    `kinoscope.json` and the weights of thinking are not among them: the spec holds what they say.
    """
    memory = cache_folder() / _MEMORY
    known, fresh, found = _recall(memory), dict[str, str](), dict[str, str]()
    for path in _deciding(folder):
        began_s = time.time()
        key, changed_s = _state(path)
        value = known.get(key)
        if value is None:
            value = sha256_of(path)
            if began_s - changed_s > _SETTLED_S and _state(path) == (key, changed_s):
                fresh[key] = value
        found[path.relative_to(folder).as_posix()] = value
    if fresh:
        _remember(memory, fresh)
    return found


def reason(error: BaseException) -> str:
    """The first sentence of what an error says, or its name."""
    line = (str(error).strip().splitlines() or [""])[0]
    return line.split(". ")[0].rstrip(":. ") or type(error).__name__


def listed(names: Sequence[str]) -> str:
    """a, b, c and 9 more."""
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + rest


def _shards(folder: Path) -> list[str]:
    """Names of the weight files that the folder's index lists; none without an index."""
    index = read_json(folder, _INDEX)
    if not index:
        return []
    places = index.get("weight_map")
    names = list(places.values()) if isinstance(places, dict) else []
    if not names or not all(isinstance(n, str) and Path(n).name == n for n in names):
        raise UsageError(f"{folder / _INDEX} lists no weight files: fetch the checkpoint again")
    return sorted(set(names))


def _is_whole(folder: Path) -> bool:
    """Whether a snapshot has a configuration and all its weights; a broken fetch leaves less."""
    try:
        return (folder / "config.json").is_file() and bool(weight_files(folder))
    except UsageError:
        return False


def _deciding(folder: Path) -> Iterator[Path]:
    """What Transformers reads of a folder: not what was trained or saved in folders below it."""
    for place in (folder, folder / "additional_chat_templates"):
        for path in sorted(place.glob("*")):
            if path.suffix in _KINDS and path.name not in (SETTINGS, THINKING) and path.is_file():
                yield path


def _state(path: Path) -> tuple[str, float]:
    """A key that is another one after each change of the file, and when it changed."""
    place, status = path.resolve(), path.stat()
    times = f"{status.st_mtime_ns} {status.st_ctime_ns}"
    changed_s = max(status.st_mtime, status.st_ctime)
    return f"{place} {status.st_size} {times} {status.st_ino}", changed_s


def _recall(memory: Path) -> dict[str, str]:
    """What is remembered and well formed."""
    try:
        values = json.loads(memory.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    pairs = values.items() if isinstance(values, dict) else ()
    return {k: v for k, v in pairs if isinstance(v, str) and _DIGEST.fullmatch(v)}


def _remember(memory: Path, fresh: dict[str, str]) -> None:
    """Adds hashes for the next time, the oldest making room; else they are computed again."""
    known = {key: value for key, value in _recall(memory).items() if key not in fresh} | fresh
    kept = dict(list(known.items())[-_REMEMBERED:])
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(suffix=".partial", dir=memory.parent)
        try:
            with os.fdopen(descriptor, "w") as stream:
                json.dump(kept, stream)
            Path(draft).replace(memory)
        finally:
            Path(draft).unlink(missing_ok=True)
    except OSError:
        return
