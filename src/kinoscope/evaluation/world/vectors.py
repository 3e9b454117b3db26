"""Unit vectors of any number of clips and texts, a group of them in memory at a time."""

from collections.abc import Iterable
from itertools import islice

import numpy as np

from kinoscope.backbones.protocol import Backbone
from kinoscope.heads import HEADS
from kinoscope.types import Content, Features, Float32

_GROUP = 512


def embed(backbone: Backbone, contents: Iterable[Content]) -> Float32:
    """Unit vectors [N, D] in the order of contents, as an `Embedder` of this backbone makes them.

    A group of contents is alive at a time, and is batched by length within.
    """
    head = HEADS[backbone.head.split()[0]]
    parts = [np.empty((0, backbone.dimension), np.float32)]
    waiting = iter(contents)
    while group := list(islice(waiting, _GROUP)):
        vectors_ND = np.full((len(group), backbone.dimension), np.nan, np.float32)
        for rows, states in backbone.states(group):
            vectors_ND[rows] = head(states)
        assert np.isfinite(vectors_ND).all(), "a content without a vector"
        parts.append(vectors_ND)
    return np.concatenate(parts)


def embed_clips(backbone: Backbone, clips: Iterable[Features]) -> Float32:
    """Unit vectors [N, D] of clips."""
    return embed(backbone, (Content(clip=clip) for clip in clips))


def embed_texts(backbone: Backbone, texts: Iterable[str]) -> Float32:
    """Unit vectors [N, D] of queries."""
    return embed(backbone, (Content(text=text, role="query") for text in texts))
