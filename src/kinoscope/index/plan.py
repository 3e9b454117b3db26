"""What a scan means for the rows already indexed: pure decisions, no file is touched."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kinoscope.index.rows import FileRow
from kinoscope.index.scan import Found, FoundFile


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a scan alone decides, before any content is read.

    Attributes:
        unchanged: rows whose file has the same path, size and modification time.
        to_identify: new or touched files, and failed ones that are due again; sorted by path.
        gone: rows whose file is no longer there.
        kept: rows whose folder could not be seen, so that nobody knows.
    """

    unchanged: tuple[FileRow, ...]
    to_identify: tuple[FoundFile, ...]
    gone: tuple[FileRow, ...]
    kept: tuple[FileRow, ...]


def plan(found: Found, rows: Sequence[FileRow], *, retry: bool = False) -> Plan:
    """Sorts files and rows; rows outside of the scanned sources are in no list.

    A failed file waits until it changes or `retry` is set, but one that could not even be read
    (no `video_id`) is looked at each time: mending a permission changes neither size nor time.
    One whose reading took too long waits as well: it would take as long again.
    """
    by_path = {row.path: row for row in rows}
    unchanged, to_identify = [], []
    for file in found.files:
        row = by_path.get(file.path)
        if row is not None and _is_settled(row, file, retry):
            unchanged.append(row)
        else:
            to_identify.append(file)
    there = {file.path for file in found.files}
    absent = [row for row in rows if row.path not in there and found.covers(row.path)]
    return Plan(
        unchanged=tuple(unchanged),
        to_identify=tuple(to_identify),
        gone=tuple(row for row in absent if not found.hides(row.path)),
        kept=tuple(row for row in absent if found.hides(row.path)),
    )


def _is_settled(row: FileRow, file: FoundFile, retry: bool) -> bool:
    if (row.size_bytes, row.mtime_ns) != (file.size_bytes, file.mtime_ns):
        return False
    was_read = row.video_id != "" or row.fault == "timeout"
    return row.state == "indexed" or (not retry and was_read)


def slices(files: Sequence[FoundFile], most_files: int, most_bytes: int) -> list[list[FoundFile]]:
    """Cuts work into slices of so many files and bytes, in order; at least one, perhaps empty.

    A file that is larger than a slice comes last, so that no other waits for it.
    """
    found: list[list[FoundFile]] = [[]]
    left_bytes = most_bytes
    for file in sorted(files, key=lambda file: file.size_bytes > most_bytes):
        if found[-1] and (len(found[-1]) == most_files or file.size_bytes > left_bytes):
            found.append([])
            left_bytes = most_bytes
        found[-1].append(file)
        left_bytes -= file.size_bytes
    return found


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """What the contents decide: rows to write at once, paths to forget, videos to decode.

    Attributes:
        refreshed: same path and content, another modification time.
        moved: content of a file that is gone, under its new path.
        copied: content of an indexed file that is still there, or that has moved elsewhere.
        left: old paths of the moved files, in the same order.
        to_decode: `video_id -> files with that content`; one decoding serves all of them.
    """

    refreshed: tuple[FileRow, ...]
    moved: tuple[FileRow, ...]
    copied: tuple[FileRow, ...]
    left: tuple[str, ...]
    to_decode: Mapping[str, tuple[FoundFile, ...]]

    @property
    def rows(self) -> tuple[FileRow, ...]:
        """All rows that need no decoding."""
        return (*self.refreshed, *self.moved, *self.copied)


def settle(
    plan: Plan, contents: Mapping[str, str], rows: Sequence[FileRow], *, now_s: float
) -> Settlement:
    """Matches identified files with indexed rows by content.

    Args:
        plan: the plan of the same `rows`.
        contents: `path -> video_id` of the files to identify; one that could not be read is absent.
        rows: all rows of the index, also those outside of the scanned sources; of a path that was
            written again, the old row as well, as long as its clips are stored.
        now_s: time that new rows carry, in seconds since 1970.

    Only indexed rows lend their vectors: a failed file under a new name is tried again.
    """
    lenders = _indexed_by_content(rows)
    leaving = {row.path for row in plan.gone}
    refreshed, moved, copied, old_paths = [], [], [], []
    to_decode: dict[str, list[FoundFile]] = defaultdict(list)
    for file in plan.to_identify:
        if file.path not in contents:
            continue
        same = lenders.get(contents[file.path], [])
        own = next((row for row in same if row.path == file.path), None)
        left = next((row for row in same if row.path in leaving), None)
        if not same:
            to_decode[contents[file.path]].append(file)
        elif own is not None:
            refreshed.append(_row_for(file, own, now_s))
        elif left is not None:
            leaving.remove(left.path)  # one file moves to one place
            old_paths.append(left.path)
            moved.append(_row_for(file, left, now_s))
        else:
            copied.append(_row_for(file, same[0], now_s))
    return Settlement(
        refreshed=tuple(refreshed),
        moved=tuple(moved),
        copied=tuple(copied),
        left=tuple(old_paths),
        to_decode={video_id: tuple(files) for video_id, files in to_decode.items()},
    )


def _indexed_by_content(rows: Sequence[FileRow]) -> dict[str, list[FileRow]]:
    found = defaultdict(list)
    for row in rows:
        if row.state == "indexed":
            found[row.video_id].append(row)
    return dict(found)


def _row_for(file: FoundFile, donor: FileRow, now_s: float) -> FileRow:
    return replace(
        donor,
        path=file.path,
        size_bytes=file.size_bytes,
        mtime_ns=file.mtime_ns,
        changed_at=now_s,
    )
