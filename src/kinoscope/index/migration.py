"""Tables of earlier formats: which columns they may have, and how they come to have today's."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kinoscope.index import rows
from kinoscope.types import EmbedderSpec

if TYPE_CHECKING:
    import pyarrow as pa
    from lancedb.table import Table

_ROWS_AT_ONCE = 8192


def schemas(name: str, spec: EmbedderSpec) -> "tuple[pa.Schema, ...]":
    """Columns that a table may have, today's first; formats 1 and 2 have clips without a check."""
    if name == "files":
        return (rows.file_schema(),)
    return tuple(rows.clip_schema(spec, checked=checked) for checked in (True, False))


def add_checks(clips: "Table") -> None:
    """Gives each clip its check: one new version of the table, with all rows, or none."""
    import pyarrow as pa

    schema = clips.schema.append(pa.field(rows.CHECK, pa.int64()))

    def pieces() -> "Iterator[pa.RecordBatch]":
        for batch in clips.search().to_batches(_ROWS_AT_ONCE):
            yield from rows.with_checks(pa.Table.from_batches([batch])).to_batches()

    clips.add(pa.RecordBatchReader.from_batches(schema, pieces()), mode="overwrite")
