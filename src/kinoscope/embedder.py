"""Text, pictures and video in, unit vectors of one space out: the embedder around a backbone."""

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kinoscope.backbones.protocol import Backbone
from kinoscope.documents import (
    Document,
    Excerpt,
    Request,
    Source,
    as_request,
    checked_options,
    checked_words,
)
from kinoscope.errors import UsageError
from kinoscope.heads import HEADS, check_dimension, truncate
from kinoscope.prompts import DESCRIBE, DETAIL, choice_prompt
from kinoscope.reading import DocumentReader
from kinoscope.sampling import SamplingConfig
from kinoscope.streaming import ClipStream
from kinoscope.types import (
    ClipEmbeddings,
    Content,
    Embedded,
    EmbedderSpec,
    Features,
    Float32,
    Frames,
    Role,
)

if TYPE_CHECKING:
    from kinoscope.backbones.mllm import MLLM
    from kinoscope.backbones.options import LoadOptions
    from kinoscope.thinking.config import Thinking
    from kinoscope.thinking.thinker import Thinker
    from kinoscope.thinking.thought import Thought

PRIOR_VIDEOS = 20
"""A library's mean starts as the backbone's reference mean, which counts as so many videos."""

_GROUP = 64  # inputs that are prepared together: their frames are all in memory


class Embedder:
    """Makes vectors that `similarity` compares, with the calls of sentence-transformers.

    >>> embedder = Embedder.load()
    >>> query_D = embedder.encode_query("a dog runs on the beach")
    >>> moments = embedder.encode_video("holiday.mp4")
    >>> embedder.similarity(query_D, moments.vectors_ND)  # cosines [1, N]

    Vectors may be asked for by several threads: the model is taken in turns, between batches. Who
    uses `backbone` beside them holds `turn` meanwhile.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        sampling: SamplingConfig | None = None,
        truncate_dim: int | None = None,
        thinker: "Thinker | None" = None,
    ) -> None:
        """Wraps any backbone, or one that thinks; `load` makes one by name.

        Raises `UsageError` on a wrong `truncate_dim`.
        """
        assert thinker is None or thinker.backbone is backbone, "a thinker of another model"
        self.sampling = sampling or SamplingConfig()
        self.dimension = backbone.dimension if truncate_dim is None else truncate_dim
        check_dimension(self.dimension, backbone.dimension)
        self._backbone, self._thinker = backbone, thinker
        self._reader = DocumentReader(sampling=self.sampling, vision=self.vision)
        self.turn = threading.RLock()

    @classmethod
    def load(
        cls,
        model: str = "concepts",
        *,
        sampling: SamplingConfig | None = None,
        threads: int | None = None,
        truncate_dim: int | None = None,
        options: "LoadOptions | None" = None,
        thinking: "Thinking | str | None" = None,
    ) -> "Embedder":
        """The embedder of that name or checkpoint.

        Args:
            model: `concepts` or `mini`, the built-in ones, already set up; or a multimodal LLM: a
                folder that `save`, Transformers or sentence-transformers wrote, a name on the hub,
                downloaded at its first use, or one that is served, `http://host:8000/v1#NAME`.
            sampling: how video becomes clips; the model's own choice by default.
            threads: processors that one call may use; all by default.
            truncate_dim: keep so many leading components of each vector.
            options: for a multimodal LLM, precision, place, adapter, layer and prompts.
            thinking: for a multimodal LLM, steps before a vector, such as `latent:converged:8`, see
                `Thinking.parse`; `none` for no steps. By default those saved with the model.

        Raises `SetupError` before `kinoscope setup` or without `kinoscope[models]`, `UsageError`
        for a wrong argument or a checkpoint that cannot embed video.
        """
        if model == "concepts":
            if options is not None:
                raise UsageError("the concepts model takes no options: they are for checkpoints")
            backbone, sampling = _concepts(sampling, threads)
        else:
            from kinoscope.backbones.loading import load_any

            backbone, sampling = load_any(model, options, sampling=sampling, threads=threads)
        thinker = None
        if model != "concepts" or thinking not in (None, "none"):
            from kinoscope.thinking.saved import load_thinker

            thinker = load_thinker(backbone, thinking)
        return cls(backbone, sampling=sampling, truncate_dim=truncate_dim, thinker=thinker)

    @property
    def backbone(self) -> Backbone:
        """The model inside."""
        return self._backbone

    @property
    def thinker(self) -> "Thinker | None":
        """The model's steps before a vector; None if it takes none."""
        return self._thinker

    def __repr__(self) -> str:
        return f"Embedder({self._backbone.model!r}, dimension={self.dimension})"

    @property
    def spec(self) -> EmbedderSpec:
        """Everything that decides a vector's value."""
        centred, thinker = self._backbone.centre_D is not None, self._thinker
        return EmbedderSpec(
            model=self._backbone.model,
            weights=self._backbone.weights,
            prompts=self._backbone.prompts,
            sampling=self.sampling.describe(),
            thinking="none" if thinker is None else thinker.describe(),
            centring=f"library mean, shrunk by {PRIOR_VIDEOS} videos" if centred else "none",
            dimension=self.dimension,
            head=self._backbone.head if thinker is None else thinker.head,
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

    def encode_query(self, inputs: Document | Sequence[Document]) -> Float32:
        """Unit vectors of queries: float32 [D] for one input, [N, D] for N, in their order.

        A string is a text. A query may also be a picture, a video, or one with an edit, in the
        forms of `encode_document`.
        Raises `UsageError` for a text that is blank or over 64 KiB, and for what the model cannot
        read; `MediaError` for a file without frames. Warns when a text is longer than it reads.
        """
        return self._encode(inputs, "query")

    def encode_document(self, inputs: Document | Sequence[Document]) -> Float32:
        """Unit vectors of whole videos, pictures or texts: [D] for one input, [N, D] for N.

        An input is a `Path`, an `Excerpt`, `Frames`, `{"video": ...}`, `{"image": ...}`,
        `{"text": ...}`, a video or image with an edit, `{"video": ..., "text": ...}`, or a string:
        the name of an existing file or one with a video's or picture's suffix is that, any other
        string a text.
        Raises `UsageError` for anything else, `MediaError` for a file without frames.
        """
        return self._encode(inputs, "document")

    def encode_composed(self, video: Source, edit: str) -> Float32:
        """Unit vector [D] of what a video would be after an edit: `beach.mp4`, `at night`."""
        return self.encode_query({"video": video, "text": edit})

    def encode_video(self, video: Source) -> ClipEmbeddings:
        """Vectors of the whole video and of its windows, decoded in one pass, in bounded memory.

        Raises `MediaError` for a file without frames, `UsageError` for unfit `Frames`.
        """
        if isinstance(video, Excerpt):
            raise UsageError(f"{video}: windows are cut of a whole video, give the file")
        stream = self.clip_stream()
        return stream.finish(self._reader.feed(stream.add, video))

    def think(
        self, inputs: Document | Sequence[Document], role: Role = "document"
    ) -> "list[Thought]":
        """How the vectors of `encode_document`, or of `encode_query`, come about, step by step.

        Raises `UsageError` for a model that does not think, and as those.
        """
        if self._thinker is None:
            raise UsageError(
                f"the embedder of {self._backbone.model} takes no steps: load it with a thinking,"
                " such as latent:converged:8"
            )
        groups = self._groups(_listed(inputs), role)
        return [thought for group in groups for thought in self._thinker.think(group)]

    def save(self, folder: str | Path) -> None:
        """Writes a multimodal LLM whole, adapter merged, with prompts, layer, sampling, thinking.

        Plain Transformers loads the folder, and `load` gives the same vectors from it; of `mini`
        it keeps what was learned, in float16, and needs the base files again. Raises `UsageError`
        if the folder is not empty or the model is no checkpoint.
        """
        from kinoscope.backbones.checkpoints import save_checkpoint
        from kinoscope.thinking.saved import save_learned

        also = None if self._thinker is None else partial(save_learned, self._thinker)
        save_checkpoint(self._backbone, self.sampling, Path(folder), also=also)

    def caption(self, video: Source, *, detailed: bool = False, max_new_tokens: int = 256) -> str:
        """What a multimodal LLM says that a whole video shows, in brief or in detail.

        Always the same words for the same frames, cut off after `max_new_tokens`.
        Raises `UsageError` for a model that does not speak, `MediaError` for a file without frames.
        """
        speaker = self._speaker()
        asked = Request(video=video, text=DETAIL if detailed else DESCRIBE)
        content = self._reader.content(asked, "document")
        return speaker.generate([content], max_new_tokens=max_new_tokens)[0]

    def answer(self, video: Source, question: str, *, options: Sequence[str] = ()) -> str:
        """A multimodal LLM's answer to a question about a whole video.

        With `options` it is the one of these that the model is likeliest to say, see `likeliest`;
        else its own words. The same each time.
        Raises `UsageError` for a model that does not speak, for a question or option that is blank,
        and for a single option; `MediaError` for a file without frames.
        """
        from kinoscope.backbones.likelihood import likeliest

        speaker, asked = self._speaker(), checked_words(question, "question")
        choices = checked_options(options)
        if choices:
            asked = choice_prompt(asked, choices)
        content = self._reader.content(Request(video=video, text=asked), "document")
        if choices:
            return likeliest(speaker, content, choices)
        return speaker.generate([content])[0]

    def vision(self, frames: Frames) -> Features:
        """What the backbone sees in each frame alone: the half to run while a file streams in."""
        with self.turn:
            return self._backbone.vision(frames)

    def features(self, source: Document) -> Features:
        """What the backbone sees in a video, a piece of one or a picture: what its vector is of.

        Raises `UsageError` for a text, else as `encode_document`.
        """
        request = as_request(source, "document")
        request.require(self._backbone.kinds, self._backbone.model)
        clip = self._reader.content(request, "document").clip
        if clip is None:
            raise UsageError(f"{request.text!r} is a text: give a video or a picture")
        return clip

    def clip_stream(self) -> ClipStream:
        """The other half: takes the features of one film by pieces, gives vectors of its clips."""
        return ClipStream(self.sampling, self._embed_clips)

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

    def _encode(self, inputs: Document | Sequence[Document], role: Role) -> Float32:
        groups = self._groups(_listed(inputs), role)
        vectors = [self._embed(group).vectors_ND for group in groups]
        found_ND = np.concatenate([np.empty((0, self.dimension), np.float32), *vectors])
        return np.asarray(found_ND[0]) if _is_one(inputs) else found_ND

    def _groups(self, inputs: Sequence[Document], role: Role) -> Iterator[list[Content]]:
        """Contents of checked inputs, few enough at a time that their frames fit into memory."""
        requests = [as_request(item, role) for item in inputs]
        for request in requests:
            request.require(self._backbone.kinds, self._backbone.model)
        contents = (self._reader.content(request, role) for request in requests)
        return iter(lambda: list(islice(contents, _GROUP)), [])

    def _speaker(self) -> "MLLM":
        """The backbone, if it is a language model with a head."""
        from kinoscope.backbones.likelihood import require_speaker

        return require_speaker(self._backbone)

    def _embed_clips(self, clips: Sequence[Features]) -> Embedded:
        return self._embed([Content(clip=clip) for clip in clips])

    def _embed(self, contents: Sequence[Content]) -> Embedded:
        """Unit vectors of contents [N, D]."""
        with self.turn:
            return self._embed_alone(contents)

    def _embed_alone(self, contents: Sequence[Content]) -> Embedded:
        if self._thinker is not None:
            thoughts = self._thinker.think(contents)
            return Embedded(
                truncate(np.stack([thought.vector_D for thought in thoughts]), self.dimension),
                steps=tuple(thought.steps for thought in thoughts),
                reasons=tuple(thought.reason for thought in thoughts),
            )
        head = HEADS[self._backbone.head.split()[0]]
        vectors_ND = np.full((len(contents), self.dimension), np.nan, np.float32)
        for rows, states in self._backbone.states(contents):
            vectors_ND[rows] = truncate(head(states), self.dimension)
        assert np.isfinite(vectors_ND).all(), "a content without a vector"
        return Embedded(vectors_ND)


def _concepts(
    sampling: SamplingConfig | None, threads: int | None
) -> tuple[Backbone, SamplingConfig | None]:
    from kinoscope.backbones.concepts import Concepts
    from kinoscope.weights import SIDE_PX, model_files

    if sampling is not None and sampling.side_px != SIDE_PX:
        raise UsageError(f"side_px {sampling.side_px}: the concepts model reads {SIDE_PX}")
    return Concepts(model_files(), threads=threads), sampling


def _is_one(inputs: Document | Sequence[Document]) -> bool:
    return isinstance(inputs, str | Path | Frames | Excerpt | Mapping)


def _listed(inputs: Document | Sequence[Document]) -> Sequence[Document]:
    return [inputs] if _is_one(inputs) else inputs  # type: ignore[list-item, return-value]


def _directions(vectors: Float32) -> Float32:
    """Rows [N, D] of unit length from [D] or [N, D]."""
    rows_ND = np.atleast_2d(np.asarray(vectors, np.float32))
    if rows_ND.ndim != 2:
        raise UsageError(f"vectors of shape {list(rows_ND.shape)}: give [D] or [N, D]")
    lengths_N1 = np.linalg.norm(rows_ND, axis=1, keepdims=True)
    if not (np.isfinite(lengths_N1).all() and (lengths_N1 > 0).all()):
        raise UsageError("a vector is zero or not finite, so it has no direction to compare")
    return np.asarray(rows_ND / lengths_N1)
