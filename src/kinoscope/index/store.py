"""The truth of an index: LanceDB tables `clips` and `files`, written so that no kill loses rows."""

import logging
import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kinoscope.addresses import Where, path_of
from kinoscope.index import manifest, migration, rows
from kinoscope.index.manifest import Manifest
from kinoscope.index.place import Place, place_of
from kinoscope.index.rows import ClipTable as ClipTable
from kinoscope.index.rows import FileRow as FileRow
from kinoscope.index.scan import absolute
from kinoscope.index.tables import any_of
from kinoscope.types import ClipEmbeddings, EmbedderSpec, Int64

if TYPE_CHECKING:
    import pyarrow as pa
    from lancedb.table import Table

log = logging.getLogger(__name__)

# LanceDB keeps superseded data this long, so that a reader in the middle of a load finds its files
KEEP_OLD_VERSIONS = timedelta(hours=1)
_ALL_OLD_VERSIONS = timedelta(days=36_500)
_DELETE_AT_ONCE = 1000
_BATCH = 16_384  # vectors that are read at a time
# the key that is unique in a table, and the column whose rows are replaced together
_KEYS = {"clips": ("clip_id", "video_id"), "files": ("path", "path")}


class Store:
    """One index. Any number of readers; one writer at a time.

    Write order is clips, then files; remove order is files, then clips. A clip is visible only if
    an indexed file has its video, so that a kill at any moment leaves each video whole or absent.
    Each step waits for the disk before the next begins: a power cut does no more than a kill.
    Every method raises `IndexFault` when the disk, the bucket or the tables fail.
    """

    def __init__(self, place: Place, identity: Manifest) -> None:
        """`folder` is that of the index, or holds what this machine keeps of one in a bucket."""
        self.place, self.folder = place, place.folder
        self.id = identity.id
        self.spec = identity.spec
        self.format = identity.format
        self._known: dict[str, set[object]] | None = None
        self._replaced_files = False

    def __repr__(self) -> str:
        return f"Store({self.place.name!r}, {self.spec.model}, D={self.spec.dimension})"

    @classmethod
    def create(cls, where: Where, spec: EmbedderSpec) -> "Store":
        """Makes an empty index in a folder, or below an address, that is absent or empty.

        The manifest is written last: a creation that was killed is no index, and is done again.
        """
        place, identity = place_of(where), manifest.new_manifest(spec)
        schemas = {"clips": rows.clip_schema(spec), "files": rows.file_schema()}
        place.create(schemas, identity)
        return cls(place, identity)

    @classmethod
    def open(cls, where: Where) -> "Store":
        """Raises `IndexFault` if the index is missing, foreign, damaged or of a newer format."""
        place = place_of(where)
        return cls(place, place.manifest())

    # --- what is watched

    def sources(self) -> tuple[Path, ...]:
        """Folders and files that this index watches, as absolute paths, in the order added."""
        return self.place.sources()

    def add_sources(self, paths: Sequence[Path]) -> None:
        """Adds paths to the watched ones; those already there stay where they are."""
        with self.writing():
            given = [path_of(absolute(path)) for path in paths]
            self.place.write_sources(tuple(dict.fromkeys((*self.sources(), *given))))

    def remove_sources(self, paths: Collection[Path]) -> None:
        """Stops watching these paths; what is indexed stays until it is removed."""
        with self.writing():
            watched = self.sources()
            kept = [source for source in watched if source not in paths]
            if len(kept) < len(watched):
                self.place.write_sources(kept)

    def memory_mb(self) -> int:
        """How many MiB a search may hold, see `kinoscope.index.derived`."""
        return manifest.read_memory_mb(self.folder)

    # --- writing

    @contextmanager
    def writing(self, role: str = "") -> Iterator[None]:
        """Holds the writer's lock over several changes; each change alone takes it by itself.

        `role` is for `manifest.OPTIMISING`, which others wait for.

        Brings an older format up to this one, drops on entry what a killed run left, and forgets
        files whose clips are lost. Raises `IndexFault` if another process writes.
        """
        with self.place.locked(role) as outermost:
            if not outermost:
                yield
                return
            self.place.settle()
            self._upgrade()
            self._forget_lost()
            self.drop_orphans()
            try:
                yield
                if self._replaced_files:
                    self.drop_orphans()
            finally:
                self._known = None
                self._replaced_files = False

    def commit(
        self, videos: Sequence[tuple[str, ClipEmbeddings]], files: Sequence[FileRow]
    ) -> None:
        """Writes all clips in one step, then all files in one step.

        A video or path that is already there is replaced. For a moved file, commit its new row
        first and remove the old path afterwards: its clips are kept while any file refers to them.
        """
        with self.writing():
            known = self._load_known()
            clips = dict(videos)
            dangling = {row.video_id for row in files if row.state == "indexed"}
            dangling -= known["clips"] | set(clips)
            assert not dangling, f"indexed files without clips: {sorted(dangling)[:3]}"
            paths = {os.fsencode(row.path): row for row in files}
            self._replaced_files |= not known["files"].isdisjoint(paths)
            if clips:
                self._put("clips", rows.arrow_of_clips(clips, self.spec), set(clips))
            if paths:
                self._put("files", rows.arrow_of_files(paths.values()), set(paths))

    def remove(self, paths: Sequence[str]) -> int:
        """Forgets paths, then clips that no remaining file refers to; returns the paths removed."""
        with self.writing():
            gone = set(map(os.fsencode, paths)) & self._load_known()["files"]
            self._delete("files", gone)
            if gone:
                self.drop_orphans()
            return len(gone)

    def forget(self, videos: Collection[str]) -> None:
        """Forgets videos with all their paths: the next scan finds new files there."""
        with self.writing():
            if videos:
                self._forget_files(set(videos))
                self.drop_orphans()

    def drop_orphans(self) -> int:
        """Deletes clips without an indexed file; returns how many videos they belonged to."""
        with self.place.locked():
            self._known = None
            orphans = self._orphans()
            self._delete("clips", orphans)
            return len(orphans)

    def count_orphans(self) -> int:
        """How many videos have clips but no indexed file; the next run drops them."""
        return len(self._orphans())

    def count_lost(self) -> int:
        """How many videos of indexed files have no clips; the next run decodes them again."""
        return len(self._lost())

    def count_pieces(self) -> tuple[int, int]:
        """Of how many pieces `clips` and `files` are now."""
        with self.place.faults():
            found = [self._table(name).stats()["fragment_stats"] for name in _KEYS]
        return found[0]["num_fragments"], found[1]["num_fragments"]

    def compact(self) -> None:
        """Joins small pieces and frees superseded data older than `KEEP_OLD_VERSIONS`.

        The joined pieces are on the disk before those that they replace leave it.
        """
        with self.writing():
            for age in (_ALL_OLD_VERSIONS, KEEP_OLD_VERSIONS):
                for name in _KEYS:
                    with self._changing(name) as table:
                        table.optimize(cleanup_older_than=age)

    def is_outdated(self) -> bool:
        """Whether the index has an earlier format, which the next writer brings up to date."""
        with self.place.faults():
            checked = rows.CHECK in self._table("clips").schema.names
        return self.format < manifest.FORMAT or not checked

    def _upgrade(self) -> None:
        """The manifest first: older versions of Kinoscope then ask for an upgrade."""
        if not self.is_outdated():
            return
        log.warning("bringing %s to format %d", self.place.name, manifest.FORMAT)
        identity = Manifest(id=self.id, spec=self.spec)
        self.place.write_manifest(identity)
        self.format = identity.format
        with self._changing("clips") as clips:
            if rows.CHECK not in clips.schema.names:
                migration.add_checks(clips)

    def _orphans(self) -> set[Any]:
        indexed = self._column("files", "video_id", "state = 'indexed'")
        return self._column("clips", "video_id") - indexed

    def _lost(self) -> set[Any]:
        """Damage, or a table restored from a backup: no order of writes leaves such videos."""
        indexed = self._column("files", "video_id", "state = 'indexed'")
        lost = indexed - self._column("clips", "video_id")
        if lost:  # without those that a writer removed between the two looks
            lost &= self._column("files", "video_id", "state = 'indexed'")
        return lost

    def _forget_lost(self) -> None:
        """Deletes file rows without clips in one step: the next scan finds new files there."""
        if lost := self._lost():
            log.warning(
                "%s has lost the clips of %d videos: index again", self.place.name, len(lost)
            )
            self._forget_files(lost)

    def _forget_files(self, videos: set[Any]) -> None:
        with self._changing("files") as files:
            files.delete(f"state = 'indexed' AND {any_of('video_id', videos)}")

    def _load_known(self) -> dict[str, set[object]]:
        """Groups present in each table; kept up to date while the lock is held."""
        if self._known is None:
            self._known = {name: self._column(name, group) for name, (_, group) in _KEYS.items()}
        return self._known

    @contextmanager
    def _changing(self, name: str) -> "Iterator[Table]":
        """A table to be changed: afterwards the change is on the disk, whole, or taken back."""
        with self.place.faults(), self.place.changing(name):
            yield self._table(name)

    def _put(self, name: str, table: "pa.Table", groups: set[Any]) -> None:
        """One atomic step; a plain append, whose cost does not grow, where nothing is replaced."""
        key, group = _KEYS[name]
        replaced = groups & self._load_known()[name]
        known, self._known = self._load_known(), None  # unknown if the next line fails
        with self._changing(name) as stored:
            if replaced:
                merge = stored.merge_insert(key).when_matched_update_all()
                merge = merge.when_not_matched_insert_all()
                merge.when_not_matched_by_source_delete(any_of(group, replaced)).execute(table)
            else:
                stored.add(table)
        known[name] |= groups
        self._known = known

    def _delete(self, name: str, groups: set[Any]) -> None:
        known, self._known = self._load_known(), None
        ordered = sorted(groups)
        for first in range(0, len(ordered), _DELETE_AT_ONCE):
            with self._changing(name) as table:
                some = ordered[first : first + _DELETE_AT_ONCE]
                table.delete(any_of(_KEYS[name][1], some))
        known[name] -= groups
        self._known = known

    # --- reading

    def versions(self) -> tuple[int, int]:
        """Versions of `clips` and `files`; they grow with every change. Does not load LanceDB."""
        with self.place.faults():
            return self.place.version("clips"), self.place.version("files")

    def files(self) -> list[FileRow]:
        """All paths, sorted."""
        with self.place.faults():
            return rows.files_of_arrow(self._table("files").to_arrow())

    def clips(self) -> ClipTable:
        """All visible clips."""
        return self.snapshot()[2]

    def count_clips(self) -> int:
        """How many clips are visible, without reading their vectors."""
        indexed = self._column("files", "video_id", "state = 'indexed'")
        with self.place.faults():
            column = self._table("clips").search().select(["video_id"]).to_arrow()["video_id"]
        counts = column.value_counts().to_pylist()
        return sum(each["counts"] for each in counts if each["values"] in indexed)

    def count_thoughts(self) -> tuple[dict[int, int], dict[str, int]]:
        """How many visible clips have how many steps, and what ended them; empty without thinking.

        Without reading vectors.
        """
        if not self.spec.thinks:
            return {}, {}
        indexed = self._column("files", "video_id", "state = 'indexed'")
        with self.place.faults():
            columns = ["video_id", *rows.THOUGHT_COLUMNS]
            found = self._table("clips").search().select(columns).to_arrow().to_pydict()
        seen = [row[1:] for row in zip(*found.values(), strict=True) if row[0] in indexed]
        counts = [Counter(column) for column in zip(*seen, strict=True)] or [Counter(), Counter()]
        return dict(sorted(counts[0].items())), dict(counts[1].most_common())

    def snapshot(self) -> tuple[tuple[int, int], list[FileRow], ClipTable]:
        """Versions, files and visible clips that belong together, while a writer may be at work."""
        versions, files, keys, batches = self.stream()
        vectors_ND = np.empty((len(keys), self.spec.dimension), np.float32)
        for place, vectors in batches:
            vectors_ND[place] = vectors
        return versions, files, ClipTable(**vars(keys), vectors_ND=vectors_ND)

    def stream(
        self,
    ) -> tuple[tuple[int, int], list[FileRow], rows.ClipKeys, Iterator[rows.Placed]]:
        """The same, with vectors batch by batch: those of a million clips need not fit memory."""
        with self.place.faults():
            # files first: clips are written before the file that makes them visible
            files_table, clips_table = self._table("files"), self._table("clips")
            files = rows.files_of_arrow(files_table.to_arrow())
            visible = {row.video_id for row in files if row.state == "indexed"}
            hidden = ("clip_id", "vector", rows.CHECK)
            names = [name for name in clips_table.schema.names if name not in hidden]
            table = clips_table.search().select(names).to_arrow()
            keys, place_R = rows.keys_of_arrow(table, visible)
        versions = (clips_table.version, files_table.version)
        return versions, files, keys, self._vectors(clips_table, place_R)

    def _vectors(self, clips: "Table", place_R: Int64) -> Iterator[rows.Placed]:
        with self.place.faults():
            batches = rows.placed(clips.search().select(["vector"]).to_batches(_BATCH), place_R)
        while True:
            with self.place.faults():
                found = next(batches, None)
            if found is None:
                return
            yield found

    def _table(self, name: str) -> "Table":
        """A handle pinned to the newest version."""
        table = self.place.connect().open_table(name)
        if not any(map(table.schema.equals, migration.schemas(name, self.spec))):
            raise ValueError(f"table {name} has other columns")
        return table

    def _column(self, name: str, column: str, where: str | None = None) -> set[Any]:
        """Distinct values of a column."""
        with self.place.faults():
            query = self._table(name).search().select([column])
            query = query.where(where) if where else query
            return set(query.to_arrow()[column].unique().to_pylist())
