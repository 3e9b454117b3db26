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
    # written, not mapped: where a disk is full, writing to a mapped file ends the process
    with path.open("wb") as stream:
        head = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, head)
        begin, row_bytes = stream.tell(), 4 * shape[1]
        stream.truncate(begin + shape[0] * row_bytes)
        for place_R, vectors_RD in found:
            order_R = np.argsort(place_R)
            ends = np.flatnonzero(np.diff(place_R[order_R]) != 1) + 1
            for run_R in np.split(order_R, ends) if len(order_R) else ():
                stream.seek(begin + int(place_R[run_R[0]]) * row_bytes)
                stream.write(np.ascontiguousarray(vectors_RD[run_R], "<f4").data)
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
