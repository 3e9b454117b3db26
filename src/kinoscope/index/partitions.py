"""Vectors beyond memory: one-bit codes in partitions on disk (LanceDB's IVF_RQ), for candidates."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kinoscope.durable import Flusher
from kinoscope.errors import IndexFault
from kinoscope.index.catalog import Catalog
from kinoscope.index.manifest import system_code
from kinoscope.index.mapped import BLOCK, blocks
from kinoscope.index.tables import Panics
from kinoscope.index.vectors import Among, padded, padded_length
from kinoscope.types import Float32, Int64

if TYPE_CHECKING:
    import pyarrow as pa
    from lancedb.db import DBConnection

FOLDER = "partitions"
ROWS_A_PARTITION = 4096
PROBED = 1.0
"""Share of the partitions that is looked at: what a text looks for is spread over many."""

_TABLE = "vectors"
_ITERATIONS = 10  # of k-means: more of them changed no recall
_SAMPLES = 64  # vectors a partition that k-means looks at
_METADATA_BYTES = 64 * 2**20


def build_partitions(folder: Path, catalog: Catalog) -> None:
    """Writes all vectors with what filters ask of them, and their codes; flushed when it returns.

    Memory holds one block of vectors, and those that the partitions are learned from. Raises
    `OSError` when the disk refuses.
    """
    from lancedb.index import IvfRq

    count = len(catalog.vectors_ND)
    config = IvfRq(
        distance_type="l2",
        num_partitions=max(1, count // ROWS_A_PARTITION),
        max_iterations=_ITERATIONS,
        sample_rate=_SAMPLES,
    )
    with _as_os_errors():
        table = _connect(folder, 2**26).create_table(_TABLE, data=_reader(catalog))
        table.create_index("vector", config=config)
    Flusher(folder).flush()


def code_files(state: Path) -> list[Path]:
    """Files of the codes of a state, which `build_partitions` wrote to its `FOLDER`."""
    return sorted((state / FOLDER).rglob("*.idx"))


class Partitions:
    """What `build_partitions` wrote, see `Candidates`; safe for several threads."""

    def __init__(self, folder: Path, rows: int, memory_bytes: int) -> None:
        """Raises `FileNotFoundError` or `ValueError` if it is absent, damaged, or of other rows."""
        self.folder = folder
        if not folder.is_dir():
            raise FileNotFoundError(errno.ENOENT, "no partitions", str(folder))
        try:
            with Panics():
                self._table = _connect(folder, memory_bytes).open_table(_TABLE)
                found, indices = self._table.count_rows(), self._table.list_indices()
        except RuntimeError as error:
            raise ValueError(f"{FOLDER} cannot be read: {error}") from error
        if found != rows or len(indices) != 1:
            raise ValueError(f"{FOLDER} holds {found} rows, {rows} expected")
        self._probed = max(1, round(PROBED * max(1, rows // ROWS_A_PARTITION)))

    def nearest(self, queries_QD: Float32, wanted: int, among: Among | None) -> list[Int64]:
        """See `Candidates.nearest`; where a filter leaves few, further partitions are looked at."""
        condition = None if among is None else condition_of(among)
        try:
            with Panics():
                return [self._near(query_D, wanted, condition) for query_D in padded(queries_QD)]
        except (OSError, RuntimeError, ValueError) as error:
            raise IndexFault(
                f"search arrays in {self.folder.parent} are damaged or gone: delete what is left"
                " of that folder, and search again"
            ) from error

    def _near(self, query_D: Float32, wanted: int, condition: str | None) -> Int64:
        query = self._table.search(query_D, vector_column_name="vector").distance_type("l2")
        query = query.minimum_nprobes(self._probed).maximum_nprobes(0).limit(wanted)
        query = query.where(condition) if condition else query
        found: Int64 = query.select(["row", "_distance"]).to_arrow()["row"].to_numpy()
        return found


def condition_of(among: Among) -> str:
    """SQL over the columns of the table: `moment AND video IN (3,7)`."""
    listed = among.listed()
    if listed is None:
        return among.kind
    allowed, videos = listed
    if not videos:  # an empty list is no SQL
        return "false" if allowed else among.kind
    return f"{among.kind} AND video {'' if allowed else 'NOT '}IN ({','.join(map(str, videos))})"


def _connect(folder: Path, memory_bytes: int) -> "DBConnection":
    """LanceDB's own caches would take gigabytes."""
    import lancedb

    session = lancedb.Session(memory_bytes, min(memory_bytes, _METADATA_BYTES))
    return lancedb.connect(folder, session=session)


def _reader(catalog: Catalog) -> "pa.RecordBatchReader":
    import pyarrow as pa

    dimension = padded_length(catalog.vectors_ND.shape[1])
    schema = pa.schema(
        [
            ("row", pa.int64()),
            ("video", pa.int64()),
            ("moment", pa.bool_()),
            ("whole", pa.bool_()),
            ("vector", pa.list_(pa.float32(), dimension)),
        ]
    )

    def batches() -> "Iterator[pa.RecordBatch]":
        for number, block in enumerate(blocks(catalog.vectors_ND)):
            here = slice(number * BLOCK, number * BLOCK + len(block))
            flat = pa.array(padded(block).ravel())
            columns = (catalog.video_N, catalog.moment_N, catalog.whole_N)
            yield pa.record_batch(
                [
                    pa.array(range(here.start, here.stop), pa.int64()),
                    *(pa.array(column[here]) for column in columns),
                    pa.FixedSizeListArray.from_arrays(flat, dimension),
                ],
                schema=schema,
            )

    return pa.RecordBatchReader.from_batches(schema, batches())


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """What LanceDB says of a disk, as `OSError`: search arrays are then made in memory."""
    try:
        with Panics():
            yield
    except RuntimeError as error:
        raise OSError(system_code(error) or errno.EIO, str(error).splitlines()[0]) from error
