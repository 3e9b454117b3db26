"""Indexes made by hand: known vectors and a tiny backbone, no video and no real model."""

import zlib
from pathlib import Path

import numpy as np

from kinoscope.embedder import Embedder
from kinoscope.index.handle import Index
from kinoscope.index.store import FileRow, Store
from kinoscope.types import ClipEmbeddings, EmbedderSpec, Span, States

D = 8


class Words:
    """A backbone whose text vector is a fixed random direction of the words."""

    model, weights, prompts, head, max_tokens = "words", "w0", "p0", "mean", 512
    kinds = frozenset({"text"})

    def __init__(self, dimension: int = D, centre_D: np.ndarray | None = None) -> None:
        self.dimension, self.centre_D = dimension, centre_D

    def states(self, contents):
        vectors = np.stack([direction(content.text, self.dimension) for content in contents])
        yield list(range(len(vectors))), States(vectors[:, None], np.ones((len(vectors), 1), bool))


def direction(text: str, dimension: int = D) -> np.ndarray:
    """A unit vector that depends on the text alone."""
    vector = np.random.default_rng(zlib.crc32(text.encode())).normal(size=dimension)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def unit(vectors) -> np.ndarray:
    vectors = np.asarray(vectors, np.float64)
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def random_units(count: int, dimension: int = D, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(count, dimension)))


def clips(windows, *, whole=None, length_s: float = 4.0, stride_s: float = 2.0) -> ClipEmbeddings:
    """Windows `[0,4) [2,6) ...` with these vectors [N, D]; the whole is their mean by default."""
    windows = np.asarray(windows, np.float32)
    spans = [Span(i * stride_s, i * stride_s + length_s) for i in range(len(windows))]
    end_s = spans[-1].end_s if spans else length_s
    whole = unit(windows.mean(axis=0) if whole is None else whole)
    vectors = np.vstack([whole[None], windows.reshape(-1, whole.size)])
    return ClipEmbeddings((Span(0.0, end_s), *spans), ("whole", *["4s"] * len(windows)), vectors)


def random_clips(windows: int, seed: int = 0, dimension: int = D) -> ClipEmbeddings:
    return clips(random_units(windows, dimension, seed))


def row(path: str, video_id: str = "v", **changes) -> FileRow:
    values = dict(
        path=path, video_id=video_id, size_bytes=10, mtime_ns=5 * 10**9, state="indexed",
        changed_at=7.0, duration_s=4.0,
    )  # fmt: skip
    return FileRow(**{**values, **changes})


def failed(path: str, video_id: str = "", **changes) -> FileRow:
    return row(path, video_id, state="failed", fault="not_media", message="no header", **changes)


def spec(dimension: int = D) -> EmbedderSpec:
    return Embedder(Words(dimension)).spec


def made_store(folder: Path, videos: dict[str, ClipEmbeddings], dimension: int = D) -> Store:
    """An index in which the file of video `v` is `/films/v.mp4`."""
    store = Store.create(folder, spec(dimension))
    store.commit(list(videos.items()), [row(f"/films/{name}.mp4", name) for name in videos])
    return store


def made_index(folder: Path, videos: dict[str, ClipEmbeddings], centre_D=None) -> Index:
    embedder = Embedder(Words(centre_D=centre_D))
    store = Store.create(folder, embedder.spec)
    store.commit(list(videos.items()), [row(f"/films/{name}.mp4", name) for name in videos])
    return Index(store, embedder)
