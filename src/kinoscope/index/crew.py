"""Who does the work of a run: identifies files, and watches films until there are clips of them."""

from collections import deque
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from kinoscope.errors import MediaError, MediaFault
from kinoscope.index.decoding import Chunk, DecodePool, Event, Failed, Finished, Opened
from kinoscope.index.films import Film
from kinoscope.index.identity import identify
from kinoscope.index.options import BuildOptions, share_cores
from kinoscope.index.progress import Stopwatch
from kinoscope.index.scan import FoundFile
from kinoscope.index.worker import DecodeRequest
from kinoscope.runtime import usable_cores
from kinoscope.types import ClipEmbeddings
from kinoscope.video import DecodeReport

if TYPE_CHECKING:
    from kinoscope.embedder import Embedder


@dataclass(frozen=True)
class Watched:
    """A film that was read to its end: its vectors, and what the decoder found."""

    film: Film
    clips: ClipEmbeddings
    report: DecodeReport


@dataclass(frozen=True)
class Unwatched:
    """A film that gives no vectors; `message` is a sentence with the path of its first file."""

    film: Film
    fault: MediaFault
    message: str


@dataclass(frozen=True)
class UnderWay:
    """What was seen of all films in work: bytes of their files, seconds of video."""

    size_bytes: float = 0.0
    seen_s: float = 0.0


Outcome = Watched | Unwatched


class Crew(Protocol):
    """The processes of this machine, or of many; it holds the embedder of the index."""

    width: int
    """So many times the work of one machine lies ready for it."""

    def identify(
        self, files: Sequence[FoundFile]
    ) -> Generator[tuple[FoundFile, str | MediaError], None, None]:
        """Yields each file with its `content_id` or why it has none, in any order."""

    def watch(
        self, films: deque[Film], stopwatch: Stopwatch
    ) -> Generator[Outcome | UnderWay, None, None]:
        """Takes films from the left; each ends in one outcome. The caller may append some.

        `UnderWay` follows each outcome, and tells now and then how far the others are. Time that
        is spent is counted as `decode` and `vision`.
        """


class LocalCrew:
    """Decoding processes of this machine, and the model in this process."""

    width = 1

    def __init__(self, embedder: "Embedder", options: BuildOptions) -> None:
        self._embedder, self._options = embedder, options

    def identify(
        self, files: Sequence[FoundFile]
    ) -> Generator[tuple[FoundFile, str | MediaError], None, None]:
        """See `Crew.identify`."""
        return identify(files, self._options.read_limits)

    def watch(
        self, films: deque[Film], stopwatch: Stopwatch
    ) -> Generator[Outcome | UnderWay, None, None]:
        """See `Crew.watch`. Raises `SetupError` if decoding processes cannot start."""
        workers, threads = share_cores(usable_cores(), len(films), self._options.workers)
        viewing = Viewing(self._embedder, self._options, stopwatch, threads=threads)
        requests: deque[DecodeRequest] = deque()
        with DecodePool(workers, self._options.worker_limits) as pool:
            _move(films, requests, viewing)
            with closing(timed(pool.run(requests), stopwatch)) as events:
                for event in events:
                    if outcome := viewing.handle(event):
                        yield outcome
                    yield viewing.under_way()
                    _move(films, requests, viewing)


def _move(films: deque[Film], requests: deque[DecodeRequest], viewing: "Viewing") -> None:
    while films:
        requests.append(viewing.begin(films.popleft()))


_One = TypeVar("_One")


def timed(each: Generator[_One, None, None], stopwatch: Stopwatch) -> Generator[_One, None, None]:
    """The same, to be closed; waiting for one counts as `decode`."""
    with closing(each):
        while True:
            with stopwatch.stage("decode"):
                one = next(each, None)
            if one is None:
                return
            yield one


class Viewing:
    """Films in work: what decoding processes say of them becomes clips once they have ended."""

    def __init__(
        self,
        embedder: "Embedder",
        options: BuildOptions,
        stopwatch: Stopwatch,
        *,
        threads: int = 1,
    ) -> None:
        """`threads` of a decoder may work on one film."""
        self._embedder, self._options, self._stopwatch = embedder, options, stopwatch
        self._threads = threads
        self._films: dict[str, Film] = {}  # by the path that is decoded

    def begin(self, film: Film) -> DecodeRequest:
        """Takes a film; returns what a decoding process is to be asked for."""
        self._films[film.files[0].path] = film
        return DecodeRequest(
            file=film.files[0],
            sampling=self._embedder.sampling,
            limits=self._options.decode_limits,
            threads=self._threads,
        )

    def handle(self, event: Event) -> Outcome | None:
        """Goes one step on with a film; an outcome if that was the last."""
        path = event.request.file.path
        film = self._films[path]
        match event:
            case Opened():
                film.info = event.info
            case Chunk():
                with self._stopwatch.stage("vision"):
                    film.receive(event.frames, self._embedder)
            case Finished():
                del self._films[path]
                self._stopwatch.add_cpu("decode", event.cpu_s)
                with self._stopwatch.stage("vision"):
                    clips = film.clips(self._embedder, event.report.end_s)
                return Watched(film, clips, event.report)
            case Failed():
                del self._films[path]
                self._stopwatch.add_cpu("decode", event.cpu_s)
                return Unwatched(film, event.fault, event.message)
        return None

    def under_way(self) -> UnderWay:
        """How far the films in work are."""
        films = self._films.values()
        return UnderWay(
            size_bytes=sum(film.seen_bytes for film in films),
            seen_s=sum(film.seen_s for film in films),
        )
