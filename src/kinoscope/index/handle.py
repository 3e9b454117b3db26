"""An index together with the embedder that asks it: what `kinoscope.Index` is."""

import copy
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinoscope.addresses import Where, is_url, path_of
from kinoscope.embedder import Embedder
from kinoscope.errors import SetupError, UsageError
from kinoscope.index.derived import Derived, open_derived, stamp_of
from kinoscope.index.place import place_of
from kinoscope.index.rows import FileRow, folder_prefix
from kinoscope.index.scan import absolute
from kinoscope.index.store import Store
from kinoscope.sampling import SamplingConfig
from kinoscope.thinking.config import Thinking
from kinoscope.types import ClipEmbeddings, EmbedderSpec

if TYPE_CHECKING:
    from subprocess import Popen

    from kinoscope.backbones.options import LoadOptions
    from kinoscope.index.build import BuildOptions
    from kinoscope.index.optimise import Optimised
    from kinoscope.index.progress import BuildReport, Progress
    from kinoscope.index.qdrant import Qdrant


class Index:
    """A library of videos that can be searched.

    >>> index = Index.open("my-index")
    >>> search(index, "a dog runs on the beach", k=5)
    """

    def __init__(
        self,
        store: Store,
        embedder: Embedder | None = None,
        *,
        model: str | None = None,
        options: "LoadOptions | None" = None,
        thinking: "Thinking | str | None" = None,
    ) -> None:
        """`open` is the usual way; without an embedder, the one that made the index is loaded."""
        self.store = store
        self._embedder = embedder
        self._model, self._options, self._thinking = model, options, thinking
        self._derived: Derived | None = None
        self._target: Qdrant | None = None

    def __repr__(self) -> str:
        return f"Index({self.store.place.name!r})"

    @classmethod
    def create(cls, folder: Where, spec: EmbedderSpec) -> "Index":
        """An empty index in a folder that is absent or empty; `IndexFault` if it is not."""
        return cls(Store.create(folder, spec))

    @classmethod
    def open(
        cls,
        folder: Where,
        embedder: Embedder | None = None,
        *,
        create: bool = False,
        model: str | None = None,
        options: "LoadOptions | None" = None,
        thinking: "Thinking | str | None" = None,
    ) -> "Index":
        """An index that is there; with `create`, one that is made for `embedder` if it is not.

        Args:
            folder: of the index, or its address in object storage, `s3://bucket/index`.
            embedder: that asks it; by default the one that made it, loaded on first use.
            create: make the index if it is not there.
            model: where the index's model lies now, if not where it was.
            options: how that model is loaded.
            thinking: its steps, see `Embedder.load`; by default those of the index.

        Raises `IndexFault` if the folder is no index of this or an earlier format, or cannot be
        reached.
        """
        folder = expanded(folder)
        if create and not is_index(folder):
            name = model or "concepts"
            embedder = embedder or Embedder.load(name, options=options, thinking=thinking)
            return cls(Store.create(folder, embedder.spec), embedder)
        store = Store.open(folder)
        return cls(store, embedder, model=model, options=options, thinking=thinking)

    @property
    def spec(self) -> EmbedderSpec:
        """Of the embedder that made the index."""
        return self.store.spec

    @property
    def embedder(self) -> Embedder:
        """Turns queries into vectors; loaded on first use."""
        if self._embedder is None:
            self._embedder = self.loader()()
        return self._embedder

    def loader(self, threads: int | None = None) -> Callable[[], Embedder]:
        """Loads the embedder that made the index, also in another process, for so many threads."""
        told = (self.spec, self._model, self._options, self._thinking)
        return partial(_embedder_of, *told, threads=threads)

    def derived(self) -> Derived:
        """What search reads, for the state that the index has now; kept until that changes.

        Raises `SpecMismatch` if another embedder made the index, `IndexFault` if it is damaged.
        """
        store = Store.open(self.store.place.name)  # the place may hold another index by now
        remedy = "search with the embedder that made the index, or index again with this one"
        self.embedder.spec.require_equal(store.spec, remedy=remedy)
        if self._derived is None or self._derived.stamp != stamp_of(store):
            self.store = store
            derived = open_derived(store, self.embedder.reference_mean_D)
            self._derived = derived if self._target is None else self._target.searching(derived)
        return self._derived

    def through(self, target: "Qdrant") -> "Index":
        """The same index, whose searches ask a Qdrant server for candidates.

        `Qdrant.push` has written there what the index holds; searches raise `IndexFault` once that
        is no longer so, or if the server does not answer.
        """
        other = copy.copy(self)
        other._derived, other._target = None, target
        return other

    def optimise(self, *, memory_mb: int | None = None) -> "Optimised":
        """Joins pieces, frees what is superseded, builds what search reads; see `optimise`."""
        from kinoscope.index.optimise import optimise

        return optimise(self.store, memory_mb=memory_mb)

    def optimise_later(self) -> "Popen[bytes] | None":
        """Begins that in a process of its own, which may outlive this one, if it is worth it."""
        from kinoscope.index.optimise import is_worth_it, optimise_later

        return optimise_later(self.store.folder) if is_worth_it(self.store) else None

    def add(
        self,
        *sources: str | Path,
        options: "BuildOptions | None" = None,
        progress: "Callable[[Progress], None] | None" = None,
    ) -> "BuildReport":
        """Indexes folders and files, and watches them; without arguments, all that is watched.

        Adds new videos, follows moved ones, decodes changed ones again, forgets deleted ones.
        Errors are those of `kinoscope.index.build.update`.
        """
        from kinoscope.index.build import update

        paths = [expanded(source) for source in sources]
        return update(self.store, paths, self.embedder, options=options, progress=progress)

    def stored(self, video: str | Path) -> ClipEmbeddings | None:
        """The vectors of a file; None if it is not indexed, or has changed since.

        Those of a file that is away are given: a disk may be unplugged. Errors are those of
        `derived`.
        """
        path, derived = path_of(absolute(expanded(video))), self.derived()
        catalog = derived.catalog
        names = {str(path), str(path.resolve())}
        place = next((n for n, name in enumerate(catalog.paths) if name in names), None)
        if place is None or (
            path.exists() and path.stat().st_mtime_ns / 1e9 != catalog.mtime_s_P[place]
        ):
            return None
        return catalog.clips_of(int(catalog.path_video_P[place]))

    def files(self) -> list[FileRow]:
        """All paths with what was found there, those in quarantine included."""
        return self.store.files()

    def remove(self, *paths: str | Path) -> int:
        """Forgets files, and all files below folders, and no longer watches either.

        The files themselves stay, and one in a folder that is still watched comes back with the
        next `add`. Returns how many were in the index; `UsageError` if nothing had that name.
        """
        tops = {absolute(expanded(path)) for path in paths}
        prefixes = tuple(map(folder_prefix, tops))

        def named(path: str) -> bool:
            return path in tops or path.startswith(prefixes)

        with self.store.writing():
            sources = [source for source in self.store.sources() if named(str(source))]
            files = [row.path for row in self.store.files() if named(row.path)]
            if not sources and not files:
                raise UsageError(f"{', '.join(sorted(tops))}: not in the index")
            self.store.remove_sources(sources)
            return self.store.remove(files)

    def describe(self) -> dict[str, object]:
        """Facts for a person: what is watched, what is indexed, how much room it takes."""
        rows = self.store.files()
        indexed = {row.video_id: row for row in rows if row.state == "indexed"}
        seconds = sum(row.duration_s for row in indexed.values())
        size_bytes = self.store.place.size_bytes()
        return {
            "folder": self.store.place.name,
            "sources": [str(source) for source in self.store.sources()],
            "model": self.spec.model,
            "sampling": self.spec.sampling,
            "thinking": self.spec.thinking,
            "spec": self.spec.fingerprint,
            "files": len(rows),
            "videos": len(indexed),
            "quarantined": sum(row.state == "failed" for row in rows),
            "damaged": sum(row.corrupt_packets > 0 or row.ends_early for row in indexed.values()),
            "hdr": sum(row.hdr for row in indexed.values()),
            "clips": self.store.count_clips(),
            **self._thoughts(),
            "hours": round(seconds / 3600, 2),
            **({} if size_bytes is None else {"size_mb": round(size_bytes / 2**20, 3)}),
        }

    def _thoughts(self) -> dict[str, object]:
        """How many clips took how many steps, and what ended them, where the model thinks."""
        steps, reasons = self.store.count_thoughts()
        return {"steps": steps, "reasons": reasons} if self.spec.thinks else {}

    def quarantine(self) -> list[FileRow]:
        """Files that could not be read, with fault, message, time and number of tries."""
        return [row for row in self.store.files() if row.state == "failed"]


def _embedder_of(
    spec: EmbedderSpec,
    model: str | None,
    options: "LoadOptions | None",
    thinking: "Thinking | str | None",
    threads: int | None = None,
) -> Embedder:
    """The embedder that a spec describes, never fetched from the network.

    Raises `SpecMismatch` if this version has none like it, `SetupError` if its model is not here.
    """
    try:
        sampling = SamplingConfig.parse(spec.sampling)
        if (model or spec.model) == "concepts":
            return Embedder.load(
                sampling=sampling,
                threads=threads,
                truncate_dim=spec.dimension,
                thinking=thinking,
            )
        thinking = Thinking.described(spec.thinking) if thinking is None else thinking
    except UsageError as error:
        remedy = f"{error}; index again with this version"
        Embedder.load().spec.require_equal(spec, remedy=remedy)
        raise
    return _checkpoint_of(spec, sampling, model, options, thinking, threads)


def _checkpoint_of(
    spec: EmbedderSpec,
    sampling: SamplingConfig,
    model: str | None,
    options: "LoadOptions | None",
    thinking: "Thinking | str",
    threads: int | None,
) -> Embedder:
    from kinoscope.backbones.options import LoadOptions

    if options is None:
        options = LoadOptions(offline=True, **_told(spec))
    place = model or spec.model
    try:
        return Embedder.load(
            place,
            sampling=sampling,
            threads=threads,
            truncate_dim=spec.dimension,
            options=options,
            thinking=thinking,
        )
    except (UsageError, SetupError) as error:
        raise SetupError(
            f"the model of this index, {place}, cannot be loaded ({error});"
            " say where it lies with --model"
        ) from error


def _told(spec: EmbedderSpec) -> dict[str, Any]:
    """Options that a spec tells: `last of layer 20`, and a rounding behind the weights' hash."""
    layer = re.fullmatch(r"\w+ of layer (\d+)", spec.head)
    told: dict[str, Any] = {"layer": int(layer[1])} if layer else {}
    rounding = spec.weights.partition(" ")[2]
    if rounding in ("bfloat16", "float16"):
        told["dtype"] = rounding
    elif rounding in ("8bit", "4bit"):
        told["quantisation"] = rounding
    return told


def expanded(path: Where) -> Where:
    """With `~` as the user's home, an address as it is; `UsageError` if there is no such user."""
    if is_url(path):
        return path
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{path}: {error}") from None


def is_index(where: Where) -> bool:
    """Whether a folder or address has the manifest of an index, of whatever format."""
    return place_of(where).is_index()
