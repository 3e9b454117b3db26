"""What each split may use: seeds, color and shape combinations, backgrounds."""

import hashlib
from functools import lru_cache
from typing import Literal

from kinoscope.training.world.scene import Split

VERSION = "world-1"
"""Enters every seed: raise it when a change makes other scenes of the same seeds."""

COLORS = (
    "red",
    "orange",
    "yellow",
    "green",
    "blue",
    "purple",
    "pink",
    "brown",
    "black",
    "white",
    "gray",
)
SHAPES = (
    "circle",
    "square",
    "triangle",
    "star",
    "heart",
    "ring",
    "cross",
    "arrow",
    "diamond",
    "hexagon",
    "crescent",
)
TEXTURES = ("plain", "striped", "dotted", "checkered")

OUTDOORS = (
    "beach",
    "desert",
    "meadow",
    "forest",
    "sea",
    "snowfield",
    "mountains",
    "city",
    "road",
)
OTHER_PLACES = ("room", "sky", "space", "underwater")
PATTERNS: dict[Split, tuple[str, ...]] = {
    "train": ("stripes", "checks", "dots"),
    "validation": ("stripes", "dots", "wood"),
    "test": ("stripes", "checks", "bricks"),
}
TIMES = ("day", "sunset", "night")

_LOOKS: dict[Split, range] = {
    "train": range(0, 64),
    "validation": range(64, 80),
    "test": range(80, 112),
}


def looks(split: Split) -> range:
    """Numbers of the background variants that a split may use; no two splits share one."""
    return _LOOKS[split]


def combination_split(color: str, shape: str) -> Split:
    """Which split may show a shape in a color: of each shape two colors are kept for the test,
    one to validate."""
    ranked = sorted(COLORS, key=lambda name: hashlib.sha256(f"{name} {shape}".encode()).digest())
    place = ranked.index(color)
    return "test" if place < 2 else "validation" if place == 2 else "train"


@lru_cache(maxsize=3)
def combinations(split: Split) -> tuple[tuple[str, str], ...]:
    """The (color, shape) pairs of a split."""
    pairs = [(color, shape) for color in COLORS for shape in SHAPES]
    return tuple(pair for pair in pairs if combination_split(*pair) == split)


def vocabulary_split(split: Split, nouns: Literal["held_out", "seen"]) -> Split:
    """Which split's nouns and combinations are shown: `seen` shows those of the training."""
    return "train" if nouns == "seen" else split
