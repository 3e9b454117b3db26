"""Mends a damaged index: goes back to what can be read, and forgets what must be decoded again."""

import logging
import shutil
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kinoscope.addresses import Where, is_url
from kinoscope.durable import Flusher, flush
from kinoscope.errors import IndexFault, UsageError
from kinoscope.index import manifest, migration, rows, salvage
from kinoscope.index.manifest import Manifest, disk_faults
from kinoscope.index.place import Folder
from kinoscope.index.store import Store
from kinoscope.index.tables import manifest_of

if TYPE_CHECKING:
    import pyarrow as pa
    from lancedb.table import Table

log = logging.getLogger(__name__)

ASIDE = "damaged"
"""Folder inside an index for what a repair takes out of use; nothing reads it."""
_TABLES = ("clips", "files")


@dataclass(frozen=True, kw_only=True)
class Mending:
    """What was wrong in one place, and what mends it: done, or to be done."""

    name: str
    wrong: str
    remedy: str
    done: bool


def repair(where: Where, *, write: bool = False) -> Iterator[Mending]:
    """Yields what is wrong with an index; with `write` it is mended when it is yielded.

    No row that can be read and is undamaged is lost: unreadable versions of a table are set aside
    in `damaged/`, not deleted, and what has lost its vectors is forgotten, so that the next run of
    indexing decodes it again. Without `write`, damage behind an unreadable table is not seen yet.
    Raises `IndexFault` for a folder that is no index, is locked, or cannot be mended.
    """
    if is_url(where):
        raise UsageError(f"{where}: only an index on a disk is mended; copy it to a folder first")
    folder = Path(where).absolute()
    if not any((folder / name).exists() for name in (manifest.MANIFEST, manifest.COPY)):
        manifest.read_manifest(folder)  # says what is missing
    unreadable = False
    lock = manifest.locked(folder, manifest.writer_lock(folder)) if write else nullcontext()
    with lock:
        for mending in _files_of(folder, write):
            yield mending
            unreadable = unreadable or mending.name != manifest.SOURCES
    if unreadable and not write:
        return
    store = Store.open(folder)
    for step in (_settled, _clips, _search_arrays):  # each takes the lock itself
        yield from step(store, write)


def _files_of(folder: Path, write: bool) -> Iterator[Mending]:
    """What a store cannot be opened without."""
    for mending in _manifest(folder, write):
        yield mending
        if not write:
            return
    identity = manifest.read_manifest(folder)
    yield from _sources(folder, write)
    for name in _TABLES:
        yield from _table(folder, name, identity, write)


def damaged_videos(store: Store) -> set[str]:
    """Videos with a clip that is not what was written, or whose vector is no unit vector."""
    found: set[str] = set()
    with store.place.faults(), _present_clips(store) as clips:
        for piece in salvage.readable(clips):
            found |= _damaged_of(piece, store.spec.dimension)
    return found


def _present_clips(store: Store) -> "AbstractContextManager[Table]":
    if not isinstance(store.place, Folder):
        return nullcontext(store.place.connect().open_table("clips"))
    return salvage.opened(store.folder / "clips.lance", store.versions()[0], store.spec)


def _damaged_of(piece: "pa.Table", dimension: int) -> set[str]:
    vectors = piece["vector"].combine_chunks()
    vectors_ND = vectors.flatten().to_numpy().reshape(-1, dimension)
    lengths_N = np.linalg.norm(vectors_ND.astype(np.float64), axis=1)
    wrong_N = ~(np.abs(lengths_N - 1) < 1e-3)  # also true for NaN
    if rows.CHECK in piece.column_names:
        wrong_N |= piece[rows.CHECK].to_numpy() != rows.checks_of(piece)
    return {piece["video_id"][int(row)].as_py() for row in np.flatnonzero(wrong_N)}


# --- one function a place; each yields nothing where all is well


def _manifest(folder: Path, write: bool) -> Iterator[Mending]:
    """The manifest from its copy, or the copy from the manifest."""
    names = (manifest.MANIFEST, manifest.COPY)
    found: dict[str, Manifest] = {}
    reasons: dict[str, IndexFault] = {}
    for name in names:
        try:
            found[name] = manifest.read_manifest(folder, name)
        except IndexFault as error:
            reasons[name] = error
    if not found:
        raise reasons[manifest.MANIFEST]
    good = next(iter(found.values()))
    if len(found) == 2 and found[manifest.COPY] == good:
        return
    if good.format < manifest.FORMAT and manifest.COPY not in found:
        return  # formats 1 and 2 have none
    if write:
        for name in reasons:
            _set_aside(folder, folder / name)
        manifest.write_manifest(folder, good)
    yield Mending(
        name=next(iter(reasons), manifest.COPY),
        wrong="damaged, missing, or not as its copy",
        remedy="write it again from the copy that can be read",
        done=write,
    )


def _sources(folder: Path, write: bool) -> Iterator[Mending]:
    try:
        manifest.read_sources(folder)
    except IndexFault as error:
        if write:
            _set_aside(folder, folder / manifest.SOURCES)
        remedy = "set it aside: name your folders once more with `kinoscope index PATH...`"
        yield Mending(name=manifest.SOURCES, wrong=str(error), remedy=remedy, done=write)


def _table(folder: Path, name: str, identity: Manifest, write: bool) -> Iterator[Mending]:
    table = folder / f"{name}.lance"
    with disk_faults(folder):
        found = salvage.examine(table, identity.spec)
        if found.is_whole:
            return
        if write:
            _go_back(folder, table, identity, found)
    yield Mending(name=table.name, wrong=found.reason, remedy=_remedy(found), done=write)


def _remedy(found: salvage.Salvage) -> str:
    if not found.version:
        return "set it aside whole and begin an empty one: index again, all is decoded anew"
    words = f"go back to version {found.version}" if found.newer else "stay with this version"
    lost = f", without {found.lost} rows that cannot be read" if found.lost else ""
    return f"{words} of {found.rows + found.lost} rows{lost}; unusable ones go to {ASIDE}/"


def _go_back(folder: Path, table: Path, identity: Manifest, found: salvage.Salvage) -> None:
    import lancedb
    import pyarrow as pa

    name = table.stem
    tables = lancedb.connect(folder)
    shutil.rmtree(folder / manifest.DERIVED, ignore_errors=True)
    if not found.version:
        if table.exists():
            _set_aside(folder, table)
        tables.create_table(name, schema=migration.schemas(name, identity.spec)[0])
        return
    for version in found.newer:
        _set_aside(folder, manifest_of(table, version))
    (table / "_versions" / "latest_version_hint.json").unlink(missing_ok=True)
    if found.lost:
        stored = tables.open_table(name)
        batches = (batch for piece in salvage.readable(stored) for batch in piece.to_batches())
        reader = pa.RecordBatchReader.from_batches(stored.schema, batches)
        stored.add(reader, mode="overwrite")
    Flusher(table).flush()


def _settled(store: Store, write: bool) -> Iterator[Mending]:
    """What every writer mends when it begins."""
    decoded_anew = "forget them; index again: what is still on disk is decoded anew"
    told = f"format {store.format}, this version writes {manifest.FORMAT}"
    found = {
        "format": (int(store.is_outdated()), told, "bring it up to date"),
        "lost clips": (n := store.count_lost(), f"{n} videos whose clips are lost", decoded_anew),
        "orphans": (n := store.count_orphans(), f"{n} videos that no file shows", decoded_anew),
    }
    if write and any(count for count, *_ in found.values()):
        with store.writing():
            pass
    for name, (count, wrong, remedy) in found.items():
        if count:
            yield Mending(name=name, wrong=wrong, remedy=remedy, done=write)


def _clips(store: Store, write: bool) -> Iterator[Mending]:
    damaged = damaged_videos(store)
    if not damaged:
        return
    if write:
        store.forget(damaged)
    words = f"clips of {len(damaged)} videos are not what was written"
    yield Mending(name="damaged clips", wrong=words, remedy="forget them; index again", done=write)


def _search_arrays(store: Store, write: bool) -> Iterator[Mending]:
    """Those of the tables' present state that differ from the tables."""
    from kinoscope.index.derived import differs

    wrong = differs(store)
    if not wrong:
        return
    if write:
        with disk_faults(store.folder):
            shutil.rmtree(store.folder / manifest.DERIVED)
    remedy = "delete them: the next search builds them"
    yield Mending(name="search arrays", wrong=wrong, remedy=remedy, done=write)


def _set_aside(folder: Path, path: Path) -> None:
    """Moves a file or folder of the index out of use."""
    if not path.exists():
        return
    aside = folder / ASIDE
    with disk_faults(folder):
        aside.mkdir(exist_ok=True)
        path.rename(aside / f"{path.parent.parent.name}-{path.name}-{uuid.uuid4().hex[:8]}")
        flush(path.parent)
        flush(aside)
    log.warning("set %s aside in %s", path, aside)
