"""What every backbone gives, from ImageNet concepts to a multimodal LLM."""

from collections.abc import Sequence
from typing import Protocol

from kinoscope.types import Features, Float32, Frames, States


class Backbone(Protocol):
    """Turns frames and text into token states that a head pools.

    The work on a video has two halves, so that overlapping clips share the first:
    `vision` sees one frame alone; `video` reads a clip, an ordered choice of such frames.
    Results do not depend on how rows are batched (cosine >= 0.9999).
    """

    @property
    def model(self) -> str:
        """Name for the spec."""

    @property
    def weights(self) -> str:
        """SHA-256 over all weight and vocabulary files, for the spec."""

    @property
    def prompts(self) -> str:
        """SHA-256 of all templates, for the spec."""

    @property
    def dimension(self) -> int:
        """D of the states."""

    @property
    def centre_D(self) -> Float32 | None:
        """Mean document vector of a reference library [D], the prior of a library's own mean.

        None for a model whose scores need no centring.
        """

    @property
    def limits(self) -> tuple[str, ...]:
        """What the model cannot see, in sentences for people; empty where nothing is known."""

    @property
    def max_tokens(self) -> int:
        """Longest text that is read whole, in tokens."""

    def count_tokens(self, text: str) -> int:
        """Length of `text` in this model's tokens, special tokens included."""

    def vision(self, frames: Frames) -> Features:
        """One feature row a frame, each from that frame alone."""

    def video(self, clips: Sequence[Features]) -> States:
        """States of B clips [B, T, D], padded with a false mask."""

    def text(self, texts: Sequence[str]) -> States:
        """States of B texts [B, T, D], padded with a false mask."""
