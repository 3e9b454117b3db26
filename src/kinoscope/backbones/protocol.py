"""What every backbone gives, from ImageNet concepts to a multimodal LLM."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from kinoscope.types import Content, Features, Float32, Frames, Kind, States


class Backbone(Protocol):
    """Turns frames and text into token states that a head pools.

    The work on a video has two halves, so that overlapping clips share the first:
    `vision` sees one frame alone; `states` reads a clip, an ordered choice of such frames.
    Results do not depend on how rows are batched (cosine >= 0.9999).
    """

    @property
    def model(self) -> str:
        """Name, or place, for the spec."""

    @property
    def weights(self) -> str:
        """SHA-256 over all weight and vocabulary files, for the spec."""

    @property
    def prompts(self) -> str:
        """SHA-256 of all templates, for the spec."""

    @property
    def head(self) -> str:
        """How its states become a vector, for the spec; the first word is a key of `HEADS`."""

    @property
    def dimension(self) -> int:
        """D of the states."""

    @property
    def kinds(self) -> frozenset[Kind]:
        """What it can read."""

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

    def states(self, contents: Sequence[Content]) -> Iterator[tuple[list[int], States]]:
        """Row numbers and states [B, T, D] of one batch after another, until each row came once.

        The backbone chooses the batches: rows of like length that fit its memory.
        """


class LanguageBackbone(Backbone, Protocol):
    """A backbone with a language model behind it: it can think in steps, and answer in words.

    Tensors are torch's. A `session` is a batch of prompts that has been read, with its KV cache.
    """

    def read(self, contents: Sequence[Content]) -> "Session":
        """Reads prompts in one forward pass and keeps their cache."""

    def head_rows(self, token_ids: Any) -> Any:
        """Rows of the LM head for token ids [K] -> [K, D]: logits of a few words, not of all."""

    def embed_tokens(self, token_ids: Any) -> Any:
        """Input embeddings of token ids [...] -> [..., D]."""

    def generate(self, contents: Sequence[Content], *, max_new_tokens: int = 64) -> list[str]:
        """Greedy answers to contents as they are, without an embedding's prompt."""


class Session(Protocol):
    """Prompts that were read: their last states, and room for steps behind them."""

    @property
    def last_BD(self) -> Any:
        """The state of each row's last token [B, D], with a gradient where one is wanted."""

    def step(self, inputs_BD: Any) -> Any:
        """Feeds one input embedding a row [B, D]; the state after reading it [B, D]."""

    def keep(self, rows: Sequence[int]) -> None:
        """Lets all other rows go, their cache included."""
