"""What families of multimodal LLMs share; an adapter says only what differs in its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.libraries import torch, video_processors
from kinoscope.types import Features, Frames

Batch = dict[str, Any]
"""Tensors by the names that the model's `forward` gives them; `attention_mask` is [B, T]."""

TOKEN_PADDING = {"attention_mask": 0, "token_type_ids": 0, "mm_token_type_ids": 0, "labels": -100}
"""Keys with one entry a token, besides `input_ids`, and what a padded place holds."""

TICKS = 1000
"""Time stamps reach a processor as whole ticks, of which a second has so many."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Prompt:
    """A conversation and its pixels: `clip` has uint8 rows [F, H, W, 3]."""

    messages: list[dict[str, Any]]
    clip: Features | None
    still: bool

    @property
    def frames_FHWC(self) -> np.ndarray:
        """The pixels of a prompt that has some."""
        assert self.clip is not None
        return np.asarray(self.clip.values_F)

    @property
    def ticks_F(self) -> list[int]:
        """When each frame is shown, counted from the first: a clip does not know where it lies."""
        assert self.clip is not None
        times_F = self.clip.times_F
        return [round(float(t - times_F[0]) * TICKS) for t in times_F]

    @property
    def sampled_fps(self) -> float:
        """Frames a second of the clip; 1 for a single frame."""
        ticks_F = self.ticks_F
        return (len(ticks_F) - 1) * TICKS / max(1, ticks_F[-1]) if len(ticks_F) > 1 else 1.0


class Family:
    """How one family turns prompts into tensors, and where its parts are. Stateless but for both.

    Adapters override methods; the model itself is Transformers' own, unchanged.
    """

    model_types: ClassVar[tuple[str, ...]]
    """`model_type` of the checkpoints' config."""
    reference: ClassVar[str]
    """A published checkpoint, for people."""
    model_class: ClassVar[str]
    """Of Transformers."""
    needs_video_processor: ClassVar[bool] = True
    """Whether videos go through a processor of their own; else as a row of pictures."""
    probe_size: ClassVar[tuple[int, int]] = (64, 96)
    """Height and width of made pictures that it reads."""
    first_position: ClassVar[int] = 0
    """Position of a row's first token."""
    frames_axis: ClassVar[int] = 0
    """Along which the pixels of several rows are joined."""
    branches: ClassVar[bool] = False
    """Whether its network takes a mask [B, 1, T, T] of which token sees which, see `branches.py`.
    For families of one axis of positions, that keep nothing of tokens but ids, mask and labels."""

    def __init__(self, processor: Any, max_pixels: int | None) -> None:
        """`max_pixels` of a frame is the sampling's bound, to which the processor is held too."""
        self.processor = processor
        self.max_pixels = max_pixels

    def vision(self, frames: Frames) -> Features:
        """What is kept of each frame: the pixels themselves [F, H, W, 3]."""
        return Features(frames.rgb_FHWC, frames.times_F)

    def render(self, prompt: Prompt) -> str:
        """The conversation as one string, by the checkpoint's own chat template."""
        if not getattr(self.processor, "chat_template", None):
            raise UsageError(
                f"the checkpoint has no chat template ({self.reference} has one): add its"
                " chat_template.jinja to the folder"
            )
        rendered: str = self.processor.apply_chat_template(
            prompt.messages, add_generation_prompt=True, tokenize=False
        )
        return rendered

    def inputs(self, prompt: Prompt) -> Batch:
        """Tensors of one prompt, without padding."""
        media: dict[str, Any] = {}
        if prompt.clip is not None and prompt.still:
            media = {"images": [prompt.frames_FHWC[0]], "images_kwargs": self.image_options()}
        elif prompt.clip is not None:
            media = {
                "videos": [torch().from_numpy(self.video(prompt)).permute(0, 3, 1, 2)],
                "videos_kwargs": self.video_options(prompt),
            }
        text = self.render(prompt)
        found = self.processor(text=[text], return_tensors="pt", **media)
        return {key: value for key, value in found.items() if value is not None}

    def video(self, prompt: Prompt) -> np.ndarray:
        """The frames [F, H, W, 3] as the video processor wants them."""
        return prompt.frames_FHWC

    def image_options(self) -> dict[str, Any]:
        """Of the image processor, for one picture."""
        return {}

    def video_options(self, prompt: Prompt) -> dict[str, Any]:
        """Of the video processor: the frames are chosen already, and their times are known."""
        return {"do_sample_frames": False, "video_metadata": [self.metadata(prompt)]}

    def metadata(self, prompt: Prompt) -> Any:
        """Transformers' `VideoMetadata` with the true times of the frames."""
        from transformers.video_utils import VideoMetadata

        ticks_F = prompt.ticks_F
        length = ticks_F[-1] + max(1, round(TICKS / prompt.sampled_fps))
        return VideoMetadata(
            total_num_frames=length,
            fps=float(TICKS),
            duration=length / TICKS,
            frames_indices=ticks_F,
        )

    def bucket(self, batch: Batch) -> object:
        """Rows whose buckets differ cannot share a batch; None goes with any."""
        return None

    def join(self, rows: list[Batch], padding_side: str, pad_id: int) -> Batch:
        """One batch of several rows: token rows padded [B, T], pixels one behind the other."""
        longest = max(row["input_ids"].shape[1] for row in rows)
        joined: Batch = {}
        for key in {key: None for row in rows for key in row}:  # in order of appearance
            values = [row[key] for row in rows if key in row]
            if key == "input_ids" or key in TOKEN_PADDING:
                fill = TOKEN_PADDING.get(key, pad_id)
                values = [_padded(value, longest, fill, padding_side) for value in values]
                joined[key] = torch().cat(values)
            else:
                joined[key] = torch().cat(values, dim=self.frames_axis)
        return joined

    def position_ids(self, core: Any, batch: Batch) -> Any:
        """Positions of all tokens, [B, T], or [3, B, T] where time, height and width have theirs.

        Explicit, so that padding on any side leaves them as they are alone.
        """
        positions_BT = batch["attention_mask"].long().cumsum(dim=-1) - 1
        return positions_BT.clamp(min=0) + self.first_position

    def pixel_tokens(self, core: Any, clips: Sequence[Features]) -> list[Any]:
        """Tokens [N, D] of each clip as they are added to the decoder's inputs, with gradient.

        Raises `UsageError` where a family gives none apart from the text around them.
        """
        raise UsageError(
            f"{self.reference} gives no tokens of pixels alone: leave 'words' and 'motion' out"
        )

    def decoder(self, core: Any) -> Any:
        """The text model of `core`: it has `layers` and takes `inputs_embeds`."""
        return core.language_model

    def vision_ids(self, config: Any) -> list[int]:
        """Ids of the tokens that stand for pixels."""
        names = ("image_token_id", "video_token_id")
        found = (getattr(config, name, None) for name in names)
        return [token for token in found if token is not None]

    @cached_property
    def control_words(self) -> tuple[str, ...]:
        """Strings with a meaning of their own for model or processor, which no user may write."""
        tokenizer = self.processor.tokenizer
        words = {
            str(token.content) for token in tokenizer.added_tokens_decoder.values() if token.special
        }
        words |= {
            str(value) for name, value in vars(self.processor).items() if name.endswith("_token")
        }  # SmolVLM's `<video>` is no token, yet replaced
        return tuple(sorted(words | set(tokenizer.all_special_tokens)))


def load_processor(folder: str) -> Any:
    """The checkpoint's processor, with pixels scaled by the variants that need no network."""
    return video_processors().AutoProcessor.from_pretrained(folder, local_files_only=True)


def _padded(rows_1T: Any, length: int, fill: int, side: str) -> Any:
    missing = length - rows_1T.shape[1]
    padding = (missing, 0) if side == "left" else (0, missing)
    return torch().nn.functional.pad(rows_1T, padding, value=fill)
