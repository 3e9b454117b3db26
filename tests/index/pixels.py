"""A backbone that sees only mean colours, and little films that differ in them."""

import os
from pathlib import Path

import numpy as np

from kinoscope.embedder import Embedder
from kinoscope.samples.writing import write_video
from kinoscope.sampling import SamplingConfig
from kinoscope.types import Features, Frames, States

SIDE_PX = 32
SECONDS = 5


class Pixels:
    """Features are the mean colours of 3 x 3 tiles and a constant."""

    model, weights, prompts, max_tokens, centre_D = "pixels", "w0", "p0", 512, None
    dimension, head, kinds = 28, "mean", frozenset({"video"})

    def __init__(self) -> None:
        self.most_frames = 0

    def vision(self, frames: Frames) -> Features:
        self.most_frames = max(self.most_frames, len(frames))
        rows = np.array_split(frames.rgb_FHWC, 3, axis=1)
        tiles = [tile for row in rows for tile in np.array_split(row, 3, axis=2)]
        means = [tile.mean(axis=(1, 2)) / 255 for tile in tiles]
        constant = np.full((len(frames), 1), 0.1)
        return Features(np.concatenate([*means, constant], axis=1), frames.times_F)

    def states(self, contents):
        means = np.stack([content.clip.values_F.mean(axis=0) for content in contents])[:, None]
        mask = np.ones((len(means), 1), np.bool_)
        yield list(range(len(means))), States(means.astype(np.float32), mask)


def embedder() -> Embedder:
    return Embedder(Pixels(), sampling=SamplingConfig(side_px=SIDE_PX))


def film(path: Path, seed: int, seconds: int = SECONDS) -> Path:
    """Coloured tiles that change four times a second; another seed, other colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = np.random.default_rng(seed).integers(0, 255, (4 * seconds, 3, 3, 3), np.uint8)
    write_video(path, (np.kron(c, np.ones((16, 16, 1), np.uint8)) for c in colours), fps=4)
    return path


def touch(path: Path) -> None:
    """Moves the modification time on by a second."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
