"""What thinking gives for one content: its vector, how it came about, and what ended it."""

from dataclasses import dataclass

import numpy as np

from kinoscope.thinking.config import Reason
from kinoscope.types import Float32, check_vectors


@dataclass(frozen=True, eq=False, kw_only=True)
class Thought:
    """One content's steps; the first is the state of the last prompt token.

    Attributes:
        vector_D: z_k of the last step, of unit length.
        states_KD: last-layer states g_1..g_k.
        reason: what ended the steps.
        words: what was read in text steps; empty for latent ones.
        halting_K: p_k, the probability to halt at each step; empty without a learned halting. They
            add up to less than 1 where a row might have gone on.
        curve_K: cosine of z_k and z_(k-1), not a number at the first step.
    """

    vector_D: Float32
    states_KD: Float32
    reason: Reason
    words: str
    halting_K: Float32
    curve_K: Float32

    def __post_init__(self) -> None:
        check_vectors(self.vector_D[None])
        assert self.states_KD.shape == (self.steps, len(self.vector_D)), self.states_KD.shape
        assert len(self.halting_K) in (0, self.steps), self.halting_K.shape
        assert len(self.curve_K) == self.steps >= 1, self.curve_K.shape
        assert bool(np.isfinite(self.curve_K[1:]).all()), self.curve_K

    def __repr__(self) -> str:
        return f"Thought(steps={self.steps}, reason={self.reason!r}, D={len(self.vector_D)})"

    @property
    def steps(self) -> int:
        """K, the states that the vector is made of."""
        return len(self.states_KD)

    @property
    def prompt_D(self) -> Float32:
        """The state of the last prompt token, before any step."""
        return np.asarray(self.states_KD[0])
