"""The index as it is served: a snapshot that answers, exchanged when the index has changed."""

import logging
import threading
from collections import defaultdict

from kinoscope.addresses import Where
from kinoscope.errors import IndexFault, KinoscopeError
from kinoscope.index.derived import Derived, stamp_of
from kinoscope.index.handle import Index
from kinoscope.index.rows import FileRow
from kinoscope.index.store import Store
from kinoscope.server.faults import Absent
from kinoscope.types import ClipEmbeddings

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0
_ATTEMPTS = 20


class Snapshot(Index):
    """An index as it was at one moment; searching it looks at none of its files.

    Attributes:
        by_id: indexed files by video id; copies share one.
        id_of: the video id of each indexed path.
    """

    def __init__(self, index: Index, derived: Derived, files: list[FileRow]) -> None:
        super().__init__(index.store, index.embedder)
        self._pinned, self._files = derived, files
        by_id: dict[str, list[FileRow]] = defaultdict(list)
        for row in files:
            if row.state == "indexed":
                by_id[row.video_id].append(row)
        self.by_id = {video_id: tuple(rows) for video_id, rows in by_id.items()}
        self.id_of = {row.path: row.video_id for rows in self.by_id.values() for row in rows}

    def derived(self) -> Derived:
        """What search reads, for that moment."""
        return self._pinned

    def files(self) -> list[FileRow]:
        """All paths with what was found there, at that moment."""
        return self._files

    def clips_of(self, video_id: str) -> ClipEmbeddings:
        """The vectors of a video; `Absent` for an id that is not indexed."""
        path, catalog = self.rows_of(video_id)[0].path, self._pinned.catalog
        return catalog.clips_of(int(catalog.path_video_P[catalog.place_of[path]]))

    @property
    def stamp(self) -> str:
        """Names the moment."""
        return self._pinned.stamp

    def rows_of(self, video_id: str) -> tuple[FileRow, ...]:
        """Files with a video's content, at least one; `Absent` for an id that is not indexed."""
        rows = self.by_id.get(video_id)
        if not rows:
            raise Absent(f"no video {video_id} in the index: search again, it may have changed")
        return rows


class Library:
    """The newest snapshot of an index, kept up to date from a thread of its own.

    Whoever took a snapshot goes on with it: a change is never waited for.
    """

    def __init__(self, index: Index, *, look_every_s: float = _LOOK_EVERY_S) -> None:
        """Reads the index, and loads its model. Raises as `Index.derived`."""
        self._index = index
        self._now = self._read()
        self.trouble = ""
        self._stopped = threading.Event()
        self._look_every_s = look_every_s
        self._thread = threading.Thread(target=self._follow, name="reload", daemon=True)
        self._thread.start()

    @property
    def where(self) -> Where:
        """The folder or address of the index."""
        return self._index.store.place.name

    @property
    def now(self) -> Snapshot:
        """The newest snapshot; `trouble` says why there is none newer, if so."""
        return self._now

    def close(self) -> None:
        """Looks no more."""
        self._stopped.set()
        self._thread.join()

    def refresh(self) -> None:
        """Takes what has changed into account now; errors are those of `Index.derived`."""
        if stamp_of(Store.open(self.where)) != self._now.stamp:
            self._now = self._read()
            log.info("serving %r", self._now.derived().catalog)

    def _follow(self) -> None:
        while not self._stopped.wait(self._look_every_s):
            try:
                self.refresh()
                self.trouble = ""
            except KinoscopeError as error:
                if str(error) != self.trouble:
                    log.warning("serving the index as it was: %s", error)
                self.trouble = str(error)

    def _read(self) -> Snapshot:
        """Search arrays and files that belong together, though a run may be writing."""
        for _ in range(_ATTEMPTS):
            derived = self._index.derived()
            files = self._index.files()
            if stamp_of(self._index.store) == derived.stamp:
                return Snapshot(self._index, derived, files)
        raise IndexFault(f"{self.where} changes all the time: try again in a minute")
