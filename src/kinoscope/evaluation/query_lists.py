"""The lists behind a saved evaluation as a parquet file: a row an item of a query's list."""

from collections.abc import Mapping, Sequence
from hashlib import file_digest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.evaluation.tasks.rankings import Rankings

if TYPE_CHECKING:
    import pyarrow as pa

_OF = b"kinoscope.values"
"""Names, in the file, the values by query that it belongs to, by their SHA-256."""
_MOST_BYTES = 2**31
_MOST_ROWS = 10**7
_MOST_LISTS = 100


def lists_beside(evaluation: Path) -> Path:
    """Where the lists of an evaluation's JSON are: `rtime.json` -> `rtime-run.parquet`."""
    return evaluation.with_name(f"{evaluation.stem}-run.parquet")


def write_lists(evaluation: Path, lists: Mapping[str, Rankings]) -> Path | None:
    """Writes them beside a saved evaluation, whole or not at all; None, and no file, without any.

    Columns: `list`, `query`, `item`, `rank`, `score`, `right`, `start_s` and `end_s` of windows,
    `text` of the query where a person may want to read it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = lists_beside(evaluation)
    if not lists:
        path.unlink(missing_ok=True)  # of an earlier run
        return None
    table = pa.concat_tables([_table(name, each) for name, each in lists.items()])
    table = table.replace_schema_metadata({_OF: _values_hash(evaluation)})
    with TemporaryDirectory(dir=path.parent, prefix=".writing-") as place:
        draft = Path(place) / path.name
        pq.write_table(table, draft, compression="zstd")
        draft.replace(path)
    return path


def _table(name: str, lists: Rankings) -> "pa.Table":
    import pyarrow as pa

    def named(numbers: Any, names: Sequence[str]) -> "pa.Array":
        return pa.array(names, pa.string()).take(pa.array(numbers))

    count = len(lists.rank_L)
    none, spans_L2 = pa.nulls(count, pa.float64()), lists.spans_L2
    return pa.table(
        {
            "list": pa.array([name] * count, pa.string()),
            "query": named(lists.query_L, lists.queries),
            "item": named(lists.item_L, lists.items),
            "rank": pa.array(lists.rank_L, pa.int64()),
            "score": pa.array(lists.score_L, pa.float64()),
            "right": pa.array(lists.right_L, pa.bool_()),
            "start_s": none if spans_L2 is None else pa.array(spans_L2[:, 0], pa.float64()),
            "end_s": none if spans_L2 is None else pa.array(spans_L2[:, 1], pa.float64()),
            "text": named(lists.query_L, lists.texts)
            if lists.texts
            else pa.nulls(count, pa.string()),
        }
    )


def read_lists(evaluation: Path) -> dict[str, Rankings]:
    """What `write_lists` wrote beside it, by the names of the lists; nothing in it is trusted.

    Raises `UsageError` if there is no such file, or one of another run or of another form.
    """
    import pyarrow as pa

    path = lists_beside(evaluation)
    if not path.exists():
        raise UsageError(
            f"{evaluation.name} has no lists beside it, {path.name}: only retrieval and moments"
            " have them; if it is one of these, run the evaluation again"
        )
    try:
        table = _checked(path, _values_hash(evaluation))
        columns = {name: table.column(name) for name in table.column_names}
        names_L = np.array(columns["list"].to_pylist(), object)
        found = {}
        names = dict.fromkeys(names_L)
        if len(names) > _MOST_LISTS:
            raise UsageError(f"it has {len(names)} lists")
        for name in names:
            rows = pa.array(np.flatnonzero(names_L == name))
            found[name] = _rankings({key: each.take(rows) for key, each in columns.items()})
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror or error}): check it") from error
    except (pa.ArrowException, UsageError, ValueError) as error:
        raise UsageError(f"{path} has no lists of this run ({error}): run it again") from error
    return found


def _rankings(columns: Mapping[str, Any]) -> Rankings:
    queries, query_L = _numbered(columns["query"].to_pylist())
    items, item_L = _numbered(columns["item"].to_pylist())
    told = columns["text"].null_count == 0
    text_of = dict(zip(query_L.tolist(), columns["text"].to_pylist(), strict=True))
    windows = columns["start_s"].null_count == 0
    return Rankings(
        queries=queries,
        items=items,
        query_L=query_L,
        item_L=item_L,
        rank_L=columns["rank"].to_numpy(),
        score_L=columns["score"].to_numpy(),
        right_L=np.asarray(columns["right"].to_pylist(), np.bool_),
        spans_L2=np.stack([columns[name].to_numpy() for name in ("start_s", "end_s")], axis=1)
        if windows
        else None,
        texts=tuple(text_of[number] for number in range(len(queries))) if told else (),
    )


def _numbered(names: Sequence[str]) -> tuple[tuple[str, ...], Any]:
    order = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return tuple(order), np.array([order[name] for name in names], np.int64)


def _checked(path: Path, values_hash: str) -> "pa.Table":
    """The table, after a look at what the file says of itself: size, names, types, whose it is."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    expected = {
        **dict.fromkeys(("list", "query", "item"), pa.string()),
        "rank": pa.int64(), "score": pa.float64(), "right": pa.bool_(),
        "start_s": pa.float64(), "end_s": pa.float64(), "text": pa.string(),
    }  # fmt: skip
    if path.stat().st_size > _MOST_BYTES:
        raise UsageError("it is too large")
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        if not 1 <= file.metadata.num_rows <= _MOST_ROWS:
            raise UsageError(f"it has {file.metadata.num_rows} rows")
        if list(zip(schema.names, schema.types, strict=True)) != list(expected.items()):
            raise UsageError("it has other columns")
        if (schema.metadata or {}).get(_OF) != values_hash.encode():
            raise UsageError("it is of another run")
        table = file.read()
    for name in ("list", "query", "item", "rank", "score", "right"):
        if table.column(name).null_count:
            raise UsageError(f"it has a row without {name}")
    return table


def _values_hash(evaluation: Path) -> str:
    """SHA-256 of the values by query, which the evaluation's JSON names too."""
    with evaluation.with_suffix(".parquet").open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()
