"""Unit vectors of any number of clips and texts, a group of them in memory at a time."""

from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np

from kinoscope.backbones.protocol import Backbone
from kinoscope.thinking.thinker import Thinker
from kinoscope.training.sources.taught import vectors
from kinoscope.types import Content, Features, Float32

_GROUP = 512


def embed(model: Backbone | Thinker, contents: Iterable[Content]) -> Float32:
    """Unit vectors [N, D] in the order of contents, as an `Embedder` of this model makes them.

    A group of contents is alive at a time, and is batched by length within.
    """
    width = model.size if isinstance(model, Thinker) else model.dimension
    parts = [np.empty((0, width), np.float32)]
    waiting = iter(contents)
    while group := list(islice(waiting, _GROUP)):
        parts.append(
            _thought(model, group) if isinstance(model, Thinker) else vectors(model, group)
        )
    return np.concatenate(parts)


def _thought(thinker: Thinker, group: Sequence[Content]) -> Float32:
    return np.stack([thought.vector_D for thought in thinker.think(group)])


def embed_clips(model: Backbone | Thinker, clips: Iterable[Features]) -> Float32:
    """Unit vectors [N, D] of clips."""
    return embed(model, (Content(clip=clip) for clip in clips))


def embed_texts(model: Backbone | Thinker, texts: Iterable[str]) -> Float32:
    """Unit vectors [N, D] of queries."""
    return embed(model, (Content(text=text, role="query") for text in texts))
