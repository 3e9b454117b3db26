"""Mutated media through the decoding processes: whatever is in a file, it costs that file only."""

import json
import math
import random
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kinoscope.errors import KinoscopeError
from kinoscope.index.decoding import Chunk, DecodePool, Failed, Finished, Opened, WorkerLimits
from kinoscope.index.scan import FoundFile
from kinoscope.index.worker import DecodeRequest
from kinoscope.sampling import SamplingConfig
from kinoscope.video import DecodeLimits
from recipes.fuzz_mutations import damaged_media
from tests.media import INDEX_FIRST, bytes_of
from tests.movies import AV1, MPEG2, MPEG4, VP9, WMV2, X264, X265, Movie

BATCH = 100
LIMITS = WorkerLimits(stall_s=10.0, base_s=20.0, factor=1.0, memory_bytes=2**30)
PICTURES = DecodeLimits(max_side_px=4096, max_pixels=2**22, max_duration_s=3600.0)
HANG_S = 60.0
"""Beyond all limits of a worker: a batch that says nothing for so long is a hang of ours."""
SAMPLING = SamplingConfig(fps=5.0, side_px=64)
_KINDS = {
    "h264.mp4": ("libx264", X264, INDEX_FIRST),
    "fragmented.mp4": ("libx264", X264, {"movflags": "frag_keyframe+empty_moov"}),
    "h264.mkv": ("libx264", X264, {}),
    "h264.ts": ("libx264", X264, {}),
    "h264.flv": ("libx264", X264, {}),
    "hevc.mp4": ("libx265", X265, INDEX_FIRST),
    "av1.mp4": ("libsvtav1", AV1, INDEX_FIRST),
    "vp9.webm": ("libvpx-vp9", VP9, {}),
    "mpeg4.avi": ("mpeg4", MPEG4, {}),
    "mpeg2.mpg": ("mpeg2video", MPEG2, {}),
    "wmv2.wmv": ("wmv2", WMV2, {}),
}


def seeds() -> dict[str, bytes]:
    """Real little films of a second, one of each kind, by name."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        for name, (codec, options, muxer) in _KINDS.items():
            movie = Movie(frames=25, codec=codec, options=options, muxer=muxer)
            found[name] = bytes_of(movie, Path(folder) / name)
    return found


def batch(films: dict[str, bytes], number: int, count: int = BATCH) -> Counter[str]:
    """Decodes so many mutants: how they ended, and `outside` for what went wrong out of a worker.

    The same films and number give the same mutants.
    """
    chance, outcomes = random.Random(f"media {number}"), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as name:
        requests = deque(_mutants(films, chance, Path(name), count))
        waiting = {request.file.path for request in requests}
        last_s = time.monotonic()
        try:
            with DecodePool(1, LIMITS) as pool:
                for event in pool.run(requests):
                    silent_s, last_s = time.monotonic() - last_s, time.monotonic()
                    outcomes["outside: hang"] += silent_s > HANG_S
                    outcomes["outside: nonsense"] += not _is_sound(event)
                    if isinstance(event, Finished | Failed):
                        waiting.discard(event.request.file.path)
                        outcomes[_outcome(event)] += 1
        except (
            ArithmeticError,
            AssertionError,
            LookupError,
            OSError,
            RuntimeError,
            TypeError,
            ValueError,
            KinoscopeError,
        ) as error:
            outcomes[f"outside: {type(error).__name__}: {error}"[:200]] += 1
        outcomes["outside: forgotten"] += len(waiting)
    return +outcomes


def _mutants(
    films: dict[str, bytes], chance: random.Random, folder: Path, count: int
) -> Iterator[DecodeRequest]:
    names, contents = list(films), list(films.values())
    for number in range(count):
        name = chance.choice(names)
        path = folder / f"{number}{Path(name).suffix}"
        path.write_bytes(damaged_media([films[name], films[name], *contents], chance))
        status = path.stat()
        file = FoundFile(path=str(path), size_bytes=status.st_size, mtime_ns=status.st_mtime_ns)
        yield DecodeRequest(file=file, sampling=SAMPLING, limits=PICTURES)


def _outcome(event: Finished | Failed) -> str:
    return "decoded" if isinstance(event, Finished) else event.fault


def _is_sound(event: Opened | Chunk | Finished | Failed) -> bool:
    """Whether an event says what may be believed: bounded times and sizes, words."""
    match event:
        case Opened():
            return event.info.width > 0 and event.info.height > 0
        case Chunk():
            return len(event.frames) > 0 and max(event.frames.rgb_FHWC.shape[1:3]) <= 4096
        case Finished():
            return math.isfinite(event.report.end_s) and event.report.end_s >= 0
        case Failed():
            return event.request.file.path in event.message


def run(count: int, folder: Path) -> Counter[str]:
    """Batches until there were so many mutants; goes on from what `folder` says of earlier ones."""
    said = folder / "media.json"
    folder.mkdir(parents=True, exist_ok=True)
    known: dict[str, Any] = {"batches": 0, "outcomes": {}}
    if said.exists():
        known = json.loads(said.read_text())
    outcomes, films = Counter[str](known["outcomes"]), seeds()
    for number in range(known["batches"], math.ceil(count / BATCH)):
        outcomes += batch(films, number)
        said.write_text(json.dumps({"batches": number + 1, "outcomes": outcomes}))
        print(f"{(number + 1) * BATCH} media mutants", dict(outcomes), flush=True)
    return outcomes


def outside(outcomes: Counter[str]) -> dict[str, int]:
    """What went wrong where nothing may."""
    return {name: count for name, count in outcomes.items() if name.startswith("outside")}
