"""An index made small and quick: pieces joined, superseded data freed, search arrays ready."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from kinoscope.addresses import is_url
from kinoscope.durable import tree_bytes
from kinoscope.index import manifest
from kinoscope.index.derived import FOLDER, Kind, open_derived, stamp_of, sweep
from kinoscope.index.store import Store
from kinoscope.index.vectors import EXACT_LIMIT

MANY_PIECES = 16
"""Pieces of a table from which on joining them is worth a process of its own."""

_LEAST_URGENT = 19

LOG = "optimize.log"
"""In the index folder: what the last run in the background had to say."""


@dataclass(frozen=True, kw_only=True)
class Optimised:
    """What was done.

    Attributes:
        pieces_before, pieces_after: of both tables; each commit of videos adds some.
        freed_mb: what the folder is smaller by; what is newer than an hour stays, for readers.
        clips: that are visible.
        search: how they are searched: `exact`, `scan` of codes in memory, or `partitions` on disk.
        memory_mb: what a search may hold.
        wall_s: all of it.
    """

    pieces_before: int
    pieces_after: int
    freed_mb: float
    clips: int
    search: Kind
    memory_mb: int
    wall_s: float

    def __str__(self) -> str:
        joined = f"{self.pieces_before} pieces -> {self.pieces_after}"
        ways = {
            "exact": "by all vectors",
            "scan": "by codes in memory",
            "partitions": f"by codes on disk, as those in memory would exceed {self.memory_mb} MiB",
        }
        return f"{joined}, {self.clips} clips searched {ways[self.search]}, {self.wall_s:.1f} s"


def optimise(store: Store, *, memory_mb: int | None = None, gently: bool = False) -> Optimised:
    """Joins the pieces of both tables where there are several, and builds what search reads.

    Readers go on with what they have. Writers that come meanwhile wait for the tables, not for
    what search reads.

    Args:
        store: the index.
        memory_mb: from now on a search may hold so many MiB, see `Limits`; None keeps the limit.
        gently: from then on this process takes only processor time that nobody else wants. Not
            while it has the tables: a writer that waits for them would wait for all others, too.

    Raises `UsageError` for no such limit, `IndexFault` if another process writes, or the disk
    or the tables fail.
    """
    began_s, bytes_before = time.monotonic(), tree_bytes(store.folder)
    if memory_mb is not None:
        manifest.write_memory_mb(store.folder, memory_mb)
    with store.writing(manifest.OPTIMISING):
        before = store.count_pieces()
        if max(before) > 1:
            store.compact()
        after = store.count_pieces()
    if gently and hasattr(os, "nice"):
        os.nice(_LEAST_URGENT)
    derived = open_derived(store)
    sweep(store.folder / FOLDER / derived.stamp)
    freed_mb = (bytes_before - tree_bytes(store.folder)) / 2**20
    return Optimised(
        pieces_before=sum(before),
        pieces_after=sum(after),
        freed_mb=round(max(0.0, freed_mb), 3),
        clips=len(derived.catalog.vectors_ND),
        search=derived.kind,
        memory_mb=store.memory_mb(),
        wall_s=round(time.monotonic() - began_s, 3),
    )


def is_worth_it(store: Store) -> bool:
    """Whether a table lies in many pieces, or a large index has no search arrays as it is now.

    Never in object storage, which has no lock: what nobody asked for must not meet a writer there.
    """
    if is_url(store.place.name):
        return False
    if max(store.count_pieces()) >= MANY_PIECES:
        return True
    ready = (store.folder / FOLDER / stamp_of(store)).is_dir()
    return not ready and store.count_clips() > EXACT_LIMIT


def optimise_later(folder: Path) -> "subprocess.Popen[bytes]":
    """Begins `kinoscope index optimize` in a process that gives way to others and outlives this."""
    command = [sys.executable, "-m", "kinoscope", "index", "optimize", "--gently"]
    with manifest.disk_faults(folder), (folder / LOG).open("wb") as log:
        return subprocess.Popen(
            [*command, "--index", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
