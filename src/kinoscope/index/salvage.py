"""What can still be read of a damaged table: which version is whole, which rows of another are."""

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kinoscope.index.manifest import system_code
from kinoscope.index.migration import schemas
from kinoscope.index.tables import Panics, manifest_of, versions_of
from kinoscope.types import EmbedderSpec

if TYPE_CHECKING:
    import pyarrow as pa
    from lancedb.table import Table

_ROWS_AT_ONCE = 4096
_FEWEST_ROWS = 64  # rows around a damaged one that are given up with it
_UNREADABLE = (OSError, RuntimeError, ValueError)


@dataclass(frozen=True, kw_only=True)
class Salvage:
    """The best that can be made of a table.

    Attributes:
        version: to go back to; 0 if none can be opened.
        newer: versions above it, which cannot be used.
        rows: that can be read of it.
        lost: rows of it that cannot.
        reason: what is wrong, in LanceDB's words; empty for a table without damage.
    """

    version: int
    newer: tuple[int, ...]
    rows: int
    lost: int
    reason: str

    @property
    def is_whole(self) -> bool:
        """Whether there is nothing to do."""
        return not self.reason


def examine(table: Path, spec: EmbedderSpec) -> Salvage:
    """Reads the newest version of a table, and older ones as long as it finds damage; no writes.

    A version that is whole is preferred to one of which some rows are lost, unless it has fewer.
    Raises the plain error of a disk that refuses: that is no damage.
    """
    reason, newer, best = "", [], None
    for version in sorted(versions_of(table), reverse=True):
        lost_rows = _Losses()
        try:
            with opened(table, version, spec) as found:
                if best is not None and found.count_rows() <= best.rows:
                    newer.append(version)
                    continue
                rows = sum(len(piece) for piece in readable(found, lost_rows))
        except _UNREADABLE as error:
            _require_damage(error)
            reason = reason or _first_line(error)
            newer.append(version)
            continue
        reason = reason or lost_rows.reason
        found_here = Salvage(
            version=version,
            newer=tuple(newer),
            rows=rows,
            lost=lost_rows.count,
            reason=reason,
        )
        newer.append(version)
        if best is None or rows > best.rows:
            best = found_here
        if not lost_rows.count:
            return best
    nothing = Salvage(
        version=0, newer=tuple(newer), rows=0, lost=0, reason=reason or "the table is missing"
    )
    return best or nothing


@contextmanager
def opened(table: Path, version: int, spec: EmbedderSpec) -> "Iterator[Table]":
    """One version of a table as if it were the only one; the table itself is not written to.

    Raises plain errors if it cannot be opened, `ValueError` if its columns are not ours.
    """
    import lancedb

    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        view = Path(folder) / table.name
        (view / "_versions").mkdir(parents=True)
        for entry in table.iterdir():
            if entry.is_dir() and entry.name != "_versions":
                (view / entry.name).symlink_to(entry.absolute())
        shutil.copy2(manifest_of(table, version), view / "_versions")
        with Panics():
            found = lancedb.connect(folder).open_table(table.stem)
            known = any(map(found.schema.equals, schemas(table.stem, spec)))
        if not known:
            raise ValueError(f"table {table.stem} has other columns")
        yield found


@dataclass
class _Losses:
    """Rows that could not be read, and why not."""

    count: int = 0
    reason: str = ""


def readable(table: "Table", losses: _Losses | None = None) -> "Iterator[pa.Table]":
    """All rows that can be read, in pieces; counts the others."""
    losses = losses or _Losses()
    with Panics():
        total = table.count_rows()
    for first in range(0, total, _ROWS_AT_ONCE):
        yield from _pieces(table, first, min(first + _ROWS_AT_ONCE, total), losses)


def _pieces(table: "Table", first: int, end: int, losses: _Losses) -> "Iterator[pa.Table]":
    """Rows `[first, end)`; what cannot be read at once is tried in halves."""
    try:
        with Panics():
            piece = table.take_offsets(list(range(first, end))).to_arrow()
            piece.validate(full=True)
    except _UNREADABLE as error:
        _require_damage(error)
        losses.reason = losses.reason or _first_line(error)
        if end - first <= _FEWEST_ROWS:
            losses.count += end - first
            return
        middle = (first + end) // 2
        yield from _pieces(table, first, middle, losses)
        yield from _pieces(table, middle, end, losses)
    else:
        yield piece


def _require_damage(error: OSError | RuntimeError | ValueError) -> None:
    """A disk that refuses for now proves nothing: raises the error again unless a file is gone."""
    if system_code(error) not in (None, errno.ENOENT):
        raise error


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].split(", /")[0]
