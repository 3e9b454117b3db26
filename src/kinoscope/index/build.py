"""Brings an index up to date with its folders: scan, identify, decode, embed, commit."""

import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kinoscope.errors import MediaError, MediaFault, UsageError
from kinoscope.index.decoding import (
    Chunk,
    DecodePool,
    Event,
    Failed,
    Finished,
    Opened,
    WorkerLimits,
)
from kinoscope.index.films import Film, quarantine_row
from kinoscope.index.plan import Plan, plan, settle, slices
from kinoscope.index.progress import BuildReport as BuildReport
from kinoscope.index.progress import Failure, Meter, Stopwatch
from kinoscope.index.progress import Progress as Progress
from kinoscope.index.rows import FileRow, folder_prefix
from kinoscope.index.scan import FoundFile, ReadLimits, SourcePath, absolute, identify, scan
from kinoscope.index.worker import DecodeRequest
from kinoscope.runtime import usable_cores
from kinoscope.types import ClipEmbeddings
from kinoscope.video import DecodeLimits, DecodeReport

if TYPE_CHECKING:
    from kinoscope.embedder import Embedder
    from kinoscope.index.store import Store

_REMEDY = "index with the embedder that made this index, or into a new folder"

MAX_WORKERS, MAX_THREADS = 16, 8

MOST_WORKERS = 64
"""That anybody may ask for: each holds a pipe, a thread and the memory of a video."""

SLICE_FILES, SLICE_BYTES = 256, 16 * 2**30
"""What is identified before it is decoded: of a large library, the first videos come soon."""

COMPACT_EVERY = 64
"""Commits between two compactions: each commit adds a piece to both tables."""


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """How an index is built; nothing here changes a vector.

    Attributes:
        workers: decoding processes; None takes one a core, up to 16. Never more than files.
        retry: try files in quarantine again.
        commit_every_s, commit_videos: a commit comes after so many seconds or videos.
        decode_limits: bounds on the pictures that are accepted.
        worker_limits: when a decoding process is given up.
        read_limits: when the reading of a file, to identify it, is given up.
        within: links that lead out of these folders are not followed; None follows all.
    """

    workers: int | None = None
    retry: bool = False
    commit_every_s: float = 20.0
    commit_videos: int = 64
    decode_limits: DecodeLimits = field(default_factory=DecodeLimits)
    worker_limits: WorkerLimits = field(default_factory=WorkerLimits)
    read_limits: ReadLimits = field(default_factory=ReadLimits)
    within: tuple[Path, ...] | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and not 1 <= self.workers <= MOST_WORKERS:
            raise UsageError(f"workers {self.workers}: need 1 to {MOST_WORKERS}")
        if not self.commit_every_s >= 0 or self.commit_videos < 1:
            raise UsageError(
                f"commit every {self.commit_every_s} s or {self.commit_videos} videos: "
                "need at least 0 s and 1 video"
            )


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
    roots = _roots(store, sources)
    with store.writing():
        if sources:
            store.add_sources([Path(absolute(source)) for source in sources])
        return _Run(store, embedder, options or BuildOptions(), progress).bring_up_to_date(roots)


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
        if not Path(path).exists() and path not in known:
            raise UsageError(f"{path}: no such file or folder")
    below = [
        path for path in watched if not {str(up) for up in Path(path).parents}.isdisjoint(given)
    ]
    return [*given, *below]


def share_cores(cores: int, films: int, workers: int | None = None) -> tuple[int, int]:
    """Decoding processes, and decoder threads in each: (4 cores, 100 films) -> 4, 1.

    On two cores, with the model at work beside them, 100 short clips were indexed 1.2 times as
    fast by two workers as by one or three; one long film 1.2 times as fast by two threads as by
    one. Above the caps, the model in this process is the bottleneck, and threads fill memory.
    """
    workers = min(workers or min(cores, MAX_WORKERS), max(films, 1))
    return workers, max(1, min(cores // workers, MAX_THREADS))


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
        embedder: "Embedder",
        options: BuildOptions,
        tell: Callable[[Progress], None] | None,
    ) -> None:
        self._store, self._embedder, self._options, self._tell = store, embedder, options, tell
        self._began_s = time.monotonic()
        self._watch = Stopwatch()
        self._rows = store.files()
        self._tries = {row.path: row.tries for row in self._rows}
        self._batch = _Batch()
        self._films: dict[str, Film] = {}  # by the path that is decoded
        self._failures: list[Failure] = []
        names = ("indexed", "duplicates", "copied", "moved", "refreshed")
        self._counts = dict.fromkeys(names, 0)
        self._video_s = 0.0

    def bring_up_to_date(self, roots: Sequence[str]) -> BuildReport:
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
            wall_s=time.monotonic() - self._began_s,
            stages=self._watch.costs("scan", "identify", "decode", "vision", "write"),
        )

    def _follow(self, planned: Plan) -> None:
        """Identifies and decodes slice by slice; a path that is gone may turn up in the last."""
        files = planned.to_identify
        size_bytes = sum(file.size_bytes for file in files)
        reading = Meter("identify", self._tell, len(files), size_bytes)
        seeing = Meter("decode", self._tell, len(files), size_bytes)
        for part in slices(files, SLICE_FILES, SLICE_BYTES):
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
        with closing(identify(files, self._options.read_limits)) as answers:  # also on Ctrl-C
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
        self._films = {film.files[0].path: film for film in films}
        workers, threads = share_cores(usable_cores(), len(films), self._options.workers)
        ask = partial(self._request, threads=threads)
        requests = deque(map(ask, films))
        try:
            with DecodePool(workers, self._options.worker_limits) as pool:
                for event in self._timed(pool.run(requests)):
                    requests.extend(map(ask, self._handle(event, meter)))
        except KeyboardInterrupt:
            self._commit()
            raise
        self._commit()

    def _request(self, film: Film, threads: int) -> DecodeRequest:
        return DecodeRequest(
            file=film.files[0],
            sampling=self._embedder.sampling,
            limits=self._options.decode_limits,
            threads=threads,
        )

    def _timed(self, events: Iterator[Event]) -> Iterator[Event]:
        """The same events; waiting for one counts as `decode`."""
        while True:
            with self._watch.stage("decode"):
                event = next(events, None)
            if event is None:
                return
            yield event

    def _handle(self, event: Event, meter: Meter) -> list[Film]:
        """Goes one step on with a film; returns the films that must be decoded in its place."""
        path = event.request.file.path
        film, heirs = self._films[path], []
        match event:
            case Opened():
                film.info = event.info
            case Chunk():
                with self._watch.stage("vision"):
                    film.receive(event.frames, self._embedder)
            case Finished() | Failed():
                del self._films[path]
                self._watch.add_cpu("decode", event.cpu_s)
                meter.count(film.size_bytes)
                if isinstance(event, Finished):
                    self._finish(film, event.report)
                    meter.video_s += event.report.end_s
                else:
                    heirs = self._give_up(film, event)
                    meter.expect(len(heirs), len(heirs) * film.size_bytes)
        if self._batch.is_due(self._options):
            self._commit()
        under_way = self._films.values()
        meter.show(
            len(self._failures),
            under_way_bytes=sum(film.seen_bytes for film in under_way),
            under_way_s=sum(film.seen_s for film in under_way),
        )
        return heirs

    def _finish(self, film: Film, report: DecodeReport) -> None:
        with self._watch.stage("vision"):
            clips = film.clips(self._embedder, report.end_s)
        self._batch.videos.append((film.video_id, clips))
        self._batch.rows += film.rows(report)
        self._counts["indexed"] += 1
        self._counts["duplicates"] += len(film.files) - 1

    def _give_up(self, film: Film, failure: Failed) -> list[Film]:
        """Quarantines all files of a film; but one that vanished or changed speaks for itself."""
        first, others = film.files[0], film.files[1:]
        alone = failure.fault in ("missing", "changed", "unreadable")
        for file in [first] if alone else film.files:
            message = failure.message.replace(first.path, file.path)
            self._quarantine(file, film.video_id, failure.fault, message)
        if not (alone and others):
            return []
        heir = Film(film.video_id, others)
        self._films[others[0].path] = heir
        return [heir]

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
