"""Facts of a Lance table that need no LanceDB: its newest version, conditions in SQL."""

import errno
from collections.abc import Collection
from pathlib import Path


def version_of(table: Path) -> int:
    """Newest version of a Lance table, from the names of its manifests (naming scheme V2).

    A name is 2**64 - 1 - version in 20 digits, e.g. `18446744073709551614.manifest` is version 1.
    """
    names = [path.stem for path in (table / "_versions").glob("*.manifest")]
    if not names:
        raise FileNotFoundError(errno.ENOENT, f"table {table.name} is missing")
    return max(2**64 - 1 - int(name) for name in names if name.isdigit())


def any_of(column: str, values: Collection[str | bytes]) -> str:
    """SQL condition; text is quoted and bytes are hexadecimal, so that no value can end it."""
    return f"{column} IN ({', '.join(map(_literal, sorted(values)))})"


def _literal(value: str | bytes) -> str:
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    return "'" + value.replace("'", "''") + "'"
