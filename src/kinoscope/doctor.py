"""Measures what an installed model and an index can and cannot do, and says it in words."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from kinoscope.addresses import is_url
from kinoscope.errors import KinoscopeError
from kinoscope.sampling import SamplingConfig, grid_times
from kinoscope.types import Float32, Frames

if TYPE_CHECKING:
    from kinoscope.embedder import Embedder
    from kinoscope.index.store import Store

Verdict = Literal["ok", "limit", "fail"]
_SIDE_PX = 224  # for models that read any shape
SAME = 0.9999
"""Cosine from which two vectors count as one."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One finding: `ok`, a `limit` to know of, or a `fail` to mend."""

    name: str
    verdict: Verdict
    value: float | None
    words: str


def examine(embedder: "Embedder", store: "Store | None") -> Iterator[Check]:
    """Yields every check of the model, of decoding, and of the index if there is one."""
    if embedder.spec.model == "concepts":
        yield weights_intact()
    for sentence in embedder.limits:
        yield Check(name="vocabulary", verdict="limit", value=None, words=sentence)
    yield order_sensitivity(embedder)
    yield negation_sensitivity(embedder)
    yield batch_parity(embedder)
    yield decode_speed(embedder.sampling)
    if store is not None:
        yield from index_health(store, embedder)


def weights_intact() -> Check:
    """Hashes every model file again."""
    from kinoscope import weights

    try:
        weights.verify()
    except KinoscopeError as error:
        return Check(name="weights", verdict="fail", value=None, words=str(error))
    return Check(name="weights", verdict="ok", value=None, words="all files match their hashes")


def moving_disc(side_px: int, count: int = 8) -> Frames:
    """A bright disc that crosses a dark picture from left to right, one frame a half second."""
    rows, columns = np.mgrid[:side_px, :side_px]
    radius = side_px / 6
    pictures = []
    for i in range(count):
        centre = side_px * (i + 1) / (count + 1)
        disc = (columns - centre) ** 2 + (rows - side_px / 2) ** 2 < radius**2
        pictures.append(np.where(disc[..., None], (250, 200, 40), (30, 40, 60)))
    return Frames(np.stack(pictures).astype(np.uint8), np.arange(count) / 2)


def order_sensitivity(embedder: "Embedder") -> Check:
    """Compares a moving clip with its own reversal; a model blind to order gives cosine 1."""
    clip = moving_disc(embedder.sampling.side_px or _SIDE_PX)
    steps = np.abs(np.diff(clip.rgb_FHWC.astype(np.int16), axis=0)).mean(axis=(1, 2, 3))
    assert (steps > 1).all(), "the test clip does not move"
    reverse = Frames(clip.rgb_FHWC[::-1].copy(), clip.times_F)
    cosine = _cosine(_whole(embedder, clip), _whole(embedder, reverse))
    if cosine > 0.999:
        words = "blind to order: a clip and its reverse are one vector (opening = closing)"
        return Check(name="order", verdict="limit", value=cosine, words=words)
    words = "a clip and its reverse differ"
    return Check(name="order", verdict="ok", value=cosine, words=words)


NEGATION_TRIPLES = (
    ("a dog on the grass", "grass with no dog on it", "an empty lawn"),
    ("a man with a hat", "a man without a hat", "a bareheaded man"),
    ("a street with cars", "a street with no cars", "a pedestrian street"),
    ("it is raining", "it is not raining", "dry weather"),
)
"""(claim, its denial, another wording of the denial)."""


def negation_sensitivity(embedder: "Embedder") -> Check:
    """How often a denial lies nearer to its other wording than to the claim that it denies."""
    claims, denials, wordings = (
        embedder.encode_query([triple[i] for triple in NEGATION_TRIPLES]) for i in range(3)
    )
    right = (denials * wordings).sum(axis=1) > (denials * claims).sum(axis=1)
    share = float(right.mean())
    words = f"a denial is nearer to its meaning than to its words in {right.sum()} of {len(right)}"
    return Check(
        name="negation", verdict="ok" if share > 0.75 else "limit", value=share, words=words
    )


def batch_parity(embedder: "Embedder") -> Check:
    """The least cosine between vectors made in one batch and made one by one."""
    texts = [
        "a dog",
        "a red door opens slowly and a woman walks out into the rain",
        "sky",
        "x " * 60,
    ]
    together = embedder.encode_query(texts)
    alone = np.stack([embedder.encode_query(text) for text in texts])
    clip = moving_disc(embedder.sampling.side_px or _SIDE_PX)
    singles = [embedder.vision(clip.take([i])).values_F[0].ravel() for i in range(len(clip))]
    rows = [row.ravel() for row in embedder.vision(clip).values_F]
    pairs = [*zip(together, alone, strict=True), *zip(rows, singles, strict=True)]
    least = min(_cosine(a, b) for a, b in pairs)
    verdict: Verdict = "ok" if least >= SAME else "fail"
    return Check(
        name="batch parity",
        verdict=verdict,
        value=least,
        words="least cosine, batch against single",
    )


def decode_speed(sampling: SamplingConfig, seconds: int = 20) -> Check:
    """Decodes a made 720p clip with the sampling of the model; times real time."""
    from kinoscope.samples import write_video
    from kinoscope.video import VideoReader

    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        path = Path(folder) / "moving.mp4"
        write_video(path, _noise_frames(seconds), fps=24)
        start_s = time.perf_counter()
        with VideoReader(
            path,
            policy=sampling.policy,
            side_px=sampling.side_px,
            max_pixels=sampling.max_pixels,
        ) as reader:
            read = sum(len(part) for part in reader.sample(grid_times(sampling, float(seconds))))
        spent_s = time.perf_counter() - start_s
    assert read >= seconds * sampling.fps - 1, f"{read} frames of {seconds} s"
    factor = seconds / spent_s
    return Check(
        name="decode", verdict="ok", value=factor, words="times real time, 720p H.264, one thread"
    )


def _noise_frames(seconds: int) -> Iterator[np.ndarray]:
    texture = np.random.default_rng(0).integers(0, 255, (90, 160, 3), dtype=np.uint8)
    picture = texture.repeat(8, axis=0).repeat(8, axis=1)
    return (np.roll(picture, 4 * i, axis=1) for i in range(seconds * 24))


def index_health(store: "Store", embedder: "Embedder") -> Iterator[Check]:
    """Checks the index: same embedder, files still there, quarantine, nothing half or lost."""
    try:
        embedder.spec.require_equal(store.spec, remedy="index again with this embedder")
        yield Check(
            name="spec", verdict="ok", value=None, words="the index was made by this embedder"
        )
    except KinoscopeError as error:
        yield Check(name="spec", verdict="fail", value=None, words=str(error))
    rows = store.files()
    gone = [row.path for row in rows if row.state == "indexed" and _is_gone(row.path)]
    yield _count("missing files", gone, "no longer on disk; index again to forget them")
    failed = [f"{row.path} ({row.fault})" for row in rows if row.state == "failed"]
    yield _count("quarantine", failed, "could not be read; `kinoscope index --retry` tries again")
    orphans = [str(n) for n in [store.count_orphans()] if n]
    yield _count("orphans", orphans, "clips of interrupted runs; the next index run drops them")
    yield _lost_clips(store.count_lost())
    yield _damaged_clips(store)


def _count(name: str, found: list[str], meaning: str) -> Check:
    if not found:
        return Check(name=name, verdict="ok", value=0, words="none")
    words = f"{meaning}; first: {found[0]}"
    return Check(name=name, verdict="limit", value=len(found), words=words)


def _lost_clips(videos: int) -> Check:
    if not videos:
        return Check(name="lost clips", verdict="ok", value=0, words="none")
    words = "videos without clips cannot be found; index again: they are decoded anew"
    return Check(name="lost clips", verdict="fail", value=videos, words=words)


def _is_gone(path: str) -> bool:
    """Object storage is not asked: an index run does."""
    return not is_url(path) and not Path(path).exists()


def _damaged_clips(store: "Store") -> Check:
    from kinoscope.index.repair import damaged_videos

    videos = len(damaged_videos(store))
    if not videos:
        words = "none" if not store.is_outdated() else "none seen; an old format has no checks"
        return Check(name="damaged clips", verdict="ok", value=0, words=words)
    words = "videos whose clips are not what was written: kinoscope doctor --repair --yes"
    return Check(name="damaged clips", verdict="fail", value=videos, words=words)


def _whole(embedder: "Embedder", clip: Frames) -> Float32:
    vector_D: Float32 = embedder.encode_video(clip).vectors_ND[0]
    return vector_D


def _cosine(a: Float32, b: Float32) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
