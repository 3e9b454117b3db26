"""Values by query as a parquet file: a row a query, a column a metric, empty where it has none."""

from collections.abc import Mapping
from hashlib import file_digest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics import PerQuery

if TYPE_CHECKING:
    import pyarrow as pa

KEYS = ("query", "video")
"""The name of a query, and the video that it is about: the cluster of intervals."""

_MOST_BYTES = 2**31
_MOST_ROWS = 10**7
_MOST_CELLS = 2 * 10**8


def write_values(path: Path, values: Mapping[str, PerQuery]) -> dict[str, object]:
    """Writes the file whole or not at all; returns what names its content: hash, rows, columns.

    Two metrics of one query about one video share a row. Raises `UsageError` for a metric that is
    called like one of `KEYS`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    foreign = [name for name in values if name in KEYS]
    if foreign:
        raise UsageError(f"a metric is called {foreign[0]!r}: that is the name of a key")
    pairs = {
        name: list(zip(each.queries, each.videos, strict=True)) for name, each in values.items()
    }
    row = {
        pair: n for n, pair in enumerate(dict.fromkeys(p for some in pairs.values() for p in some))
    }
    columns: dict[str, Any] = {
        key: pa.array([pair[place] for pair in row], pa.string()) for place, key in enumerate(KEYS)
    }
    for name, each in values.items():
        column_N, known_N = np.zeros(len(row)), np.zeros(len(row), np.bool_)
        places = [row[pair] for pair in pairs[name]]
        column_N[places], known_N[places] = each.values_Q, True
        columns[name] = pa.array(column_N, pa.float64(), mask=~known_N)
    with TemporaryDirectory(dir=path.parent, prefix=".writing-") as place:
        draft = Path(place) / path.name
        pq.write_table(pa.table(columns), draft, compression="zstd")
        digest = _sha256(draft)
        draft.replace(path)
    return {"sha256": digest, "rows": len(row), "metrics": list(values)}


def read_values(path: Path, told: Mapping[str, Any]) -> dict[str, PerQuery]:
    """What `write_values` wrote and told; queries of each metric come in the order of rows.

    Raises `UsageError` for a file that is absent, another one than was told, or of another form.
    """
    import pyarrow as pa

    if set(told) != {"sha256", "rows", "metrics"} or not isinstance(told["metrics"], list):
        raise UsageError("per_query does not name its file's hash, rows and metrics")
    try:
        if path.stat().st_size > _MOST_BYTES or _sha256(path) != told["sha256"]:
            raise UsageError(f"{path.name} beside it is of another run or damaged")
        table = _checked(path, [*KEYS, *told["metrics"]])
    except OSError as error:
        raise UsageError(f"cannot read {path.name} beside it: {error.strerror or error}") from error
    except (pa.ArrowException, ValueError) as error:
        raise UsageError(f"{path.name} beside it is no table of values ({error})") from error
    if table.num_rows != told["rows"]:
        raise UsageError(f"{path.name} has {table.num_rows} rows, not {str(told['rows'])[:40]}")
    queries, videos = (np.array(table.column(key).to_pylist(), object) for key in KEYS)
    found = {}
    for name in told["metrics"]:
        column = table.column(name)
        known_N = ~np.asarray(column.is_null().to_numpy())
        found[name] = PerQuery(
            queries=tuple(queries[known_N]),
            videos=tuple(videos[known_N]),
            values_Q=np.asarray(column.drop_null().to_numpy(), np.float64),
        )
    return found


def _checked(path: Path, names: list[Any]) -> "pa.Table":
    """The table, after a look at what the file says of itself: size, names and types."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        rows, schema = file.metadata.num_rows, file.schema_arrow
        if rows > _MOST_ROWS or rows * len(schema) > _MOST_CELLS:
            raise UsageError(f"{path.name} has {rows} rows of {len(schema)} columns: too many")
        if schema.names != names or len(set(names)) < len(names):
            raise UsageError(f"{path.name} has other columns than the metrics")
        types = [pa.string()] * len(KEYS) + [pa.float64()] * (len(names) - len(KEYS))
        if schema.types != types:
            raise UsageError(f"{path.name} has columns of other types than text and numbers")
        table = file.read()
    if any(table.column(key).null_count for key in KEYS):
        raise UsageError(f"{path.name} has a row without a query or a video")
    return table


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()
