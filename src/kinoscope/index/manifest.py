"""Small files of an index folder: manifest, sources, writer's lock; and disk errors in words."""

import errno
import json
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kinoscope.addresses import path_of
from kinoscope.durable import flush
from kinoscope.errors import IndexFault, UsageError
from kinoscope.index.tables import Panics
from kinoscope.types import EmbedderSpec

if TYPE_CHECKING:
    from filelock import BaseFileLock

FORMAT = 3
"""1: clips without thoughts; 2: with them; 3: each clip with a check, the manifest twice."""
MANIFEST = "kinoscope.json"
COPY = "kinoscope.copy.json"
SOURCES = "sources.json"
LIMITS = "limits.json"
DERIVED = "derived"
"""Search arrays, named by versions of the tables: they leave when a version is taken back."""
LOCK = "writer.lock"
WRITER = "writer.pid"
OPTIMISING = "optimising"
"""What a writer says of itself that may be waited for: it takes seconds, and nobody asked."""
_PATIENCE_S = 1.0  # then it is looked who writes

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)
# what LanceDB, and `store`, say of files that are cut, overwritten or gone; all else may pass
_CORRUPTION = re.compile(
    r"corrupt|magic|not found|invalid (range|input|wire)|too small|fill whole buffer"
    r"|(failed to|can't) decode|other columns",
    re.IGNORECASE,
)
_LARGEST_DIMENSION = 2**16
MEMORY_MB = 2048
"""Of an index for which nobody has said how much memory a search may hold."""
_LARGEST_MEMORY_MB = 2**30


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What an index folder says of itself; `id` tells a re-created index from the one before it."""

    id: str
    spec: EmbedderSpec
    format: int = FORMAT


@contextmanager
def disk_faults(folder: Path) -> Iterator[None]:
    """Turns what the disk or LanceDB says about `folder` into one `IndexFault` sentence."""
    try:
        with Panics():
            yield
    except (OSError, RuntimeError, ValueError) as error:
        raise IndexFault(_explain(folder, error)) from error


def system_code(error: BaseException) -> int | None:
    """The number of a system error, which LanceDB gives as text: `... (os error 28), ...`."""
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found.group(1)) if found else getattr(error, "errno", None)


def _explain(folder: Path, error: OSError | RuntimeError | ValueError) -> str:
    code = system_code(error)
    if code in _FULL:
        return f"disk is full at {folder}: free space and run the same command again"
    if code in _FORBIDDEN:
        return f"no permission to use {folder} ({os.strerror(code)}): check its owner and mount"
    reason = _reason(error)
    gone = code == errno.ENOENT  # one file of a table, if LanceDB misses it
    if not isinstance(error, OSError) and (gone or (not code and is_damage(reason))):
        return f"index at {folder} is damaged ({reason}): {_remedy(folder)}"
    if code and not isinstance(error, OSError):
        reason = os.strerror(code)
    return f"cannot use {folder} ({reason}): try again, then check the path and the disk"


def is_damage(reason: str) -> bool:
    """Whether LanceDB's words are of files that are cut, overwritten or gone."""
    return _CORRUPTION.search(reason) is not None


def _remedy(folder: Path) -> str:
    return f"see what can be saved with `kinoscope doctor --repair --index {folder}`"


def _reason(error: OSError | RuntimeError | ValueError) -> str:
    """One line, without the place in LanceDB's source."""
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return words.splitlines()[0].split(", /")[0]


def write_json(path: Path, value: object) -> None:
    """Replaces a JSON file atomically and durably; raises `IndexFault` when the disk refuses."""
    draft = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    with disk_faults(path.parent):
        try:
            with draft.open("x", encoding="utf-8") as stream:
                json.dump(value, stream, indent=1)
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(path)
            flush(path.parent)
        finally:
            draft.unlink(missing_ok=True)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Makes `folder` an index: the last step of creation. The copy is for a repair alone."""
    values = manifest_values(manifest)
    write_json(folder / COPY, values)
    write_json(folder / MANIFEST, values)


def manifest_values(manifest: Manifest) -> dict[str, object]:
    """As JSON holds them."""
    return {"format": manifest.format, "id": manifest.id, "spec": asdict(manifest.spec)}


def new_manifest(spec: EmbedderSpec) -> Manifest:
    """With an id that no other index has."""
    return Manifest(id=uuid.uuid4().hex, spec=spec)


def read_manifest(folder: Path, name: str = MANIFEST) -> Manifest:
    """Raises `IndexFault` if `folder` is missing, foreign, damaged or of a newer format."""
    path = folder / name
    try:
        values = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise IndexFault(_absent(folder)) from None
    except OSError as error:
        raise IndexFault(_explain(folder, error)) from error
    except (ValueError, RecursionError):
        raise IndexFault(_damaged(str(path), "it is not JSON", _remedy(folder))) from None
    return checked_manifest(str(path), values, remedy=_remedy(folder))


def _absent(folder: Path) -> str:
    if not folder.exists():
        return f"no index at {folder}: create it with `kinoscope index`, or check the path"
    if (folder / COPY).exists():
        return without_manifest(folder)
    return f"{folder} is not a Kinoscope index (no {MANIFEST} inside): check the path"


def without_manifest(folder: Path) -> str:
    """A sentence about an index of which only the copy of the manifest is left."""
    return f"{folder} has lost its {MANIFEST}: {_remedy(folder)}"


def _damaged(name: str, reason: str, remedy: str) -> str:
    return f"{name} is damaged ({reason}): {remedy}"


def checked_manifest(name: str, values: object, *, remedy: str) -> Manifest:
    """What JSON says of an index; raises `IndexFault` for a newer format, or what nobody wrote.

    `name` is where it was read, `remedy` what helps against damage.
    """
    if not isinstance(values, dict) or type(values.get("format")) is not int:
        raise IndexFault(_damaged(name, "it names no format", remedy))
    if values["format"] > FORMAT:
        raise IndexFault(
            f"{name} has format {values['format']}, this version reads up to {FORMAT}: "
            "upgrade kinoscope"
        )
    foreign = set(values) ^ {"format", "id", "spec"}
    if foreign or values["format"] < 1 or not _is_id(values["id"]):
        reason = f"unexpected or missing {sorted(foreign) or 'values'}"
        raise IndexFault(_damaged(name, reason, remedy))
    try:
        spec = EmbedderSpec.from_dict(values["spec"])
    except UsageError as error:
        raise IndexFault(_damaged(name, str(error), remedy)) from None
    if not 1 <= spec.dimension <= _LARGEST_DIMENSION:
        raise IndexFault(_damaged(name, f"dimension {spec.dimension}", remedy))
    return Manifest(id=values["id"], spec=spec, format=values["format"])


def _is_id(value: object) -> bool:
    """The id becomes part of a folder's name, so that `../x` must not pass."""
    return isinstance(value, str) and re.fullmatch("[0-9a-z]{1,64}", value) is not None


def read_sources(folder: Path) -> tuple[Path, ...]:
    """Folders and files the index watches; empty if none were added yet."""
    path = folder / SOURCES
    values = _values(path, absent=[])
    return checked_sources(
        str(path), values, remedy="delete it and name the folders to index again"
    )


def checked_sources(name: str, values: object, *, remedy: str) -> tuple[Path, ...]:
    """What JSON says is watched; raises `IndexFault` for anything but absolute paths."""
    if not isinstance(values, list) or not all(map(_is_source, values)):
        raise IndexFault(f"{name} is damaged: {remedy}")
    return tuple(map(path_of, values))


def _values(path: Path, *, absent: object) -> object:
    """What a small file holds: `absent` if it is not there, None if it is no JSON."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return absent
    except OSError as error:
        raise IndexFault(_explain(path.parent, error)) from error
    except (ValueError, RecursionError):
        return None


def read_memory_mb(folder: Path) -> int:
    """MiB that a search on this index may hold."""
    values = _values(folder / LIMITS, absent={"memory_mb": MEMORY_MB})
    found = values.get("memory_mb") if isinstance(values, dict) else None
    if type(found) is not int or not 0 <= found <= _LARGEST_MEMORY_MB:
        raise IndexFault(
            f"{folder / LIMITS} is damaged: delete it, then say the limit again with"
            " `kinoscope index optimize --memory-mb`"
        )
    return found


def write_memory_mb(folder: Path, memory_mb: int) -> None:
    """Sets how many MiB a search on this index may hold; `UsageError` for no such number."""
    if not 0 <= memory_mb <= _LARGEST_MEMORY_MB:
        raise UsageError(f"memory of {memory_mb} MiB: give 0 to {_LARGEST_MEMORY_MB}")
    with disk_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)  # what this machine keeps of a far index
    write_json(folder / LIMITS, {"memory_mb": memory_mb})


def _is_source(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value and path_of(value).is_absolute()


def write_sources(folder: Path, sources: Sequence[Path]) -> None:
    """Replaces the list of watched paths."""
    write_json(folder / SOURCES, [str(source) for source in sources])


def writer_lock(folder: Path) -> "BaseFileLock":
    """The lock that one writer holds; entering it twice in one process is counted, not blocked."""
    from filelock import FileLock

    return FileLock(folder / LOCK, timeout=0, thread_local=False)


@contextmanager
def locked(folder: Path, lock: "BaseFileLock", role: str = "") -> Iterator[None]:
    """Holds the writer's lock; raises `IndexFault` naming the process that has it.

    One that only tidies up, in the role of `OPTIMISING`, is waited for.
    """
    with disk_faults(folder):
        _acquire(folder, lock)
    try:
        if lock.lock_counter == 1:
            with disk_faults(folder):
                (folder / WRITER).write_text(f"{os.getpid()} {role}".strip())
        yield
    finally:
        lock.release()


def _acquire(folder: Path, lock: "BaseFileLock") -> None:
    from filelock import Timeout

    while True:
        try:
            lock.acquire(timeout=_PATIENCE_S if _writer(folder).endswith(OPTIMISING) else 0)
            return
        except Timeout:
            if not (writer := _writer(folder)).endswith(OPTIMISING):
                raise IndexFault(
                    f"another process is indexing {folder} (pid {writer.split()[0]}): "
                    "wait for it or stop it"
                ) from None


def _writer(folder: Path) -> str:
    """Process id of the last writer, and its role if it has one."""
    try:
        return (folder / WRITER).read_text()[:40].strip() or "unknown"
    except (OSError, ValueError):
        return "unknown"
