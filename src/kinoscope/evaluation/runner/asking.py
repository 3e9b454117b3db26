"""An embedder as benchmarks ask it: what it said before is read, the rest is asked in groups."""

import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np

from kinoscope.backbones.protocol import Backbone
from kinoscope.documents import Document, Excerpt, Source, as_request
from kinoscope.embedder import Embedder
from kinoscope.errors import MediaError, UsageError
from kinoscope.evaluation.runner.decoding import documents
from kinoscope.evaluation.runner.kept import Contents, Kept, item
from kinoscope.evaluation.tasks.protocol import Film
from kinoscope.sampling import SamplingConfig
from kinoscope.types import ClipEmbeddings, EmbedderSpec, Float32, Frames, Role
from kinoscope.video import is_picture_name

Known = TypeVar("Known")
"""What was kept of a query."""

Tell = Callable[[str], None]
"""Takes a line for a person."""

_GROUP = 16
"""Films that are embedded together, and kept together: a kill loses at most so many."""
_EVERY_S = 2.0


class Asking:
    """A task's `Model` over an embedder.

    Texts are known by themselves and their role, files by their content, under any name.

    Attributes:
        counts: vectors, windows and answers that were `embedded`, or `cached`.
        seconds: by phase.
        films: ids of the documents that were asked for.
        texts: all texts that were.
    """

    def __init__(
        self,
        embedder: Embedder,
        kept: Kept | None = None,
        *,
        workers: int = 0,
        tell: Tell = lambda _line: None,
    ) -> None:
        """`kept` is where answers are kept, by default in the cache; `workers` decode, or none."""
        if workers < 0:
            raise UsageError(f"{workers} workers: give 0 or more")
        self.embedder = embedder
        self.kept = kept or Kept(embedder.spec)
        self.counts: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.films: set[str] = set()
        self.texts: set[str] = set()
        self.workers, self.tell = workers, tell
        self._contents = Contents()
        self._done: Counter[str] = Counter()
        self._phase = ""
        self._inside_s = 0.0
        self._told_s = time.monotonic()

    @property
    def sampling(self) -> SamplingConfig:
        """The embedder's."""
        return self.embedder.sampling

    @property
    def spec(self) -> EmbedderSpec:
        """The embedder's."""
        return self.embedder.spec

    @property
    def dimension(self) -> int:
        """The embedder's."""
        return self.embedder.dimension

    @property
    def backbone(self) -> Backbone:
        """The embedder's."""
        return self.embedder.backbone

    def similarity(self, a: Float32, b: Float32) -> Float32:
        """The embedder's."""
        return self.embedder.similarity(a, b)

    def begin(self) -> None:
        """Counts, seconds and what was asked start anew: another benchmark follows."""
        self.counts.clear()
        self.seconds.clear()
        self.films.clear()
        self.texts.clear()

    def encode_query(self, inputs: Sequence[Document]) -> Float32:
        """As the embedder's, of a list."""
        return self._encoded(inputs, "query")

    def encode_document(self, inputs: Sequence[Document]) -> Float32:
        """As the embedder's, of a list."""
        return self._encoded(inputs, "document")

    def encode_films(
        self, films: Sequence[Film], edits: Sequence[str] | None = None
    ) -> list[Float32 | MediaError]:
        """See `FilmModel`: decoded by worker processes, embedded and kept in groups."""
        said: Sequence[str | None] = edits if edits is not None else [None] * len(films)
        if edits is None:
            self.films.update(film.id for film in films)
        else:
            self.texts.update(edits)
        names = [self._film(film, edit) for film, edit in zip(films, said, strict=True)]
        found: dict[str, Float32 | MediaError] = {}
        wanted: dict[str, tuple[Film, str | None]] = {}
        for name, film, edit in zip(names, films, said, strict=True):
            if isinstance(name, MediaError) or name in found or name in wanted:
                continue
            known_D = self.kept.vector(name)
            if known_D is None:
                wanted[name] = film, edit
            else:
                found[name] = known_D
                self.counts["cached"] += 1
        with self.phase("videos"):
            found.update(self._new(wanted))
        return [name if isinstance(name, MediaError) else found[name] for name in names]

    def encode_video(self, video: Path) -> ClipEmbeddings:
        """As the embedder's, of a file."""
        self.films.add(video.stem)
        name = item("windows", self._contents.of(video))
        found = self.kept.windows(name)
        if found is not None:
            self.counts["cached"] += 1
            return found
        with self.phase("videos"):
            found = self.embedder.encode_video(video)
        self.kept.keep_windows(name, found)
        self.count("videos")
        return found

    def answer(self, video: Path, question: str, *, options: Sequence[str] = ()) -> str:
        """As the embedder's, of a file."""
        self.films.add(video.stem)
        self.texts.update((question, *options))
        precision = getattr(self.backbone, "precision", None)
        name = item("answer", self._contents.of(video), question, list(options), precision)
        found = self.kept.words(name)
        if found is not None:
            self.counts["cached"] += 1
            return found
        with self.phase("answers"):
            found = self.embedder.answer(video, question, options=options)
        self.kept.keep_words(name, found)
        self.count("answers")
        return found

    def _encoded(self, inputs: Sequence[Document], role: Role) -> Float32:
        names = [self._document(each, role) for each in inputs]
        found, places = self.split(names, lambda place: self.kept.vector(names[place]))
        missing = {names[place]: inputs[place] for place in places}
        listed = list(missing.items())
        encode = self.embedder.encode_query if role == "query" else self.embedder.encode_document
        with self.phase("texts"):
            for first in range(0, len(listed), _GROUP):
                group = listed[first : first + _GROUP]
                vectors_ND = encode([given for _, given in group])
                for (name, _), vector_D in zip(group, vectors_ND, strict=True):
                    found[name] = vector_D
                    self.kept.keep_vector(name, vector_D)
                    self.count("inputs", len(listed))
        rows = [found[name] for name in names]
        return np.stack(rows) if rows else np.empty((0, self.dimension), np.float32)

    def _new(
        self, wanted: Mapping[str, tuple[Film, str | None]]
    ) -> Iterator[tuple[str, Float32 | MediaError]]:
        """Films that were not kept: those in memory in groups, those in files alone."""
        names, total = list(wanted), len(wanted)
        group: list[tuple[str, Path | Frames, str | None]] = []
        for number, given in documents(
            [f for f, _ in wanted.values()], self.sampling, self.workers
        ):
            name = names[number]
            edit = wanted[name][1]
            if isinstance(given, MediaError):
                yield name, given
            elif isinstance(given, Frames):
                group.append((name, given, edit))
                if len(group) == _GROUP:
                    yield from self._together(group, total)
                    group = []
            else:
                try:
                    yield from self._together([(name, given, edit)], total)
                except MediaError as error:
                    yield name, error
        yield from self._together(group, total)

    def _together(
        self, group: Sequence[tuple[str, Path | Frames, str | None]], total: int
    ) -> Iterator[tuple[str, Float32]]:
        if not group:
            return
        alone: list[Document] = [given for _, given, edit in group if edit is None]
        edited: list[Document] = [
            {"video": given, "text": edit} for _, given, edit in group if edit is not None
        ]
        assert not (alone and edited), "documents beside queries"
        if edited:
            vectors_ND = self.embedder.encode_query(edited)
        else:
            vectors_ND = self.embedder.encode_document(alone)
        for (name, *_), vector_D in zip(group, vectors_ND, strict=True):
            self.kept.keep_vector(name, vector_D)
            self.count("videos", total)
            yield name, vector_D

    def _film(self, film: Film, edit: str | None) -> str | MediaError:
        try:
            content = self._contents.of(film.path)
        except MediaError as error:
            return error
        kind = "image" if edit is None and is_picture_name(film.path.name) else "video"
        role = "document" if edit is None else "query"
        return item(role, kind, edit, content, film.backwards)

    def _document(self, given: Document, role: Role) -> str:
        """The name of what an input is, by its content; `MediaError` for a file that is gone."""
        asked = as_request(given, role)
        if asked.text is not None:
            self.texts.add(asked.text)
        source = asked.image if asked.image is not None else asked.video
        if source is None:
            return item(role, "text", asked.text)
        content = self._content(source)
        if role == "document":
            self.films.add(content)
        kind = "image" if asked.image is not None else "video"
        return item(role, kind, asked.text, content, False)

    def _content(self, source: Source) -> str:
        if isinstance(source, Frames):
            return _pixels(source)
        if isinstance(source, Excerpt):
            return f"{self._contents.of(source.path)}@{source.span}"
        return self._contents.of(Path(source))

    def split(
        self, names: Sequence[str], read: Callable[[int], Known | None]
    ) -> tuple[dict[str, Known], list[int]]:
        """What was kept, by name, and the places of what was not; each name once.

        `read` gives what was kept of the query in a place.
        """
        found: dict[str, Known] = {}
        missing: dict[str, int] = {}
        for place, name in enumerate(names):
            if name in found or name in missing:
                continue
            known = read(place)
            if known is None:
                missing[name] = place
            else:
                found[name] = known
                self.counts["cached"] += 1
        return found, list(missing.values())

    def count(self, what: str, total: int = 0) -> None:
        """One more that was embedded; now and then a line says how many there are by now."""
        self.counts["embedded"] += 1
        self._done[what] += 1
        now_s = time.monotonic()
        if now_s - self._told_s >= _EVERY_S:
            self._told_s = now_s
            whole = f" of {total}" if total else ""
            self.tell(f"{what}: {self._done[what]}{whole}")

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Seconds within count for that, but for those of a phase inside it.

        What is done is counted anew where another begins.
        """
        start_s, outside_s = time.monotonic(), self._inside_s
        self._inside_s = 0.0
        if name != self._phase:
            self._done.clear()
            self._phase = name
        try:
            yield
        finally:
            took_s = time.monotonic() - start_s
            self.seconds[name] += took_s - self._inside_s
            self._inside_s = outside_s + took_s


def _pixels(frames: Frames) -> str:
    digest = hashlib.sha256(repr(frames.rgb_FHWC.shape).encode())
    digest.update(np.ascontiguousarray(frames.rgb_FHWC).data)
    digest.update(frames.times_F.tobytes())
    return digest.hexdigest()
