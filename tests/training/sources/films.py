"""Little videos for sources, and a backbone that sees coarse colours."""

from pathlib import Path

import numpy as np

from kinoscope.samples import write_video
from kinoscope.sampling import SamplingConfig
from kinoscope.types import Features, Frames
from tests.tiny import moving_frames

SAMPLING = SamplingConfig(fps=2.0, min_frames=4, side_px=32, windows=(), clip_frames=4)


def film(path: Path, seed: int = 0, seconds: float = 4.0) -> Path:
    """Writes a video of 8 frames a second in which a square crosses."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = max(1, round(8 * seconds))
    write_video(path, moving_frames(count, 64, 64, seed).rgb_FHWC, fps=8)
    return path


class Eyes:
    """A stand-in for a vision tower: mean colours of a 4 x 4 grid in float16, times a gain."""

    def __init__(self, weights: str = "a", gain: float = 1.0) -> None:
        self.weights, self.gain, self.looks = weights, gain, 0

    def vision(self, frames: Frames) -> Features:
        self.looks += 1
        rgb_FHWC = frames.rgb_FHWC.astype(np.float32)
        count, height, width, _ = rgb_FHWC.shape
        cells = rgb_FHWC.reshape(count, 4, height // 4, 4, width // 4, 3).mean(axis=(2, 4))
        return Features((self.gain * cells).astype(np.float16), frames.times_F)


def same(one: Features, other: Features) -> bool:
    """Bit for bit."""
    return (
        one.values_F.dtype == other.values_F.dtype
        and np.array_equal(one.values_F, other.values_F)
        and np.array_equal(one.times_F, other.times_F)
    )
