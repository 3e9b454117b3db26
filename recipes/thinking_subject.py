"""A `mini` that thinks, and what it makes of the world's videos in one pass of all steps."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from kinoscope import Embedder
from kinoscope.backbones.mllm import MLLM
from kinoscope.errors import UsageError
from kinoscope.evaluation.world.adaptive import Gallery, halted
from kinoscope.evaluation.world.vectors import embed_texts
from kinoscope.evaluation.world.videos import WorldVideos
from kinoscope.thinking.config import ThinkConfig, Thinking
from kinoscope.thinking.thinker import Thinker
from kinoscope.thinking.thought import Thought
from kinoscope.training.sources import GeneratedSource
from kinoscope.types import Content, Float32, Int64
from recipes.measuring import OPTIONS, features_of, seen_by

_GROUP = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A model that thinks about the videos of a split, and what it makes of them in one pass.

    Attributes:
        thinker: whose documents take latent steps and halt.
        videos: that are found.
        gallery: each after every number of steps.
        states_VKD, halting_VK, curve_VK: see `Thought`.
    """

    thinker: Thinker
    videos: WorldVideos
    gallery: Gallery
    states_VKD: Float32
    halting_VK: Float32
    curve_VK: Float32

    @property
    def rule(self) -> ThinkConfig:
        """Of its documents."""
        return rule_of(self.thinker)

    @property
    def steps_V(self) -> Int64:
        """Where it stops by itself."""
        return halted(self.halting_VK, self.rule.threshold)


def load_thinker(name: str) -> Thinker:
    """Raises `UsageError` for a model whose documents do not take latent steps and halt."""
    thinker = Embedder.load(name, options=OPTIONS).thinker
    rule = None if thinker is None else thinker.thinking.document
    if thinker is None or rule is None or (rule.source, rule.rule) != ("latent", "halt"):
        raise UsageError(
            f"model {name} has not learned when to stop: train recipes/mini_thinking.py, and name"
            " the model that it saves"
        )
    return thinker


def read(thinker: Thinker, videos: WorldVideos) -> Subject:
    """One pass of all steps over all videos; texts as the model embeds queries."""
    thoughts = thought_of(by_rule(thinker, replace(rule_of(thinker), rule="fixed")), videos)
    states_VKD = np.stack([thought.states_KD for thought in thoughts])
    with torch.inference_mode():
        vectors_VKD = thinker.pooling.prefixes(torch.from_numpy(states_VKD))
    texts = (example.captions[0] for example in videos.examples())
    return Subject(
        thinker=thinker,
        videos=videos,
        gallery=Gallery(
            texts_VD=embed_texts(thinker, texts),
            videos_VKD=vectors_VKD.numpy(),
            keys=videos.keys,
        ),
        states_VKD=states_VKD,
        halting_VK=np.stack([thought.halting_K for thought in thoughts]),
        curve_VK=np.stack([thought.curve_K for thought in thoughts]),
    )


def seen(backbone: MLLM, source: GeneratedSource, count: int) -> WorldVideos:
    """The first videos of a source, their features computed once."""
    return seen_by(features_of(backbone))(source).first(count)


def thought_of(thinker: Thinker, videos: WorldVideos) -> list[Thought]:
    """What it thinks of each video."""
    numbers = range(len(videos))
    found: list[Thought] = []
    for first in numbers[::_GROUP]:  # their features are all in memory
        group = numbers[first : first + _GROUP]
        found += thinker.think([Content(clip=clip) for clip in videos.clips(group)])
    return found


def rule_of(thinker: Thinker) -> ThinkConfig:
    """By which its documents stop."""
    rule = thinker.thinking.document
    assert rule is not None, "documents think"
    return rule


def by_rule(thinker: Thinker, rule: ThinkConfig) -> Thinker:
    """The same model, its documents by another rule."""
    return thinker.with_thinking(Thinking(query=thinker.thinking.query, document=rule))
