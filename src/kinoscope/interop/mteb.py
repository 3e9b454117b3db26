"""An embedder as a model of MTEB: texts, pictures and videos, as queries and as documents."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np

from kinoscope.backbones.protocol import Backbone
from kinoscope.documents import Document
from kinoscope.errors import UsageError
from kinoscope.libraries import imported, torch, transformers
from kinoscope.sampling import SamplingConfig
from kinoscope.types import EmbedderSpec, Float32, Frames

EVALUATION = "pip install 'kinoscope[eval]'"

_READ = ("text", "image", "video")
_BATCH = 32  # rows, where MTEB does not say how many


class Embeds(Protocol):
    """What is asked of an `Embedder`, or of one that remembers what it said."""

    @property
    def spec(self) -> EmbedderSpec:
        """What decides its vectors."""

    @property
    def backbone(self) -> Backbone:
        """The model inside."""

    @property
    def sampling(self) -> SamplingConfig:
        """How it reads videos."""

    @property
    def dimension(self) -> int:
        """D of its vectors."""

    def encode_query(self, inputs: Sequence[Document]) -> Float32:
        """Unit vectors [N, D]."""

    def encode_document(self, inputs: Sequence[Document]) -> Float32:
        """Unit vectors [N, D]."""

    def similarity(self, a: Float32, b: Float32) -> Float32:
        """Cosines [Na, Nb]."""


def wrap(embedder: Embeds) -> "Model":
    """What `mteb.evaluate(wrap(embedder), tasks)` takes; `SetupError` without `kinoscope[eval]`."""
    transformers()  # before MTEB, which imports it too: beside any torchvision
    return Model(embedder, _meta(embedder))


class Model:
    """MTEB's `EncoderProtocol` over an embedder.

    Rows that are queries are encoded as such, all others as documents. A video is decoded here,
    from its file or bytes, as `Embedder.encode_document` does: at the embedder's own sampling.
    """

    def __init__(self, embedder: Embeds, meta: Any) -> None:
        """`meta` is MTEB's `ModelMeta`; `wrap` makes it."""
        self._embedder = embedder
        self.mteb_model_meta = meta

    def encode(
        self, inputs: Any, *, prompt_type: Any = None, batch_size: int = _BATCH, **_kwargs: Any
    ) -> Float32:
        """Unit vectors [N, D] of MTEB's data loader, in its order.

        The other arguments of the protocol (the task, its split and subset) change no vector.
        Raises `UsageError` for a row without any input, or with one that is no text, picture or
        video; `MediaError` for a video without frames.
        """
        query = getattr(prompt_type, "value", prompt_type) == "query"
        encode = self._embedder.encode_query if query else self._embedder.encode_document
        rows = _rows(inputs)
        vectors = [np.empty((0, self._embedder.dimension), np.float32)]
        while group := list(islice(rows, batch_size)):
            with TemporaryDirectory() as place:
                documents = [
                    _document(row, self._embedder.sampling, Path(place) / str(number))
                    for number, row in enumerate(group)
                ]
                vectors.append(encode(documents))
        return np.concatenate(vectors)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosines [N1, N2], a tensor of torch, as MTEB makes a number of a single one."""
        cosines = self._embedder.similarity(np.asarray(embeddings1), np.asarray(embeddings2))
        return torch().from_numpy(cosines)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosines [N] of the first with the first, the second with the second."""
        pairs = zip(np.asarray(embeddings1), np.asarray(embeddings2), strict=True)
        cosines = [self._embedder.similarity(a_D, b_D)[0, 0] for a_D, b_D in pairs]
        return torch().as_tensor(np.asarray(cosines, np.float32))


def _meta(embedder: Embeds) -> Any:
    """MTEB's description: the fingerprint of the spec as revision."""
    backbone = embedder.backbone
    models = imported("mteb.models.model_meta", EVALUATION)
    return models.ModelMeta.create_empty(
        overwrites={
            "name": f"kinoscope/{Path(backbone.model).name}",
            "revision": embedder.spec.fingerprint,
            "embed_dim": embedder.dimension,
            "max_tokens": float(backbone.max_tokens),
            "similarity_fn_name": models.ScoringFunction.COSINE,
            "framework": ["PyTorch"],
            "modalities": [name for name in _READ if name in backbone.kinds],
            "model_type": ["dense"],
        }
    )


def _rows(inputs: Any) -> Iterator[Mapping[str, Any]]:
    """Rows of a data loader, videos as files or bytes: MTEB would decode each frame of them."""
    columns = getattr(inputs.dataset, "features", None) or {}
    if "video" in columns:
        undecoded = imported("datasets", EVALUATION).Video(decode=False)
        yield from inputs.dataset.cast_column("video", undecoded)
        return
    for batch in inputs:
        names = [name for name in batch if name in _READ]
        if not names:
            raise _nothing_in(batch)
        for values in zip(*(batch[name] for name in names), strict=True):
            yield dict(zip(names, values, strict=True))


def _document(row: Mapping[str, Any], sampling: SamplingConfig, place: Path) -> Document:
    """The parts of a row that a model can read; bytes of a video go to a file named `place`."""
    given = {name: row[name] for name in _READ if row.get(name) is not None}
    if not given:
        raise _nothing_in(row)
    if "image" in given:
        given["image"] = _frame(given["image"], sampling)
    if "video" in given:
        given["video"] = _file(given["video"], place)
    return given


def _frame(image: Any, sampling: SamplingConfig) -> Frames:
    """A picture of Pillow's as one frame, scaled as a picture file is."""
    from PIL import Image

    from kinoscope.video.display import fitted

    if not isinstance(image, Image.Image):
        raise UsageError(f"an image of type {type(image).__name__}: give one of Pillow's")
    side_px = sampling.side_px
    size = fitted(image.size, sampling.max_pixels) if side_px is None else (side_px, side_px)
    scaled = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    return Frames(np.asarray(scaled)[None].copy(), np.zeros(1))


def _file(video: Any, place: Path) -> Path:
    """The file of an undecoded video: its own, or one that is made of its bytes."""
    told = video if isinstance(video, Mapping) else {}
    data, path = told.get("bytes"), told.get("path")
    if data is not None:
        place.write_bytes(data)
        return place
    if path is None:
        raise UsageError(f"a video of type {type(video).__name__}: give its file or its bytes")
    return Path(path)


def _nothing_in(names: Iterable[str]) -> UsageError:
    told = ", ".join(sorted(names)) or "nothing"
    return UsageError(f"rows of {told}: they have no text, picture or video to encode")
