"""Vectors in a file that may be larger than memory: written by stream, mapped, let go again."""

import mmap
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from kinoscope.durable import flush
from kinoscope.index.rows import Placed
from kinoscope.types import Float32, Int64

BLOCK = 16_384
"""Rows of a file that are held in memory at a time."""

LARGE_BYTES = 2**28
"""A mapped file of so many bytes may stay in memory as a whole."""

_PIECE = 2048  # rows, each of which may bring 64 KiB of a mapped file


def write_vectors(path: Path, shape: tuple[int, int], found: Iterable[Placed]) -> None:
    """A new file of float32 vectors [N, D], each row of which comes once, in any order.

    Only the batch at hand is in memory. Raises `OSError` when the disk refuses.
    """
    np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    for place, vectors in found:
        # mapped anew for each batch: what was written before belongs to the system, not to us
        np.lib.format.open_memmap(path, mode="r+")[place] = vectors
    flush(path)


def blocks(vectors_ND: Float32, rows: int = BLOCK) -> Iterator[Float32]:
    """All rows in order, so many at a time; a mapped file's are let go once they are used."""
    for first in range(0, len(vectors_ND), rows):
        yield vectors_ND[first : first + rows]
        let_go(vectors_ND)


def pieces(vectors_ND: Float32, rows: Int64) -> Iterator[Float32]:
    """Copies of some rows, piece by piece; what a mapped file brings for them is let go."""
    for first in range(0, len(rows), _PIECE):
        yield vectors_ND[rows[first : first + _PIECE]]
        let_go(vectors_ND)


def let_go(vectors_ND: Float32) -> None:
    """Takes the pages of a large mapped file out of this process: the system may keep them.

    They would count as its memory until it ends, and each row that is looked at brings its
    neighbours. Does nothing for small files, vectors in memory, or where the system cannot.
    """
    base: object = vectors_ND
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and len(base) > LARGE_BYTES and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
