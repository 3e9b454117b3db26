"""Unit vectors in fewer bytes, and their cosines without a float32 copy of all rows.

    precision  bytes a row  what a row keeps
    float32    4 D          everything
    float16    2 D          eleven bits of each component
    int8       D            one of 256 even steps from `low` to `high` of each dimension
    binary     D / 8 + 4    on which side of each dimension's middle it lies, and how far on average

The names are those of `precision` in sentence-transformers; `binary` is packed like its `ubinary`.
"""

import json
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from kinoscope.errors import UsageError
from kinoscope.heads import normalise
from kinoscope.types import EmbedderSpec, Float32, Int64

Precision = Literal["float32", "float16", "int8", "binary"]

_CODES = {"float32": np.float32, "float16": np.float16, "int8": np.int8, "binary": np.uint8}
_LEARNED = ("int8", "binary")  # precisions with ranges
_BLOCK_VALUES = 2**22  # components that are float32 at a time: 16 MiB
_UNIT = 2e-3  # how far from 1 the length of a unit vector may lie, float16 included
_LEAST_LENGTH = 1e-3  # of what codes stand for: a shorter vector has no direction to speak of
_FORMAT = 1
_DAMAGE = (
    *(OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile),
    MemoryError,  # a header that promises more than there is
    TokenError,  # what NumPy says of some headers
    RuntimeError,  # an encrypted member, or JSON nested too deeply
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Compact:
    """N unit vectors of D components as codes, with what is needed to read them.

    Attributes:
        codes_N: [N, D] in the dtype of the precision; for `binary` uint8 [N, ceil(D / 8)], the
            first dimension in the highest bit, spare bits zero.
        precision: see the module.
        dimension: D.
        ranges_2D: float32 `low` and `high` of each dimension, for `int8` and `binary`.
        scales_N: float32, how many half ranges a `binary` row lies from the middle, on average.
        clipped: components that lay outside the ranges when they were coded.

    Raises `UsageError` where these do not fit together.
    """

    codes_N: npt.NDArray[Any]
    precision: Precision
    dimension: int
    ranges_2D: Float32 | None = None
    scales_N: Float32 | None = None
    clipped: int = 0

    def __post_init__(self) -> None:
        _check_precision(self.precision)
        codes, count = self.codes_N, len(self.codes_N)
        width = -(-self.dimension // 8) if self.precision == "binary" else self.dimension
        wanted = np.dtype(_CODES[self.precision])
        if codes.dtype != wanted or codes.shape != (count, width) or self.dimension < 1:
            raise UsageError(
                f"{self.precision} codes are {codes.dtype} {list(codes.shape)}, not {wanted}"
                f" [N, {width}]: quantise the vectors again"
            )
        if (self.ranges_2D is not None) != (self.precision in _LEARNED):
            raise UsageError(f"{self.precision} codes: ranges are for int8 and binary, only")
        if self.ranges_2D is not None:
            _check_ranges(self.ranges_2D, self.dimension)
        self._check_binary(count)
        if codes.dtype.kind == "f":
            _check_units(codes)

    def _check_binary(self, count: int) -> None:
        scales = self.scales_N
        if (scales is not None) != (self.precision == "binary"):
            raise UsageError(f"{self.precision} codes: scales are for binary, only")
        if scales is None:
            return
        if scales.dtype != np.float32 or scales.shape != (count,) or not np.isfinite(scales).all():
            raise UsageError(
                f"scales are {scales.dtype} {list(scales.shape)}, not finite float32 [{count}]"
            )
        spare = 8 * self.codes_N.shape[1] - self.dimension
        if (self.codes_N[:, -1] & (2**spare - 1)).any():
            raise UsageError("binary codes with bits beyond the last dimension: quantise again")

    def __len__(self) -> int:
        return len(self.codes_N)

    def __repr__(self) -> str:
        return f"Compact({self.precision}, ND={[len(self), self.dimension]})"

    @property
    def bytes_per_vector(self) -> int:
        """Of codes and scale; what all rows share does not count."""
        scale = 0 if self.scales_N is None else self.scales_N.itemsize
        return int(self.codes_N.shape[1] * self.codes_N.itemsize + scale)

    def take(self, rows_K: Int64) -> "Compact":
        """The rows of these numbers, in this order; `clipped` stays that of all."""
        scales = None if self.scales_N is None else self.scales_N[rows_K]
        return Compact(
            codes_N=self.codes_N[rows_K],
            precision=self.precision,
            dimension=self.dimension,
            ranges_2D=self.ranges_2D,
            scales_N=scales,
            clipped=self.clipped,
        )


def quantise(vectors_ND: Float32, precision: Precision, ranges: Float32 | None = None) -> Compact:
    """Codes of unit vectors [N, D].

    Args:
        vectors_ND: float32, of unit length; not changed.
        precision: see the module.
        ranges: [2, D] from `ranges_of` or `sign_ranges`, so that vectors which come later are
            coded alike; without them `int8` and `binary` learn from these vectors. What lies
            outside an int8 range is clipped, and counted.

    Raises `UsageError` for vectors that are not finite, not float32 or not of unit length, ranges
    of another dimension or too narrow for a row, and `int8` or `binary` of no rows without ranges.
    """
    _check_precision(precision)
    _check_vectors(vectors_ND)
    dimension = vectors_ND.shape[1]
    if precision not in _LEARNED:
        if ranges is not None:
            raise UsageError(f"ranges with {precision}: they are for {' and '.join(_LEARNED)}")
        codes = vectors_ND.astype(_CODES[precision])
        return Compact(codes_N=codes, precision=precision, dimension=dimension)
    if ranges is None:
        ranges = ranges_of(vectors_ND, precision)
    _check_ranges(ranges, dimension)
    blocks = [vectors_ND[block] for block in _blocks(*vectors_ND.shape)]
    compact = _binary(blocks, ranges) if precision == "binary" else _int8(blocks, ranges)
    for block in _blocks(len(compact), dimension):
        lengths_N = np.linalg.norm(_decoded(compact, block), axis=1)
        if not (lengths_N > _LEAST_LENGTH).all():
            row = block.start + int(np.argmin(lengths_N > _LEAST_LENGTH))
            raise UsageError(f"row {row} is lost in these ranges: learn them from vectors like it")
    return compact


def ranges_of(vectors_ND: Float32, precision: Precision = "int8", *, spare: float = 0.0) -> Float32:
    """What codes of a precision span: float32 `low` and `high` of each dimension, [2, D].

    For `int8` the least and the greatest component; for `binary` the mean, less and plus the mean
    distance from it. Vectors of one space point much the same way, so that sides of the mean tell
    far more of them than signs (`results/compact_recall.json`).

    Args:
        vectors_ND: a sample, at least one row.
        precision: `int8` or `binary`.
        spare: widens each side by so much of the width, for a sample: the rest of a library
            reaches beyond it.
    """
    if precision not in _LEARNED:
        raise UsageError(f"ranges for {precision}: choose {' or '.join(_LEARNED)}")
    _check_vectors(vectors_ND)
    if not len(vectors_ND):
        raise UsageError("no vectors to learn ranges from: give at least one row, or ranges")
    if not 0 <= spare < np.inf:
        raise UsageError(f"spare {spare}: give a part of the width, 0 or more")
    if precision == "int8":
        low_D, high_D = vectors_ND.min(axis=0), vectors_ND.max(axis=0)
    else:
        mean_D = vectors_ND.mean(axis=0, dtype=np.float64)
        blocks = (vectors_ND[block] for block in _blocks(*vectors_ND.shape))
        away_D = sum(np.abs(rows_ND - mean_D).sum(axis=0) for rows_ND in blocks) / len(vectors_ND)
        low_D, high_D = mean_D - away_D, mean_D + away_D
    more_D = spare * (high_D - low_D)
    return np.stack([low_D - more_D, high_D + more_D]).astype(np.float32)


def sign_ranges(dimension: int) -> Float32:
    """Ranges [2, D] for `binary` with which a bit is a component's sign, as in other libraries."""
    if dimension < 1:
        raise UsageError(f"dimension {dimension}: give at least 1")
    high_D = np.full(dimension, dimension**-0.5, np.float32)
    return np.stack([-high_D, high_D])


def similarity(queries_QD: Float32, compact: Compact) -> Float32:
    """Cosines [Q, N] of float32 unit queries [Q, D] with what the codes stand for.

    Equals `queries_QD @ restore(compact).T`; a block of rows is float32 at a time. Also for
    `binary`: Hamming distance, which takes one bit of the query too, finds fewer of the nearest
    (`results/compact_recall.json`). Raises `UsageError` for unfit queries.
    """
    _check_vectors(queries_QD)
    if queries_QD.shape[1] != compact.dimension:
        raise UsageError(
            f"queries of {queries_QD.shape[1]} components for vectors of {compact.dimension}:"
            " encode both with one embedder"
        )
    cosines_QN = np.empty((len(queries_QD), len(compact)), np.float32)
    for block in _blocks(len(compact), compact.dimension):
        rows_ND = normalise(_decoded(compact, block))
        np.matmul(queries_QD, rows_ND.T, out=cosines_QN[:, block])
    return cosines_QN


def restore(compact: Compact) -> Float32:
    """The vectors that the codes stand for: float32 [N, D], of unit length."""
    vectors_ND = np.empty((len(compact), compact.dimension), np.float32)
    for block in _blocks(*vectors_ND.shape):
        vectors_ND[block] = normalise(_decoded(compact, block))
    return vectors_ND


def save_compact(compact: Compact, path: Path, spec: EmbedderSpec) -> None:
    """Writes one `.npz`, whole or not at all, with the spec of the embedder that made the vectors.

    Raises `UsageError` for another suffix, or a spec of another dimension.
    """
    if path.suffix != ".npz":
        raise UsageError(f"{path}: name it NAME.npz")
    _check_spec(compact, spec)
    values: dict[str, Any] = {
        "format": np.array(_FORMAT),
        "codes": compact.codes_N,
        "precision": np.array(compact.precision),
        "dimension": np.array(compact.dimension),
        "clipped": np.array(compact.clipped),
        "spec": np.array(json.dumps(asdict(spec))),
        "fingerprint": np.array(spec.fingerprint),
    }
    if compact.ranges_2D is not None:
        values["ranges"] = compact.ranges_2D
    if compact.scales_N is not None:
        values["scales"] = compact.scales_N
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as folder:
        draft = Path(folder) / path.name
        np.savez(draft, **values)
        draft.replace(path)


def load_compact(path: Path, spec: EmbedderSpec) -> Compact:
    """Reads what `save_compact` wrote, for use beside vectors of the embedder with this spec.

    Raises `SpecMismatch` if another embedder made it, `UsageError` if it is absent or damaged.
    Nothing is unpickled.
    """
    try:
        values = _read(path)
        found = EmbedderSpec.from_dict(json.loads(str(values["spec"])))
        if str(values["fingerprint"]) != found.fingerprint or int(values["format"]) != _FORMAT:
            raise UsageError("spec and fingerprint differ, or a later version wrote it")
        compact = Compact(
            codes_N=values["codes"],
            precision=str(values["precision"]),  # type: ignore[arg-type]
            dimension=int(values["dimension"]),
            ranges_2D=values.get("ranges"),
            scales_N=values.get("scales"),
            clipped=int(values["clipped"]),
        )
        _check_spec(compact, found)
    except FileNotFoundError:
        raise UsageError(f"no vectors at {path}: save some first") from None
    except _DAMAGE as error:
        raise UsageError(f"{path} holds no compact vectors ({error}): save them again") from error
    found.require_equal(spec, remedy=f"encode the vectors of {path} again")
    return compact


def _read(path: Path) -> dict[str, npt.NDArray[Any]]:
    """All arrays of a file; stored without compression, so none can be larger than the file."""
    with zipfile.ZipFile(path) as zipped:
        if any(member.compress_type != zipfile.ZIP_STORED for member in zipped.infolist()):
            raise UsageError("its arrays are compressed, which this project never does")
    with np.load(path, allow_pickle=False) as opened:
        return {name: opened[name] for name in opened.files}


def _int8(blocks: list[Float32], ranges_2D: Float32) -> Compact:
    low_D, high_D = ranges_2D
    steps_D = (high_D - low_D) / np.float32(255)
    steps_D = np.where(steps_D > 0, steps_D, 1)  # a dimension without width: all are `low`
    parts, clipped = [np.empty((0, len(low_D)), np.int8)], 0
    for rows_ND in blocks:
        clipped += int(((rows_ND < low_D) | (rows_ND > high_D)).sum())
        places_ND = np.rint((np.clip(rows_ND, low_D, high_D) - low_D) / steps_D)
        parts.append((np.clip(places_ND, 0, 255) - 128).astype(np.int8))
    return Compact(
        codes_N=np.concatenate(parts),
        precision="int8",
        dimension=len(low_D),
        ranges_2D=ranges_2D,
        clipped=clipped,
    )


def _binary(blocks: list[Float32], ranges_2D: Float32) -> Compact:
    """Bits, and the scale of each row with which they come nearest to it (least squares)."""
    middle_D, half_D = _middle(ranges_2D)
    dimension = len(middle_D)
    codes, scales = [np.empty((0, -(-dimension // 8)), np.uint8)], [np.empty(0, np.float32)]
    squares = float(half_D @ half_D)
    for rows_ND in blocks:
        codes.append(np.packbits(rows_ND > middle_D, axis=1))
        distances_N = np.abs(rows_ND - middle_D) @ half_D
        scales.append((distances_N / squares if squares else 0 * distances_N).astype(np.float32))
    return Compact(
        codes_N=np.concatenate(codes),
        precision="binary",
        dimension=dimension,
        ranges_2D=ranges_2D,
        scales_N=np.concatenate(scales),
    )


def _decoded(compact: Compact, block: slice) -> Float32:
    """Rows of a block as float32 [n, D], not yet of unit length."""
    codes = compact.codes_N[block]
    if compact.ranges_2D is None:
        return codes.astype(np.float32)
    low_D, high_D = compact.ranges_2D
    if compact.scales_N is None:
        return np.asarray(low_D + (codes.astype(np.float32) + 128) * ((high_D - low_D) / 255))
    middle_D, half_D = _middle(compact.ranges_2D)
    sides_ND = 2 * np.unpackbits(codes, axis=1, count=compact.dimension).astype(np.float32) - 1
    return np.asarray(middle_D + compact.scales_N[block, None] * half_D * sides_ND)


def _middle(ranges_2D: Float32) -> tuple[Float32, Float32]:
    """Middle and half the width of each dimension [D]."""
    low_D, high_D = ranges_2D
    return (low_D + high_D) / 2, (high_D - low_D) / 2


def _blocks(count: int, dimension: int) -> Iterator[slice]:
    size = max(1, _BLOCK_VALUES // dimension)
    return (slice(first, min(first + size, count)) for first in range(0, count, size))


def _check_precision(precision: str) -> None:
    if precision not in _CODES:
        raise UsageError(f"precision {precision!r}: choose {', '.join(get_args(Precision))}")


def _check_vectors(vectors_ND: Float32) -> None:
    if not isinstance(vectors_ND, np.ndarray):
        raise UsageError(f"vectors of type {type(vectors_ND).__name__}: give float32 [N, D]")
    if vectors_ND.dtype != np.float32 or vectors_ND.ndim != 2 or not vectors_ND.shape[1]:
        raise UsageError(
            f"vectors are {vectors_ND.dtype} {list(vectors_ND.shape)}: give float32 [N, D]"
        )
    _check_units(vectors_ND)


def _check_units(rows_ND: npt.NDArray[Any]) -> None:
    """Finite and of unit length, block by block."""
    for block in _blocks(*rows_ND.shape):
        lengths_N = np.linalg.norm(rows_ND[block].astype(np.float32), axis=1)
        wrong_N = ~(np.abs(lengths_N - 1) <= _UNIT)  # true for NaN
        if wrong_N.any():
            row = int(np.argmax(wrong_N))
            raise UsageError(
                f"row {block.start + row} has length {lengths_N[row]:.3g}: give finite vectors of"
                " unit length"
            )


def _check_ranges(ranges_2D: Float32, dimension: int) -> None:
    fits = ranges_2D.dtype == np.float32 and ranges_2D.shape == (2, dimension)
    if not fits or not np.isfinite(ranges_2D).all() or (ranges_2D[0] > ranges_2D[1]).any():
        raise UsageError(
            f"ranges are {ranges_2D.dtype} {list(ranges_2D.shape)}, need finite float32"
            f" [2, {dimension}] with low <= high: learn them with ranges_of"
        )


def _check_spec(compact: Compact, spec: EmbedderSpec) -> None:
    if spec.dimension != compact.dimension or not spec.normalised:
        raise UsageError(
            f"vectors of {compact.dimension} components with a spec of {spec.dimension}: give the"
            " spec of the embedder that made them"
        )
