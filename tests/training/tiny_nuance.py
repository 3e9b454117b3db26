"""A small mix of text triplets, plain captions, and tiny models that learn from them."""

from pathlib import Path

import numpy as np

from kinoscope.backbones.loading import load_backbone
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.options import LoadOptions
from kinoscope.training.nuance import Nuance, NuanceConfig, Plain
from kinoscope.training.triplets import GeneratedTriplets, Mix, mixed
from tests.tiny import moving_frames, tiny

COUNTS = {"time": 4, "negation": 3, "composed": 4}
MIX = Mix(counts=COUNTS, sources=lambda: (GeneratedTriplets("train"),))
PLAIN = Plain(
    name="animals",
    captions=(
        ("a dog runs", "a running dog", "the dog is running"),
        ("a cat sleeps", "a sleeping cat"),
        ("rain falls", "it rains"),
        ("he cooks soup", "a man is cooking soup"),
        ("a red car", "a car that is red"),
    ),
)
LONG = 200
"""Tokens: letters are tokens of the tiny tokenizer."""


def task(backbone: MLLM, plain: Plain | None = None, **choices) -> Nuance:
    """Of the small mix."""
    config = NuanceConfig(**{"max_tokens": LONG, **choices})
    return Nuance(backbone, mixed(MIX), config, plain)


def tiny_model(family: str, folder: Path, **options) -> MLLM:
    """In batches of a few sentences."""
    place = folder if folder.exists() else tiny(family, folder)
    return load_backbone(str(place), LoadOptions(**{"batch_tokens": 400, **options}))[0]


def clip_vector(backbone: MLLM, side_px: tuple[int, int] = (64, 64)) -> np.ndarray:
    """Tokens of a clip's pixels as the language model reads them, and its last state."""
    from kinoscope.types import Content

    clip = Content(clip=backbone.vision(moving_frames(4, *side_px, seed=1)))
    return next(backbone.states([clip]))[1].states_BTD.copy()
