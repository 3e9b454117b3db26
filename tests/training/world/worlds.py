"""Scenes that the tests of the world share: shapes and props alone, which need no download."""

from functools import lru_cache

from kinoscope.training.world import Scene, WorldConfig, sample

PLAIN = WorldConfig(sprites=())
Scenes = tuple[Scene, ...]


@lru_cache(maxsize=16)
def scenes(
    split: str = "train", count: int = 240, config: WorldConfig = PLAIN
) -> tuple[Scene, ...]:
    """The scenes of the seeds 0.. of a split."""
    return tuple(sample(split, seed, config) for seed in range(count))


@lru_cache(maxsize=64)
def scenes_of(*kinds: str, count: int = 200, clean: bool = False) -> tuple[Scene, ...]:
    """Training scenes in which nothing but these events happens."""
    config = WorldConfig(sprites=(), kinds=kinds, clean=clean)
    return tuple(sample("train", seed, config) for seed in range(count))
