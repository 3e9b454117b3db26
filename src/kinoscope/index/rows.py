"""Rows of an index as values and as Arrow tables: files, clips, and their order."""

import hashlib
import math
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from kinoscope.sampling import WHOLE
from kinoscope.types import ClipEmbeddings, EmbedderSpec, Float32, Float64, Int64

if TYPE_CHECKING:
    import pyarrow as pa

FileState = Literal["indexed", "failed"]
_CLIP_COLUMNS = ("clip_id", "video_id", "scale", "start_s", "end_s", "vector")
THOUGHT_COLUMNS = ("steps", "reason")
"""Of an index whose model thinks, see `ClipEmbeddings`."""
CHECK = "check"
"""What `checks_of` says of a clip's other columns; absent below format 3."""


@dataclass(frozen=True, kw_only=True)
class FileRow:
    """One path and what was found there.

    Attributes:
        path: absolute path; bytes that are no Unicode survive as in `os.fsdecode`.
        video_id: BLAKE2b of the content, shared by copies; empty if it could not be read.
        size_bytes, mtime_ns: as `stat` gave them when the content was read.
        state: `indexed`, or `failed` with `fault` (a `MediaFault`) and `message`.
        changed_at: when this row was written, in seconds since 1970.
        duration_s, width, height, codec, rotation, hdr: what the decoder found; display size.
        corrupt_packets, ends_early: damage that did not prevent indexing.
        tries: how often a failed file was decoded.
    """

    path: str
    video_id: str
    size_bytes: int
    mtime_ns: int
    state: FileState
    fault: str = ""
    message: str = ""
    changed_at: float
    duration_s: float = 0.0
    width: int = 0
    height: int = 0
    codec: str = ""
    rotation: int = 0
    hdr: bool = False
    corrupt_packets: int = 0
    ends_early: bool = False
    tries: int = 0

    def __post_init__(self) -> None:
        assert self.path, "a file row without a path"
        assert self.state in get_args(FileState), self.state
        assert (self.state == "failed") == bool(self.fault), (self.state, self.fault)
        assert self.state == "failed" or self.video_id, self.path
        assert math.isfinite(self.changed_at) and math.isfinite(self.duration_s), self.path


@dataclass(frozen=True, eq=False, kw_only=True)
class ClipKeys:
    """N visible clips, ordered by video, scale (`whole` first) and start; times in seconds.

    `steps_N` and `reasons` are 0 and empty strings where the model does not think.
    """

    video_ids: tuple[str, ...]
    scales: tuple[str, ...]
    start_s_N: Float64
    end_s_N: Float64
    steps_N: Int64
    reasons: tuple[str, ...]

    def __post_init__(self) -> None:
        texts, numbers = (self.scales, self.reasons), (self.start_s_N, self.end_s_N, self.steps_N)
        assert all(len(column) == len(self) for column in (*texts, *numbers)), len(self)

    def __len__(self) -> int:
        return len(self.video_ids)

    @property
    def clip_ids(self) -> tuple[str, ...]:
        """Key of each row: `VIDEO:SCALE:START_MS`."""
        starts = self.start_s_N.tolist()
        return tuple(map(clip_id, self.video_ids, self.scales, starts))


@dataclass(frozen=True, eq=False, kw_only=True)
class ClipTable(ClipKeys):
    """The same clips with their vectors; `vectors_ND` may be a memory map."""

    vectors_ND: Float32

    def __post_init__(self) -> None:
        super().__post_init__()
        assert len(self.vectors_ND) == len(self), self.vectors_ND.shape

    def __repr__(self) -> str:
        return f"ClipTable(ND={list(self.vectors_ND.shape)})"


Placed = tuple[Int64, Float32]
"""Rows among the N of `ClipKeys`, and the vectors that belong there."""


def clip_id(video_id: str, scale: str, start_s: float) -> str:
    """Key of a clip, e.g. `3f9c:4s:2000`."""
    return f"{video_id}:{scale}:{round(start_s * 1000)}"


def folder_prefix(folder: str) -> str:
    """How paths below a folder begin: `/a` -> `/a/`, and `/` -> `/`."""
    return folder.rstrip(os.sep) + os.sep


def file_schema() -> "pa.Schema":
    """Columns of `files`: those of `FileRow`; a path is bytes, for not every path is Unicode."""
    import pyarrow as pa

    kinds: dict[object, Any] = {int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    columns = [(field.name, kinds.get(field.type, pa.string())) for field in fields(FileRow)]
    return pa.schema([("path", pa.binary()), *columns[1:]])


def clip_schema(spec: EmbedderSpec, *, checked: bool = True) -> "pa.Schema":
    """Columns of `clips`; `vector` has `dimension` float32 values. Thoughts have two more."""
    import pyarrow as pa

    kinds = (*[pa.string()] * 3, *[pa.float64()] * 2, pa.list_(pa.float32(), spec.dimension))
    columns = list(zip(_CLIP_COLUMNS, kinds, strict=True))
    if spec.thinks:
        columns += zip(THOUGHT_COLUMNS, (pa.int64(), pa.string()), strict=True)
    return pa.schema([*columns, (CHECK, pa.int64())] if checked else columns)


def checks_of(clips: "pa.Table") -> Int64:
    """Eight bytes of BLAKE2b of each row, over all columns but `check`: damage changes them."""
    names = [name for name in clips.column_names if name not in ("vector", CHECK)]
    told = zip(*(clips[name].to_pylist() for name in names), strict=True)
    checks_N = np.empty(len(clips), np.int64)
    row = 0
    for chunk in clips["vector"].chunks:
        vectors_ND = chunk.flatten().to_numpy().reshape(len(chunk), chunk.type.list_size)
        for vector_D, values in zip(vectors_ND, told, strict=False):
            digest = hashlib.blake2b(vector_D.tobytes(), digest_size=8)
            digest.update(repr(values).encode())
            checks_N[row] = int.from_bytes(digest.digest(), "little", signed=True)
            row += 1
    return checks_N


def with_checks(clips: "pa.Table") -> "pa.Table":
    """The same clips, each with its check."""
    import pyarrow as pa

    return clips.append_column(CHECK, pa.array(checks_of(clips)))


def arrow_of_files(rows: Collection[FileRow]) -> "pa.Table":
    """Rows as Arrow; half a surrogate in a message becomes `\\udcff`."""
    import pyarrow as pa

    columns = {name: [getattr(row, name) for row in rows] for name in file_schema().names}
    columns["path"] = [os.fsencode(path) for path in columns["path"]]
    for name, values in columns.items():
        if values and isinstance(values[0], str):
            columns[name] = [value.encode("utf-8", "backslashreplace") for value in values]
    return pa.table(columns, schema=file_schema())


def files_of_arrow(table: "pa.Table") -> list[FileRow]:
    """The reverse of `arrow_of_files`, sorted by path."""
    columns = {name: table[name].to_pylist() for name in file_schema().names}
    columns["path"] = [os.fsdecode(path) for path in columns["path"]]
    names = tuple(columns)
    rows = (
        FileRow(**dict(zip(names, values, strict=True)))
        for values in zip(*columns.values(), strict=True)
    )
    return sorted(rows, key=lambda row: row.path)


def arrow_of_clips(videos: Mapping[str, ClipEmbeddings], spec: EmbedderSpec) -> "pa.Table":
    """All clips of some videos as Arrow; vectors of another spec are our error."""
    import pyarrow as pa

    columns: dict[str, list[Any]] = {name: [] for name in _CLIP_COLUMNS[:-1]}
    for video_id, clips in videos.items():
        for span, scale in zip(clips.spans, clips.scales, strict=True):
            key = clip_id(video_id, scale, span.start_s)
            row = (key, video_id, scale, span.start_s, span.end_s)
            for name, value in zip(columns, row, strict=True):
                columns[name].append(value)
    vectors_ND = np.concatenate([clips.vectors_ND for clips in videos.values()])
    assert vectors_ND.shape[1] == spec.dimension, (vectors_ND.shape, spec.dimension)
    flat = pa.array(vectors_ND.ravel())
    columns["vector"] = pa.FixedSizeListArray.from_arrays(flat, spec.dimension)
    steps = [count for clips in videos.values() for count in clips.steps]
    assert len(steps) == (len(vectors_ND) if spec.thinks else 0), (len(steps), spec.thinking)
    if spec.thinks:
        reasons = [reason for clips in videos.values() for reason in clips.reasons]
        columns |= zip(THOUGHT_COLUMNS, (steps, reasons), strict=True)
    return with_checks(pa.table(columns, schema=clip_schema(spec, checked=False)))


def keys_of_arrow(table: "pa.Table", visible: Collection[str]) -> tuple[ClipKeys, Int64]:
    """The clips of `visible` videos, without vectors, and the place of each row of the table.

    The place is the row's number among the clips, -1 for a row that is not visible.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    shown = pc.is_in(table["video_id"], pa.array(sorted(visible), pa.string()))
    keys = table.filter(shown)
    videos, scales = _coded(keys["video_id"]), _coded(keys["scale"])
    start_s_N = keys["start_s"].to_numpy()
    order_N = np.lexsort((start_s_N, _ranks(*scales), _ranks(*videos)))
    place_R = np.full(len(table), -1, np.int64)
    place_R[np.flatnonzero(shown.to_numpy())[order_N]] = np.arange(len(keys))
    found = ClipKeys(
        video_ids=_told(*videos, order_N),
        scales=_told(*scales, order_N),
        start_s_N=start_s_N[order_N],
        end_s_N=keys["end_s"].to_numpy()[order_N],
        **_thoughts(keys, order_N),
    )
    return found, place_R


def placed(batches: "Iterable[pa.RecordBatch]", place_R: Int64) -> Iterator[Placed]:
    """Vectors of a table's rows, batch by batch in its order, and where each belongs."""
    row = 0
    for batch in batches:
        place = place_R[row : row + len(batch)]
        row += len(batch)
        vectors = batch["vector"]
        vectors_RD = vectors.flatten().to_numpy().reshape(len(batch), vectors.type.list_size)
        yield place[place >= 0], vectors_RD[place >= 0]
    assert row == len(place_R), (row, len(place_R))


def _thoughts(keys: "pa.Table", order_N: Int64) -> dict[str, Any]:
    steps, reason = THOUGHT_COLUMNS
    if steps not in keys.column_names:
        return {"steps_N": np.zeros(len(keys), np.int64), "reasons": ("",) * len(keys)}
    return {
        "steps_N": keys[steps].to_numpy()[order_N],
        "reasons": _told(*_coded(keys[reason]), order_N),
    }


def _coded(column: "pa.ChunkedArray") -> tuple[list[str], Int64]:
    """Distinct texts, and which of them each row has: millions of rows share few texts."""
    coded = column.combine_chunks().dictionary_encode()
    return coded.dictionary.to_pylist(), coded.indices.to_numpy().astype(np.int64)


def _told(distinct: Sequence[str], code_N: Int64, order_N: Int64) -> tuple[str, ...]:
    return tuple(map(distinct.__getitem__, code_N[order_N].tolist()))


def _ranks(distinct: Sequence[str], code_N: Int64) -> Int64:
    """Place of each row's name among the sorted distinct names, `whole` before all others."""
    order = sorted(range(len(distinct)), key=lambda n: (distinct[n] != WHOLE, distinct[n]))
    rank = np.empty(len(distinct), np.int64)
    rank[order] = np.arange(len(distinct))
    return np.asarray(rank[code_N])
