"""What goes on while something goes wrong: each deed is a process, `python -m recipes.fault_deeds`.

A deed says `ready` once all is imported, then does its work; a user's error is one line, as on the
command line. The model sees mean colours only, so that a run is short.
"""

import resource
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from unittest.mock import patch

from kinoscope.errors import KinoscopeError
from kinoscope.index.build import BuildOptions, update
from kinoscope.index.catalog import build_catalog
from kinoscope.index.decoding import WorkerLimits
from kinoscope.index.derived import open_derived
from kinoscope.index.handle import is_index
from kinoscope.index.repair import repair
from kinoscope.index.rows import FileRow
from kinoscope.index.store import Store
from kinoscope.types import ClipEmbeddings
from recipes.crash import READY, index_once
from tests.index.pixels import embedder

COMPACTIONS = 6
TRAINING_STEPS = 60


def deed(name: str, *paths: object) -> list[str]:
    """The command of a deed."""
    return [sys.executable, "-m", "recipes.fault_deeds", name, *map(str, paths)]


def index(library: Path, folder: Path) -> None:
    """One run with a commit after each film."""
    index_once(library, folder, embedder())


class _Aloud(Store):
    """Says which paths are committed, once they are."""

    def commit(
        self, videos: Sequence[tuple[str, ClipEmbeddings]], files: Sequence[FileRow]
    ) -> None:
        super().commit(videos, files)
        print(*(row.path for row in files if row.state == "indexed"), sep="\n", flush=True)


def index_aloud(library: Path, folder: Path) -> None:
    """The same; a line for each path that is committed."""
    print(READY, flush=True)
    store = _Aloud.open(folder) if is_index(folder) else _Aloud.create(folder, embedder().spec)
    update(store, [library], embedder(), options=BuildOptions(commit_videos=1))


def index_in_short_files(library: Path, folder: Path, limit: Path) -> None:
    """A run whose files may have no more than so many bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(str(limit)), resource.RLIM_INFINITY))
    index(library, folder)


def index_in_little_memory(library: Path, folder: Path) -> None:
    """A run whose decoding processes may hold no large picture."""
    print(READY, flush=True)
    store = Store.open(folder) if is_index(folder) else Store.create(folder, embedder().spec)
    limits = WorkerLimits(memory_bytes=640 * 2**20)
    update(store, [library], embedder(), options=BuildOptions(worker_limits=limits, retry=True))


def index_while_the_clock_jumps(library: Path, folder: Path) -> None:
    """A run during which the clock leaps ten years ahead, then as far back, at each look."""
    real_s, looks = time.time, [0]

    def jumping() -> float:
        looks[0] += 1
        return real_s() + (315_360_000.0 if looks[0] % 2 else -315_360_000.0)

    with patch("time.time", jumping):
        index(library, folder)


def compact(folder: Path) -> None:
    """Writes a video anew, joins pieces, frees all that is superseded; and so some times over."""
    print(READY, flush=True)
    store = Store.open(folder)
    _, files, clips = store.snapshot()
    catalog = build_catalog(clips, files)
    names = list(dict.fromkeys(clips.video_ids))
    videos = [(name, catalog.clips_of(number)) for number, name in enumerate(names)]
    with patch("kinoscope.index.store.KEEP_OLD_VERSIONS", timedelta(milliseconds=1)):
        for number in range(COMPACTIONS):
            store.commit([videos[number % len(videos)]], files)
            store.compact()


def remove(folder: Path) -> None:
    """Forgets one path after the other, in order."""
    print(READY, flush=True)
    store = Store.open(folder)
    for row in store.files():
        store.remove([row.path])


def upgrade(folder: Path) -> None:
    """Brings an index of an earlier format up to date."""
    print(READY, flush=True)
    with Store.open(folder).writing():
        pass


def mend(folder: Path) -> None:
    """Repairs an index."""
    print(READY, flush=True)
    list(repair(folder, write=True))


def derive(folder: Path) -> None:
    """Builds what search reads."""
    print(READY, flush=True)
    open_derived(Store.open(folder))


def serve(library: Path, folder: Path, cache: Path) -> None:
    """Serves an index, makes it if there is none, and indexes the library for clients.

    A commit after each film, and an optimising process after each run. Behind `ready` comes a
    line with the address.
    """
    from kinoscope.index.handle import Index
    from kinoscope.server import app
    from kinoscope.server.config import ServeConfig

    index = Index.open(folder, embedder(), create=True)
    config = ServeConfig(port=0, roots=(library,), cache=cache)
    print(READY, flush=True)
    with (
        patch("kinoscope.server.indexing.BuildOptions", partial(BuildOptions, commit_videos=1)),
        patch("kinoscope.index.optimise.MANY_PIECES", 2),
    ):
        app.serve(index, config, ready=lambda address: print(address, flush=True))


def train(folder: Path) -> None:
    """Some steps of a tiny task, with a checkpoint every few."""
    import torch

    from kinoscope.training.loop import train as run
    from kinoscope.training.task import LoopConfig
    from tests.training.learning import Tiny

    torch.set_num_threads(1)
    print(READY, flush=True)
    config = LoopConfig(
        steps=TRAINING_STEPS,
        batch=6,
        lr=0.02,
        ema=0.95,
        seed=3,
        validate_every=7,
        checkpoint_every_s=0.02,
    )
    run(Tiny(dropout=0.3, noise=True), config, folder)


DEEDS: dict[str, Callable[..., None]] = {
    each.__name__: each
    for each in (
        *(
            index,
            index_aloud,
            index_in_short_files,
            index_in_little_memory,
            index_while_the_clock_jumps,
        ),
        *(compact, remove, upgrade, mend, derive, serve, train),
    )
}


def main() -> None:
    """Does the deed that the arguments name."""
    name, *paths = sys.argv[1:]
    try:
        DEEDS[name](*map(Path, paths))
    except KinoscopeError as error:
        print(error, flush=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
