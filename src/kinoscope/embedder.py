"""Text and video in, unit vectors of one space out: the embedder around a backbone."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kinoscope.backbones.protocol import Backbone
from kinoscope.errors import UsageError
from kinoscope.heads import check_dimension, mean_pool, truncate
from kinoscope.sampling import SamplingConfig, cut_clips, grid_times
from kinoscope.types import ClipEmbeddings, EmbedderSpec, Features, Float32, Frames

PRIOR_VIDEOS = 20
"""A library's mean starts as the backbone's reference mean, which counts as so many videos."""

MAX_TEXT_BYTES = 65_536
"""Over ten thousand words; what is longer was not meant as a description."""

Document = str | Path | Frames | Mapping[str, str | Path | Frames]

_TEXT_BATCH = 16
_CLIP_BATCH_TOKENS = 4096


class Embedder:
    """Makes vectors that `similarity` compares, with the calls of sentence-transformers.

    >>> embedder = Embedder.load()
    >>> query_D = embedder.encode_query("a dog runs on the beach")
    >>> moments = embedder.encode_video("holiday.mp4")
    >>> embedder.similarity(query_D, moments.vectors_ND)  # cosines [1, N]
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        sampling: SamplingConfig | None = None,
        truncate_dim: int | None = None,
    ) -> None:
        """Wraps any backbone; `load` makes one by name. `UsageError` on a wrong `truncate_dim`."""
        self.sampling = sampling or SamplingConfig()
        self.dimension = backbone.dimension if truncate_dim is None else truncate_dim
        check_dimension(self.dimension, backbone.dimension)
        self._backbone = backbone

    @classmethod
    def load(
        cls,
        model: str = "concepts",
        *,
        sampling: SamplingConfig | None = None,
        threads: int | None = None,
        truncate_dim: int | None = None,
    ) -> "Embedder":
        """The embedder of that name, its weights already set up.

        Args:
            model: `concepts`, the only one so far.
            sampling: how video becomes clips; the model's own choice by default.
            threads: processors that one call may use; all by default.
            truncate_dim: keep so many leading components of each vector.

        Raises `SetupError` before `kinoscope setup`, `UsageError` on a wrong argument.
        """
        if model != "concepts":
            raise UsageError(f"model {model!r} is unknown: choose concepts")
        from kinoscope.backbones.concepts import Concepts
        from kinoscope.weights import SIDE_PX, model_files

        if sampling is not None and sampling.side_px != SIDE_PX:
            raise UsageError(f"side_px {sampling.side_px}: the concepts model reads {SIDE_PX}")
        backbone = Concepts(model_files(), threads=threads)
        return cls(backbone, sampling=sampling, truncate_dim=truncate_dim)

    def __repr__(self) -> str:
        return f"Embedder({self._backbone.model!r}, dimension={self.dimension})"

    @property
    def spec(self) -> EmbedderSpec:
        """Everything that decides a vector's value."""
        centred = self._backbone.centre_D is not None
        return EmbedderSpec(
            model=self._backbone.model,
            weights=self._backbone.weights,
            prompts=self._backbone.prompts,
            sampling=self.sampling.describe(),
            thinking="none",
            centring=f"library mean, shrunk by {PRIOR_VIDEOS} videos" if centred else "none",
            dimension=self.dimension,
        )

    @property
    def limits(self) -> tuple[str, ...]:
        """What the model cannot see, in sentences for people."""
        return self._backbone.limits

    @property
    def reference_mean_D(self) -> Float32 | None:
        """Mean document vector of a reference library [D], shorter than 1; None: no centring.

        Cut vectors are stretched back to unit length, on average by sqrt(full / cut); so is this.
        """
        centre_D = self._backbone.centre_D
        if centre_D is None:
            return None
        stretch = math.sqrt(len(centre_D) / self.dimension)
        return np.asarray(centre_D[: self.dimension] * stretch, np.float32)

    def encode_query(self, texts: str | Sequence[str]) -> Float32:
        """Unit vectors of queries: float32 [D] for one text, [N, D] for N, in their order.

        Raises `UsageError` for a text that is blank, no string, or over 64 KiB. Warns when a text
        is longer than the model reads.
        """
        if isinstance(texts, str):
            return np.asarray(self._encode_texts([texts])[0])
        return self._encode_texts(list(texts))

    def encode_document(self, inputs: Document | Sequence[Document]) -> Float32:
        """Unit vectors of whole videos or of texts: [D] for one input, [N, D] for N.

        An input is a `Path`, `Frames`, `{"video": ...}`, `{"text": ...}` or a string: the name of
        an existing file or one with a video's suffix is a video, any other string a text.
        Raises `UsageError` for anything else, `MediaError` for a file without frames.
        """
        if isinstance(inputs, str | Path | Frames | Mapping):
            return np.asarray(self.encode_document([inputs])[0])
        items = [self._recognise(item) for item in inputs]
        vectors_ND = np.empty((len(items), self.dimension), np.float32)
        texts = {n: item for n, item in enumerate(items) if isinstance(item, str)}
        vectors_ND[list(texts)] = self._encode_texts(list(texts.values()))
        for n, item in enumerate(items):
            if not isinstance(item, str):
                features, _end_s = self._read(item)
                vectors_ND[n] = self._pool([features])[0]
        return vectors_ND

    def encode_video(self, video: str | Path | Frames) -> ClipEmbeddings:
        """Vectors of the whole video and of its windows, decoded in one pass, in bounded memory.

        Raises `MediaError` for a file without frames, `UsageError` for unfit `Frames`.
        """
        return self.embed_clips(*self._read(video))

    def vision(self, frames: Frames) -> Features:
        """What the backbone sees in each frame alone: the half to run while a file streams in."""
        return self._backbone.vision(frames)

    def embed_clips(self, features: Features, duration_s: float) -> ClipEmbeddings:
        """The other half: vectors of all clips over the features of one video, however chunked."""
        clips = cut_clips(self.sampling, duration_s, features.times_F)
        return ClipEmbeddings(
            spans=tuple(clip.span for clip in clips),
            scales=tuple(clip.scale for clip in clips),
            vectors_ND=self._pool([features.take(clip.indices) for clip in clips]),
        )

    def similarity(self, a: Float32, b: Float32) -> Float32:
        """Cosines [Na, Nb] of vectors [Na, D] and [Nb, D]; a single [D] counts as one row.

        Raises `UsageError` if shapes do not fit or a vector is zero or not finite.
        """
        a_ND, b_ND = _directions(a), _directions(b)
        if a_ND.shape[1] != b_ND.shape[1]:
            raise UsageError(
                f"vectors of {a_ND.shape[1]} and {b_ND.shape[1]} components do not compare:"
                " encode both with one embedder"
            )
        return a_ND @ b_ND.T

    def _encode_texts(self, texts: Sequence[object]) -> Float32:
        """Batches texts of like length, so that padding is short: unit vectors [N, D]."""
        checked = [_checked_text(text) for text in texts]
        vectors_ND = np.empty((len(checked), self.dimension), np.float32)
        by_length = sorted(range(len(checked)), key=lambda n: len(checked[n]))
        for first in range(0, len(by_length), _TEXT_BATCH):
            rows = by_length[first : first + _TEXT_BATCH]
            states = self._backbone.text([checked[n] for n in rows])
            vectors_ND[rows] = truncate(mean_pool(states), self.dimension)
        return vectors_ND

    def _read(self, video: str | Path | Frames) -> tuple[Features, float]:
        """Features of all sampled frames, and where the video ends in seconds."""
        if isinstance(video, Frames):
            if not len(video):
                raise UsageError("no frames: give at least one")
            return self.vision(video), _end_s(video, self.sampling.fps)
        from kinoscope.video import VideoReader

        policy, side_px = self.sampling.policy, self.sampling.side_px
        with VideoReader(Path(video), policy=policy, side_px=side_px) as reader:
            times_s = grid_times(self.sampling, reader.info.declared_duration_s)
            parts = [self.vision(frames) for frames in reader.sample(times_s)]
            return Features.concatenate(parts), reader.report.end_s

    def _pool(self, clips: Sequence[Features]) -> Float32:
        """Unit vectors of clips [N, D]."""
        batches = (mean_pool(self._backbone.video(batch)) for batch in _batches(clips))
        return truncate(np.concatenate(list(batches)), self.dimension)

    def _recognise(self, item: object) -> str | Path | Frames:
        """A document as text (`str`), file or frames."""
        if isinstance(item, Mapping):
            return self._recognise_named(item)
        if isinstance(item, str):
            return Path(item) if _names_video(item) else _checked_text(item)
        if isinstance(item, Path | Frames):
            return item
        raise UsageError(f"a document of type {type(item).__name__}: give a path, a text or Frames")

    def _recognise_named(self, item: Mapping[Any, Any]) -> str | Path | Frames:
        model = self._backbone.model
        if set(item) == {"video", "text"}:
            raise UsageError(
                f"the {model} model cannot compose a video and a text into one vector: give one"
            )
        if set(item) == {"text"}:
            return _checked_text(item["text"])
        if set(item) == {"video"} and isinstance(item["video"], str | Path | Frames):
            video = item["video"]
            return Path(video) if isinstance(video, str) else video
        raise UsageError(f'a document with {sorted(map(str, item))}: give {{"video": path}}')


def _checked_text(text: object) -> str:
    """The text itself, if it is a string with something in it, of bearable size."""
    if not isinstance(text, str):
        raise UsageError(f"a text of type {type(text).__name__}: give a string")
    if not text.strip():
        raise UsageError("the text is empty: describe what you look for")
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError:
        raise UsageError(f"the text {text[:40]!r} is not valid Unicode") from None
    if size_bytes > MAX_TEXT_BYTES:
        raise UsageError(f"the text has {size_bytes} bytes: give at most {MAX_TEXT_BYTES}")
    return text


def _names_video(text: str) -> bool:
    """Whether a string means a file: it exists, or it ends like a video's name."""
    from kinoscope.video import is_video_name

    try:
        return is_video_name(text) or Path(text).is_file()
    except OSError:  # too long for the name of a file
        return False


def _end_s(frames: Frames, fps: float) -> float:
    """End of frames without a file: the last one stays on as long as frames do on average."""
    first_s, last_s = float(frames.times_F[0]), float(frames.times_F[-1])
    return last_s + ((last_s - first_s) / (len(frames) - 1) if len(frames) > 1 else 1 / fps)


def _batches(clips: Sequence[Features]) -> Iterator[list[Features]]:
    """Runs of clips that stay small when padded to the longest; a long clip goes alone."""
    batch: list[Features] = []
    longest = 0
    for clip in clips:
        longest = max(longest, len(clip))
        if batch and longest * (len(batch) + 1) > _CLIP_BATCH_TOKENS:
            yield batch
            batch, longest = [], len(clip)
        batch.append(clip)
    if batch:
        yield batch


def _directions(vectors: Float32) -> Float32:
    """Rows [N, D] of unit length from [D] or [N, D]."""
    rows_ND = np.atleast_2d(np.asarray(vectors, np.float32))
    if rows_ND.ndim != 2:
        raise UsageError(f"vectors of shape {list(rows_ND.shape)}: give [D] or [N, D]")
    lengths_N1 = np.linalg.norm(rows_ND, axis=1, keepdims=True)
    if not (np.isfinite(lengths_N1).all() and (lengths_N1 > 0).all()):
        raise UsageError("a vector is zero or not finite, so it has no direction to compare")
    return np.asarray(rows_ND / lengths_N1)
