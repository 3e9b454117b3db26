"""What search reads: vectors and columns of an index as mapped arrays, rebuilt when out of date."""

import errno
import hashlib
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO, Literal

import numpy as np

from kinoscope.durable import flush
from kinoscope.embedder import PRIOR_VIDEOS
from kinoscope.errors import IndexFault, UsageError
from kinoscope.index import partitions
from kinoscope.index.catalog import Catalog, build_catalog
from kinoscope.index.manifest import DERIVED
from kinoscope.index.mapped import blocks, write_vectors
from kinoscope.index.rows import ClipTable
from kinoscope.index.store import Store
from kinoscope.index.vectors import (
    EXACT_LIMIT,
    ExactSearcher,
    ScanSearcher,
    Searcher,
    StoredSearcher,
    build_scan,
    load_scan,
    scan_bytes,
)
from kinoscope.types import Bool, Float32, Float64

log = logging.getLogger(__name__)

FORMAT = 4
FOLDER = DERIVED
_NAMES = "names.json"
_VECTORS = "vectors_ND"
_SCAN = "scan.tv"
_ABANDONED_S = 3600.0  # a draft this old belongs to a killed build
_SUPERSEDED_S = 3600.0  # a reader that has not noticed by then has left
_ATTEMPTS = 20  # to publish, against other readers


# type and number of dimensions of each saved array
_ARRAYS: dict[str, tuple[type[np.generic], int]] = {
    "vectors_ND": (np.float32, 2),
    "video_N": (np.int64, 1),
    "scale_N": (np.int64, 1),
    "start_s_N": (np.float64, 1),
    "end_s_N": (np.float64, 1),
    "duration_s_V": (np.float64, 1),
    "whole_mean_D": (np.float64, 1),
    "path_video_P": (np.int64, 1),
    "mtime_s_P": (np.float64, 1),
    "steps_N": (np.int64, 1),
    "reason_N": (np.int64, 1),
}
_LISTS = ("paths", "scales", "reasons")

Kind = Literal["exact", "scan", "partitions"]
"""How nearest rows are found: by all vectors, by codes in memory, by codes on disk."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """With more rows than `exact_limit`, codes go first: in memory, if they fit into it."""

    exact_limit: int = EXACT_LIMIT
    memory_bytes: int

    def kind(self, rows: int, dimension: int) -> Kind:
        """What suits an index of that size."""
        if rows <= self.exact_limit:
            return "exact"
        return "scan" if scan_bytes(rows, dimension) <= self.memory_bytes else "partitions"


@dataclass(frozen=True, eq=False, kw_only=True)
class Derived:
    """Everything that a query needs, for one state of the index.

    Attributes:
        stamp: names that state.
        catalog: columns of clips, videos and paths.
        searcher: finds nearest rows of the catalog.
        mean_D: the library's mean, which a score is measured from; zeros without centring.
        moment_N: rows that are moments: windows, or the whole of a video without windows.
        whole_N: rows that stand for whole videos.
    """

    stamp: str
    catalog: Catalog
    searcher: Searcher
    mean_D: Float64
    moment_N: Bool
    whole_N: Bool

    @property
    def kind(self) -> Kind:
        """How nearest rows are found."""
        match self.searcher:
            case ExactSearcher():
                return "exact"
            case ScanSearcher():
                return "scan"
        return "partitions"


def open_derived(
    store: Store, reference_mean_D: Float32 | None = None, *, exact_limit: int = EXACT_LIMIT
) -> Derived:
    """Maps the derived arrays of a store; builds them first if absent, damaged or out of date.

    Args:
        store: the index.
        reference_mean_D: prior of the library's mean; None for a model without centring.
        exact_limit: with more rows than this, codes go first, see `Limits`; how much memory they
            may take is said in the index, see `Store.memory_mb`.

    On a read-only or full disk they are built in memory, with a warning.
    Raises `IndexFault` if the tables cannot be read.
    """
    shape = (store.spec.dimension,)
    if reference_mean_D is not None and reference_mean_D.shape != shape:
        raise UsageError(
            f"reference mean of shape {list(reference_mean_D.shape)}, not {list(shape)}"
        )
    limits = Limits(exact_limit=exact_limit, memory_bytes=store.memory_mb() * 2**20)
    stamp = stamp_of(store)
    try:
        return _load(store.folder / FOLDER / stamp, reference_mean_D, limits)
    except FileNotFoundError:
        log.info("search arrays of %s are absent or out of date: building them", store.folder)
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        log.warning("search arrays of %s are damaged (%s): building them", store.folder, error)
    try:
        return _load(_save(store, limits), reference_mean_D, limits)
    except OSError as error:
        log.warning("cannot keep search arrays (%s): every start builds them in memory", error)
    return _in_memory(store, reference_mean_D, limits)


def differs(store: Store) -> str:
    """How saved arrays of the present state differ from the tables; empty if not, or if absent."""
    versions, files, clips = store.snapshot()
    try:
        saved = _load_catalog(store.folder / FOLDER / stamp_of(store, versions))[0]
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        return f"damaged ({error})"
    true = build_catalog(clips, files)
    arrays = (n for n in _ARRAYS if not np.array_equal(getattr(saved, n), getattr(true, n)))
    lists = (name for name in _LISTS if getattr(saved, name) != getattr(true, name))
    wrong = [*arrays, *lists]
    return f"{', '.join(wrong)} are not those of the tables" if wrong else ""


def stamp_of(store: Store, versions: tuple[int, int] | None = None) -> str:
    """Names one state of one index: a change of either table or a new index gives another."""
    clips, files = versions or store.versions()
    return f"{FORMAT}-{store.id}-{store.spec.fingerprint}-{clips}-{files}"


def library_mean(whole_mean_D: Float64, videos: int, reference_mean_D: Float32 | None) -> Float64:
    """Mean of the V whole-video vectors, as if the reference mean were `PRIOR_VIDEOS` further ones.

    Without a reference the model needs no centring, and the mean is zero.
    """
    if reference_mean_D is None:
        return np.zeros_like(whole_mean_D)
    prior_D = PRIOR_VIDEOS * reference_mean_D.astype(np.float64)
    return np.asarray((videos * whole_mean_D + prior_D) / (videos + PRIOR_VIDEOS))


def _check_lengths(folder: Path, vectors_ND: Float32) -> None:
    """One NaN among the vectors would spoil every ranking."""
    for block in blocks(vectors_ND):
        lengths_N = np.linalg.norm(block, axis=1)
        if not (np.abs(lengths_N - 1) < 1e-3).all():  # also false for NaN
            raise IndexFault(
                f"{folder} holds damaged vectors: see what can be saved with"
                f" `kinoscope doctor --repair --index {folder}`"
            )


def _derived(
    stamp: str, catalog: Catalog, searcher: Searcher, reference_mean_D: Float32 | None
) -> Derived:
    videos = len(catalog.duration_s_V)
    return Derived(
        stamp=stamp,
        catalog=catalog,
        searcher=searcher,
        mean_D=library_mean(catalog.whole_mean_D, videos, reference_mean_D),
        moment_N=catalog.moment_N,
        whole_N=catalog.whole_N,
    )


def _in_memory(store: Store, reference_mean_D: Float32 | None, limits: Limits) -> Derived:
    versions, files, clips = store.snapshot()
    _check_lengths(store.folder, clips.vectors_ND)
    catalog, vectors_ND = build_catalog(clips, files), clips.vectors_ND
    exact = len(clips) <= limits.exact_limit
    searcher = (
        ExactSearcher(vectors_ND) if exact else ScanSearcher(vectors_ND, build_scan(vectors_ND))
    )
    return _derived(stamp_of(store, versions), catalog, searcher, reference_mean_D)


def _load(folder: Path, reference_mean_D: Float32 | None, limits: Limits) -> Derived:
    """Maps saved arrays; `FileNotFoundError` if absent, other plain errors if damaged."""
    catalog, names = _load_catalog(folder)
    vectors_ND = catalog.vectors_ND
    rows, dimension = vectors_ND.shape
    searcher: Searcher = ExactSearcher(vectors_ND)
    kind = limits.kind(rows, dimension)
    if kind not in ("exact", names["search"]):
        raise FileNotFoundError(errno.ENOENT, "made under another limit", str(folder))
    if kind != "exact" and _digest(folder, kind) != names["codes_sha256"]:
        raise ValueError("codes are not what was written")
    match kind:
        case "scan":
            searcher = ScanSearcher(vectors_ND, load_scan(folder / _SCAN, rows, dimension))
        case "partitions":
            place = folder / partitions.FOLDER
            codes = partitions.Partitions(place, rows, limits.memory_bytes)
            searcher = StoredSearcher(vectors_ND, codes, limits.exact_limit)
    return _derived(folder.name, catalog, searcher, reference_mean_D)


def _load_catalog(folder: Path) -> tuple[Catalog, dict[str, Any]]:
    names = json.loads((folder / _NAMES).read_bytes())
    if not all(isinstance(name, str) for part in _LISTS for name in names[part]):
        raise ValueError(f"{_NAMES} has another form")
    columns: dict[str, Any] = {part: tuple(names[part]) for part in _LISTS}
    columns |= {name: _load_array(folder / f"{name}.npy", *form) for name, form in _ARRAYS.items()}
    catalog = Catalog(**columns)
    damage = catalog.find_damage()
    if damage:
        raise ValueError(damage)
    return catalog, names


def _load_array(path: Path, kind: "type[np.generic]", dimensions: int) -> "np.ndarray[Any, Any]":
    try:
        array = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except TokenError as error:  # what NumPy says of some damaged headers
        raise ValueError(f"{path.name} has no header ({error})") from error
    if array.dtype != kind or array.ndim != dimensions:
        raise ValueError(f"{path.name} holds {array.dtype} {list(array.shape)}")
    return array


def _save(store: Store, limits: Limits) -> Path:
    """Writes a hidden draft, vectors by stream, then gives it its name: it is whole or absent."""
    draft = store.folder / FOLDER / f".{uuid.uuid4().hex}"
    try:
        draft.mkdir(parents=True)
        versions, files, keys, vectors = store.stream()
        path = draft / f"{_VECTORS}.npy"
        write_vectors(path, (len(keys), store.spec.dimension), vectors)
        vectors_ND = _load_array(path, *_ARRAYS[_VECTORS])
        _check_lengths(store.folder, vectors_ND)
        _write(draft, build_catalog(ClipTable(**vars(keys), vectors_ND=vectors_ND), files), limits)
        folder = store.folder / FOLDER / stamp_of(store, versions)
        _publish(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    sweep(folder)
    return folder


def _write(draft: Path, catalog: Catalog, limits: Limits) -> None:
    """All but the vectors, which are there, and what the way of search needs."""
    for name in _ARRAYS.keys() - {_VECTORS}:
        with _durable(draft / f"{name}.npy") as stream:
            np.save(stream, getattr(catalog, name), allow_pickle=False)
    names: dict[str, Any] = {part: getattr(catalog, part) for part in _LISTS}
    names["search"] = kind = limits.kind(*catalog.vectors_ND.shape)
    match kind:
        case "scan":
            build_scan(catalog.vectors_ND).write(str(draft / _SCAN))
            flush(draft / _SCAN)
        case "partitions":
            partitions.build_partitions(draft / partitions.FOLDER, catalog)
    names["codes_sha256"] = "" if kind == "exact" else _digest(draft, kind)
    with _durable(draft / _NAMES) as stream:
        stream.write(json.dumps(names).encode())
    flush(draft)


@contextmanager
def _durable(path: Path) -> Iterator[BinaryIO]:
    """A new file that is on the disk, not only on its way there, when it is closed."""
    with path.open("xb") as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


def _digest(folder: Path, kind: Kind) -> str:
    """SHA-256: damaged codes would load, and rank wrongly without a word."""
    files = [folder / _SCAN] if kind == "scan" else partitions.code_files(folder)
    found = hashlib.sha256()
    for path in files:
        with path.open("rb") as stream:
            found.update(hashlib.file_digest(stream, "sha256").digest())
    return found.hexdigest()


def _publish(draft: Path, folder: Path) -> None:
    """Gives a draft its name; what has that name is damaged, or another reader's just now.

    Several readers may do so at once, each in the way of the others: then it is tried again.
    """
    old = draft.with_name(draft.name + "-damaged")
    for attempt in range(_ATTEMPTS):
        try:
            draft.rename(folder)
            return
        except OSError:
            if attempt == _ATTEMPTS - 1:
                raise
        with suppress(FileNotFoundError):  # another reader has it out of the way by now
            folder.rename(old)
        shutil.rmtree(old, ignore_errors=True)


def sweep(current: Path) -> None:
    """Removes older states, and drafts of killed builds; a reader keeps what it has mapped.

    Partitions are read when they are asked: the last state that has some stays for an hour.
    """
    old = []
    for entry in current.parent.iterdir():
        draft = entry.name.startswith(".")
        if draft and time.time() - entry.stat().st_mtime < _ABANDONED_S:
            continue  # another process may be writing it
        if draft or (entry != current and not _is_newer(entry.name, current.name)):
            old.append(entry)
    asked = [entry for entry in old if (entry / partitions.FOLDER).is_dir()]
    if asked and time.time() - current.stat().st_mtime < _SUPERSEDED_S:
        old.remove(max(asked, key=lambda entry: entry.stat().st_mtime))
    for entry in old:
        shutil.rmtree(entry, ignore_errors=True)


def _is_newer(stamp: str, current: str) -> bool:
    """Whether a state of the same index has a later version: a slow reader must leave it alone."""
    (index, *versions), (same, *limits) = stamp.rsplit("-", 2), current.rsplit("-", 2)
    if index != same or not all(map(str.isdecimal, versions)):
        return False
    return any(int(a) > int(b) for a, b in zip(versions, limits, strict=True))
