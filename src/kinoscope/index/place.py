"""Where an index lies: a folder of this machine, or an address in object storage."""

import errno
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from kinoscope.addresses import Where, is_url
from kinoscope.durable import Flusher, tree_bytes
from kinoscope.errors import IndexFault
from kinoscope.index import manifest
from kinoscope.index.manifest import Manifest, disk_faults
from kinoscope.index.tables import cut_short, go_back, version_of

if TYPE_CHECKING:
    import pyarrow as pa
    from filelock import BaseFileLock
    from lancedb.db import DBConnection

TABLES = ("clips", "files")
# what a creation that was killed may have left behind
_OWN_ENTRIES = {"clips.lance", "files.lance", manifest.COPY, manifest.LOCK, manifest.WRITER}


class Place(Protocol):
    """What a store needs beside the rows of its tables. `name` is what a person calls the place.

    `folder` is the index itself, or where this machine keeps what it derives from one that is far.
    """

    name: str
    folder: Path

    def faults(self) -> AbstractContextManager[None]:
        """Turns what the disk, the network or LanceDB says into one `IndexFault` sentence."""

    def connect(self) -> "DBConnection":
        """LanceDB's connection to the tables."""

    def is_index(self) -> bool:
        """Whether there is the manifest of an index, of whatever format."""

    def create(self, schemas: "Mapping[str, pa.Schema]", identity: Manifest) -> None:
        """Makes empty tables, then the manifest; `IndexFault` if there is anything already."""

    def manifest(self) -> Manifest:
        """Raises `IndexFault` if it is missing, damaged or of a newer format."""

    def write_manifest(self, identity: Manifest) -> None:
        """Replaces it atomically."""

    def sources(self) -> tuple[Path, ...]:
        """What the index watches."""

    def write_sources(self, sources: Sequence[Path]) -> None:
        """Replaces the list atomically."""

    def locked(self, role: str = "") -> AbstractContextManager[bool]:
        """Keeps other writers away; true where it is not yet held by this one.

        `role` is for `manifest.OPTIMISING`, which others wait for.
        """

    def settle(self) -> None:
        """Waits until all that was ever written is where a power cut does not reach it."""

    def changing(self, table: str) -> AbstractContextManager[None]:
        """Surrounds one change of a table: afterwards it is durable and whole, or taken back."""

    def version(self, table: str) -> int:
        """Of a table; it grows with every change."""

    def size_bytes(self) -> int | None:
        """Of all that is stored; None where that is not known without asking for every object."""


def place_of(where: Where) -> Place:
    """The place of that name; `UsageError` for an address that is no object storage."""
    if not is_url(where):
        return Folder(Path(where))
    from kinoscope.index.bucket import Bucket

    return Bucket(str(where))


class Folder:
    """An index folder. One writer at a time, by a lock file; each step waits for the disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.name = str(self.folder)

    def faults(self) -> AbstractContextManager[None]:
        """See `Place.faults`."""
        return disk_faults(self.folder)

    def connect(self) -> "DBConnection":
        """See `Place.connect`."""
        import lancedb

        return lancedb.connect(self.folder)

    def is_index(self) -> bool:
        """See `Place.is_index`."""
        return (self.folder / manifest.MANIFEST).exists()

    def create(self, schemas: "Mapping[str, pa.Schema]", identity: Manifest) -> None:
        """See `Place.create`. The manifest is written last."""
        _require_vacant(self.folder)
        with self.faults():
            self.folder.mkdir(parents=True, exist_ok=True)
        with self.locked(), self.faults():
            _require_vacant(self.folder)  # another process may have been faster
            for entry in self.folder.iterdir():  # whatever a killed creation left
                if entry.is_dir():
                    shutil.rmtree(entry)
            tables = self.connect()
            for name, schema in schemas.items():
                tables.create_table(name, schema=schema)
            Flusher(self.folder).flush()
            self.write_manifest(identity)

    def manifest(self) -> Manifest:
        """See `Place.manifest`."""
        return manifest.read_manifest(self.folder)

    def write_manifest(self, identity: Manifest) -> None:
        """See `Place.write_manifest`."""
        manifest.write_manifest(self.folder, identity)

    def sources(self) -> tuple[Path, ...]:
        """See `Place.sources`."""
        return manifest.read_sources(self.folder)

    def write_sources(self, sources: Sequence[Path]) -> None:
        """See `Place.write_sources`."""
        manifest.write_sources(self.folder, sources)

    @contextmanager
    def locked(self, role: str = "") -> Iterator[bool]:
        """See `Place.locked`; raises `IndexFault` naming the process that has the lock."""
        with manifest.locked(self.folder, self._lock, role):
            yield self._lock.lock_counter == 1

    def settle(self) -> None:
        """See `Place.settle`; also for what an earlier process wrote."""
        with self.faults():
            for flusher in self._flushers.values():
                flusher.flush()

    @contextmanager
    def changing(self, table: str) -> Iterator[None]:
        """See `Place.changing`."""
        folder = self.folder / f"{table}.lance"
        before = version_of(folder)
        yield
        if torn := cut_short(self._flushers[table].flush()):
            go_back(folder, before)
            shutil.rmtree(self.folder / manifest.DERIVED, ignore_errors=True)
            raise OSError(errno.ENOSPC, "cut short", str(torn[0]))

    def version(self, table: str) -> int:
        """See `Place.version`; does not load LanceDB."""
        return version_of(self.folder / f"{table}.lance")

    def size_bytes(self) -> int:
        """See `Place.size_bytes`."""
        return tree_bytes(self.folder)

    @cached_property
    def _lock(self) -> "BaseFileLock":
        return manifest.writer_lock(self.folder)

    @cached_property
    def _flushers(self) -> dict[str, Flusher]:
        return {name: Flusher(self.folder / f"{name}.lance") for name in TABLES}


def _require_vacant(folder: Path) -> None:
    """Raises `IndexFault` if a folder holds anything but the remains of a killed creation."""
    if folder.exists() and not folder.is_dir():
        raise IndexFault(f"{folder} is a file: choose a folder for the index")
    with disk_faults(folder):
        names = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    names = {name for name in names if not name.startswith(f".{manifest.MANIFEST}-")}  # a draft
    if manifest.MANIFEST in names:
        raise IndexFault(f"{folder} is an index already: open it, or choose another folder")
    foreign = names - _OWN_ENTRIES
    if foreign and manifest.COPY in names:
        raise IndexFault(manifest.without_manifest(folder))
    if foreign:
        raise IndexFault(f"{folder} is not empty ({min(foreign)}): choose another folder")
