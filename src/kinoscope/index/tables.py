"""What is known of Lance tables without LanceDB: versions, cut files, panics, SQL conditions."""

import errno
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from types import TracebackType

_END = b"LANC"


class Panics:
    """A `with` block in which a panic of LanceDB, on bytes that it did not expect, is damage.

    Its class cannot be imported, and is no `RuntimeError`.
    """

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Raises a `RuntimeError` in place of a panic."""
        if kind is not None and kind.__name__ in ("RustPanic", "PanicException"):
            raise RuntimeError(f"corrupt: LanceDB gave up, {error}") from error


def version_of(table: Path) -> int:
    """Newest version of a Lance table, from the names of its manifests (naming scheme V2).

    A name is 2**64 - 1 - version in 20 digits, e.g. `18446744073709551614.manifest` is version 1.
    """
    versions = versions_of(table)
    if not versions:
        raise FileNotFoundError(errno.ENOENT, f"table {table.name} is missing")
    return max(versions)


def versions_of(table: Path) -> list[int]:
    """Versions of a Lance table that have a manifest, readable or not."""
    names = [path.stem for path in (table / "_versions").glob("*.manifest")]
    return [2**64 - 1 - int(name) for name in names if name.isdecimal() and len(name) == 20]


def manifest_of(table: Path, version: int) -> Path:
    """The file that makes a version."""
    return table / "_versions" / f"{2**64 - 1 - version:020}.manifest"


def go_back(table: Path, version: int) -> None:
    """Takes back all later versions, of which no reader may have been told."""
    for later in versions_of(table):
        if later > version:
            manifest_of(table, later).unlink()
    (table / "_versions" / "latest_version_hint.json").unlink(missing_ok=True)


def cut_short(files: Iterable[Path]) -> list[Path]:
    """Those data files of Lance that do not end as they must.

    LanceDB 0.40 loses the error of a last write that finds half the room it needs, and commits.
    """
    return [path for path in files if path.suffix == ".lance" and not _is_whole(path)]


def _is_whole(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-min(len(_END), path.stat().st_size), os.SEEK_END)
        return stream.read() == _END


def any_of(column: str, values: Collection[str | bytes]) -> str:
    """SQL condition; text is quoted and bytes are hexadecimal, so that no value can end it."""
    return f"{column} IN ({', '.join(map(_literal, sorted(values)))})"


def _literal(value: str | bytes) -> str:
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    return "'" + value.replace("'", "''") + "'"
