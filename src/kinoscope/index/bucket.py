"""An index in object storage: all of it in LanceDB tables, with the credentials that LanceDB takes.

An object is written whole or not at all, and is kept once it is written; so nothing here waits for
a disk, or is taken back. There is no lock either: a writer sees afterwards that another was there.
"""

import hashlib
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from kinoscope.addresses import SCHEMES
from kinoscope.errors import IndexFault, UsageError
from kinoscope.index import manifest
from kinoscope.index.manifest import Manifest
from kinoscope.index.tables import Panics
from kinoscope.packages import cache_folder

if TYPE_CHECKING:
    import pyarrow as pa
    from lancedb.db import DBConnection
    from lancedb.table import Table

log = logging.getLogger(__name__)

ABOUT = "about"
"""A table with what a folder has in small files: rows of name and text."""
_ADDRESS = re.compile(rf"({'|'.join(SCHEMES)})://[^/\s?#]+(/[^\s?#]+)?")
# what LanceDB says when there is no answer, or a refusal; parts of it sound like damage
_AWAY = re.compile(
    "connect|RetryError|credential|sending request|NoSuchBucket|Forbidden|AccessDenied",
    re.IGNORECASE,
)
_REMEDY = "go back to earlier versions of its objects, or index into a new place"
_UNREACHABLE = "look at the address, the network and the credentials in the environment"


class Bucket:
    """An address `s3://bucket/index`, `gs://...` or `az://...`."""

    def __init__(self, url: str) -> None:
        """`UsageError` if the address is of no such storage, or has a query or spaces."""
        self.name = url.rstrip("/")
        if not _ADDRESS.fullmatch(self.name):
            schemes = ", ".join(f"{scheme}://BUCKET/NAME" for scheme in SCHEMES)
            raise UsageError(f"{url} is no place for an index: name a folder, or {schemes}")
        key = hashlib.sha256(self.name.encode()).hexdigest()[:16]
        self.folder = cache_folder() / "buckets" / key
        self._depth = 0
        self._left: dict[str, int] = {}

    @contextmanager
    def faults(self) -> Iterator[None]:
        """See `Place.faults`."""
        try:
            with Panics():
                yield
        except (OSError, RuntimeError, ValueError) as error:
            raise IndexFault(_explain(self.name, error)) from error

    def connect(self) -> "DBConnection":
        """See `Place.connect`."""
        return _connection(self.name)

    def is_index(self) -> bool:
        """See `Place.is_index`. Raises `IndexFault` if the storage does not answer."""
        with self.faults():
            return ABOUT in self.connect().table_names()

    def create(self, schemas: "Mapping[str, pa.Schema]", identity: Manifest) -> None:
        """See `Place.create`. The manifest comes last, together with its table."""
        import pyarrow as pa

        if self.is_index():
            raise IndexFault(f"{self.name} is an index already: open it, or choose another name")
        with self.faults():
            tables = self.connect()
            for name, schema in schemas.items():  # in place of what a killed creation left
                tables.create_table(name, schema=schema, mode="overwrite")
            text = json.dumps(manifest.manifest_values(identity))
            told = pa.table({"name": [manifest.MANIFEST], "text": [text]})
            tables.create_table(ABOUT, data=told)

    def manifest(self) -> Manifest:
        """See `Place.manifest`."""
        if not self.is_index():
            raise IndexFault(
                f"no index at {self.name}: create it with `kinoscope index`, or check the address"
            )
        return manifest.checked_manifest(
            self._named(manifest.MANIFEST), self._read(manifest.MANIFEST), remedy=_REMEDY
        )

    def write_manifest(self, identity: Manifest) -> None:
        """See `Place.write_manifest`."""
        self._write(manifest.MANIFEST, manifest.manifest_values(identity))

    def sources(self) -> tuple[Path, ...]:
        """See `Place.sources`."""
        values = self._read(manifest.SOURCES)
        if values is None:
            return ()
        return manifest.checked_sources(self._named(manifest.SOURCES), values, remedy=_REMEDY)

    def write_sources(self, sources: Sequence[Path]) -> None:
        """See `Place.write_sources`."""
        self._write(manifest.SOURCES, [str(source) for source in sources])

    @contextmanager
    def locked(self, role: str = "") -> Iterator[bool]:
        """See `Place.locked`; but only other writers of this object are kept away."""
        if not self._depth:
            log.warning("%s has no lock: let no other process write to it meanwhile", self.name)
            self._left.clear()
        self._depth += 1
        try:
            yield self._depth == 1
        finally:
            self._depth -= 1

    def settle(self) -> None:
        """See `Place.settle`: what is written is kept."""

    @contextmanager
    def changing(self, table: str) -> Iterator[None]:
        """See `Place.changing`. Raises `IndexFault` if the table changed since this one's last."""
        now = self.version(table)
        if self._left.get(table, now) != now:
            raise IndexFault(
                f"another process writes to {self.name}: end one of the two, then index again"
            )
        yield
        self._left[table] = self.version(table)

    def version(self, table: str) -> int:
        """See `Place.version`."""
        return int(self.connect().open_table(table).version)

    def size_bytes(self) -> None:
        """See `Place.size_bytes`."""

    def _named(self, name: str) -> str:
        return f"{self.name} ({name})"

    def _about(self) -> "Table":
        table = self.connect().open_table(ABOUT)
        if table.schema.names != ["name", "text"]:
            raise ValueError(f"table {ABOUT} has other columns")
        return table

    def _read(self, name: str) -> object:
        """What a name stands for; None if there is no such name."""
        with self.faults():
            rows = self._about().to_arrow().to_pylist()
        found = [row["text"] for row in rows if row["name"] == name]
        try:
            return json.loads(found[0]) if found else None
        except (ValueError, RecursionError, TypeError):
            raise IndexFault(f"{self._named(name)} is not JSON: {_REMEDY}") from None

    def _write(self, name: str, value: object) -> None:
        import pyarrow as pa

        with self.faults():
            merge = self._about().merge_insert("name").when_matched_update_all()
            told = pa.table({"name": [name], "text": [json.dumps(value)]})
            merge.when_not_matched_insert_all().execute(told)


@lru_cache
def _connection(url: str) -> "DBConnection":
    """One an address: it looks up what the storage can do when it is made."""
    import lancedb

    return lancedb.connect(url)


def _explain(name: str, error: OSError | RuntimeError | ValueError) -> str:
    reason = (str(error) or type(error).__name__).splitlines()[0].split(", /")[0][:300]
    if manifest.is_damage(reason) and not _AWAY.search(reason):
        return f"index at {name} is damaged ({reason}): {_REMEDY}"
    return f"cannot use {name} ({reason}): {_UNREACHABLE}"
