"""Brings an index up to date with its folders: scan, identify, decode, embed, commit."""

import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kinoscope.addresses import is_url, path_of
from kinoscope.errors import MediaError, MediaFault, UsageError
from kinoscope.index.crew import Crew, LocalCrew, Outcome, UnderWay, Unwatched, Watched
from kinoscope.index.films import Film, quarantine_row
from kinoscope.index.options import BuildOptions as BuildOptions
from kinoscope.index.plan import Plan, plan, settle, slices
from kinoscope.index.progress import BuildReport as BuildReport
from kinoscope.index.progress import Failure, Meter, Stopwatch
from kinoscope.index.progress import Progress as Progress
from kinoscope.index.rows import FileRow, folder_prefix
from kinoscope.index.scan import FoundFile, SourcePath, absolute, scan
from kinoscope.types import ClipEmbeddings
from kinoscope.video import remote

if TYPE_CHECKING:
    from kinoscope.embedder import Embedder
    from kinoscope.index.store import Store

_REMEDY = "index with the embedder that made this index, or into a new folder"

SLICE_FILES, SLICE_BYTES = 256, 16 * 2**30
"""What is identified before it is decoded: of a large library, the first videos come soon."""

COMPACT_EVERY = 64
"""Commits between two compactions: each commit adds a piece to both tables."""


def update(
    store: "Store",
    sources: Sequence[SourcePath],
    embedder: "Embedder",
    *,
    options: BuildOptions | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> BuildReport:
    """Adds new videos, decodes changed ones again, follows moved ones, forgets deleted ones.

    Args:
        store: an index made with the same embedder.
        sources: folders and files to look at, which are then watched; none means all watched.
        embedder: makes the vectors.
        options: sizes and limits.
        progress: called now and then, from this thread.

    A file that cannot be indexed becomes a row in quarantine and an entry of `failures`. Commits
    come in batches, so a run that ends early (Ctrl-C included) goes on where it stopped.
    Raises `SpecMismatch` and `UsageError` before anything is touched; `IndexFault` if the index
    is locked or its disk fails; `SetupError` if decoding processes cannot start.
    """
    embedder.spec.require_equal(store.spec, remedy=_REMEDY)
    options = options or BuildOptions()
    crew = LocalCrew(embedder, options)
    return bring_up_to_date(store, sources, crew, options=options, progress=progress)


def bring_up_to_date(
    store: "Store",
    sources: Sequence[SourcePath],
    crew: Crew,
    *,
    options: BuildOptions,
    progress: Callable[[Progress], None] | None = None,
) -> BuildReport:
    """`update` by any crew, whose embedder is the one that made the index.

    This process alone writes the index; what a crew does is lost with it, but for what it handed
    over. Errors are those of `update`, and the crew's own.
    """
    roots = _roots(store, sources)
    with store.writing():
        if sources:
            store.add_sources([path_of(absolute(source)) for source in sources])
        return _Run(store, crew, options, progress).go(roots)


def _roots(store: "Store", sources: Sequence[SourcePath]) -> list[str]:
    """What to scan: all that is watched, or the given paths with what is watched below them."""
    watched = [str(path) for path in store.sources()]
    if not sources:
        if not watched:
            raise UsageError("nothing is watched yet: name a folder or a file to index")
        return watched
    given = [absolute(source) for source in sources]
    known = {*watched, *(row.path for row in store.files())}
    for path in given:
        if is_url(path):
            remote.storage_of(path)
        elif not Path(path).exists() and path not in known:
            raise UsageError(f"{path}: no such file or folder")
    below = [
        path for path in watched if not {str(up) for up in path_of(path).parents}.isdisjoint(given)
    ]
    return [*given, *below]


@dataclass
class _Batch:
    """What waits for the next commit."""

    videos: list[tuple[str, ClipEmbeddings]] = field(default_factory=list)
    rows: list[FileRow] = field(default_factory=list)
    began_s: float = field(default_factory=time.monotonic)

    def is_due(self, options: BuildOptions) -> bool:
        age_s = time.monotonic() - self.began_s
        full = len(self.rows) >= options.commit_videos
        return full or (bool(self.rows) and age_s >= options.commit_every_s)


class _Run:
    """The state of one run."""

    def __init__(
        self,
        store: "Store",
        crew: Crew,
        options: BuildOptions,
        tell: Callable[[Progress], None] | None,
    ) -> None:
        self._store, self._crew, self._options, self._tell = store, crew, options, tell
        self._began_s = time.monotonic()
        self._watch = Stopwatch()
        self._rows = store.files()
        self._tries = {row.path: row.tries for row in self._rows}
        self._batch = _Batch()
        self._failures: list[Failure] = []
        names = ("indexed", "duplicates", "copied", "moved", "refreshed")
        self._counts = dict.fromkeys(names, 0)
        self._video_s = 0.0
        self._frames = 0

    def go(self, roots: Sequence[str]) -> BuildReport:
        with self._watch.stage("scan"):
            found = scan(roots, skip=self._store.folder, within=self._options.within)
            planned = plan(found, self._rows, retry=self._options.retry)
        self._follow(planned)
        with self._watch.stage("write"):  # after the new names, so that moved files keep vectors
            self._store.remove([row.path for row in planned.gone])
        return BuildReport(
            **self._counts,
            unchanged=len(planned.unchanged),
            removed=len(planned.gone) - self._counts["moved"],
            kept=len(planned.kept),
            quarantined=sum(row.state == "failed" for row in self._store.files()),
            failures=tuple(self._failures),
            problems=(
                *(problem.message for problem in found.problems),
                *_deserted(found.empty, planned.kept),
            ),
            video_s=self._video_s,
            frames=self._frames,
            wall_s=time.monotonic() - self._began_s,
            stages=self._watch.costs("scan", "identify", "decode", "vision", "write"),
        )

    def _follow(self, planned: Plan) -> None:
        """Identifies and decodes slice by slice; a path that is gone may turn up in the last."""
        files = planned.to_identify
        size_bytes = sum(file.size_bytes for file in files)
        reading = Meter("identify", self._tell, len(files), size_bytes)
        seeing = Meter("decode", self._tell, len(files), size_bytes)
        width = self._crew.width
        for part in slices(files, width * SLICE_FILES, width * SLICE_BYTES):
            planned = replace(planned, to_identify=tuple(part))
            with self._watch.stage("identify"), reading.running():
                contents = self._identify(part, reading)
                settled = settle(planned, contents, self._rows, now_s=time.time())
            for name in ("copied", "moved", "refreshed"):
                self._counts[name] += len(getattr(settled, name))
            self._batch.rows += settled.rows
            self._commit()
            gone = tuple(row for row in planned.gone if row.path not in settled.left)
            planned = replace(planned, gone=gone)
            films = [Film(v, same) for v, same in settled.to_decode.items()]
            needed = sum(film.size_bytes for film in films) - sum(file.size_bytes for file in part)
            seeing.expect(len(films) - len(part), needed)
            with seeing.running():
                self._decode(films, seeing)
        self._video_s = seeing.video_s

    def _identify(self, files: Sequence[FoundFile], meter: Meter) -> dict[str, str]:
        """`path -> video_id`; a file that cannot be read goes to quarantine."""
        contents = {}
        with closing(self._crew.identify(files)) as answers:  # also on Ctrl-C
            for file, answer in answers:
                if isinstance(answer, MediaError):
                    self._quarantine(file, "", answer.fault, str(answer))
                else:
                    contents[file.path] = answer
                meter.count(file.size_bytes)
                meter.show(len(self._failures))
        return contents

    def _decode(self, films: list[Film], meter: Meter) -> None:
        # largest first, so that no long film is left for the end, when the other cores are idle
        films.sort(key=lambda film: film.size_bytes, reverse=True)
        waiting = deque(films)
        try:
            with closing(self._crew.watch(waiting, self._watch)) as outcomes:
                for outcome in outcomes:
                    waiting.extend(self._handle(outcome, meter))
        except KeyboardInterrupt:
            self._commit()
            raise
        self._commit()

    def _handle(self, outcome: Outcome | UnderWay, meter: Meter) -> list[Film]:
        """Notes what came of a film; returns the films that must be watched in its place."""
        heirs: list[Film] = []
        match outcome:
            case Watched():
                self._finish(outcome)
                meter.count(outcome.film.size_bytes)
                meter.video_s += outcome.report.end_s
            case Unwatched():
                heirs = self._give_up(outcome)
                meter.count(outcome.film.size_bytes)
                meter.expect(len(heirs), len(heirs) * outcome.film.size_bytes)
            case UnderWay():
                meter.show(
                    len(self._failures),
                    under_way_bytes=outcome.size_bytes,
                    under_way_s=outcome.seen_s,
                )
        if self._batch.is_due(self._options):
            self._commit()
        return heirs

    def _finish(self, watched: Watched) -> None:
        film = watched.film
        self._batch.videos.append((film.video_id, watched.clips))
        self._batch.rows += film.rows(watched.report)
        self._counts["indexed"] += 1
        self._frames += film.seen_frames
        self._counts["duplicates"] += len(film.files) - 1

    def _give_up(self, failure: Unwatched) -> list[Film]:
        """Quarantines all files of a film; but one that vanished or changed speaks for itself."""
        film = failure.film
        first, others = film.files[0], film.files[1:]
        alone = failure.fault in ("missing", "changed", "unreadable")
        for file in [first] if alone else film.files:
            message = failure.message.replace(first.path, file.path)
            self._quarantine(file, film.video_id, failure.fault, message)
        return [Film(film.video_id, others)] if alone and others else []

    def _quarantine(self, file: FoundFile, video_id: str, fault: MediaFault, message: str) -> None:
        tries = self._tries.get(file.path, 0) + 1
        self._failures.append(Failure(path=file.path, fault=fault, message=message))
        self._batch.rows.append(quarantine_row(file, video_id, fault, message, tries=tries))

    def _commit(self) -> None:
        """Writes the batch, which is let go first: an interrupted commit is not repeated."""
        batch, self._batch = self._batch, _Batch()
        if not batch.rows:
            return
        with self._watch.stage("write"):
            before = self._store.versions()[1]
            self._store.commit(batch.videos, batch.rows)
            # an old row of the same path still lends its clips, which stay until the end of the run
            self._rows += batch.rows
            if self._store.versions()[1] // COMPACT_EVERY > before // COMPACT_EVERY:
                self._store.compact()


def _deserted(folders: Collection[str], kept: Sequence[FileRow]) -> Iterator[str]:
    """A sentence for each empty source below which videos are known."""
    for folder in sorted(folders):
        count = sum(row.path.startswith(folder_prefix(folder)) for row in kept)
        if count:
            yield (
                f"{folder} is empty, and {count} files were there: mount its disk,"
                f" or forget them: kinoscope remove {folder}"
            )
